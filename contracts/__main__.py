"""`python -m contracts EXPERIMENT.toml`: what the corridor, a shell script, needs to know of an experiment.

Prints lines that a POSIX shell can evaluate, checks the names of all sections, and with `--freeze CODE` keeps the
experiment file as it was run in the experiment's folder, with the version of the code (`frozen`), once every program
has found its settings valid (`validation`).  With `--validate`, `--disk`, `--check` or `--redo` it does that instead;
the last belongs to `run/cycle.sh`, which lets nothing else run meanwhile.
"""

import argparse
import logging
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from contracts import base, check, config, frozen, netcdf, program, redo, retention, stages, texts, times, validation
from contracts.errors import UserError
from contracts.retention import Retention

log = logging.getLogger("contracts")


class Settings(config.Section, frozen=True):
    """What the corridor reads of an experiment file."""

    experiment: config.Experiment
    run: stages.Run = stages.Run()
    retention: Retention = Retention()


def main(arguments: Sequence[str]) -> None:
    """Entry point; raises UserError."""
    parser = program.parser("python -m contracts", (__doc__ or "").partition("\n\n")[2],
                            'eval "$(python -m contracts run/experiments/twin_speedy.toml)"')
    program.add_experiment(parser)
    parser.add_argument("--freeze", metavar="CODE",
                        help="keep the file in the experiment's folder, as run with this code, once it is valid")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--validate", action="store_true", help="let every program look at its settings")
    instead.add_argument("--disk", action="store_true",
                         help="say how much room the experiment needs, fail if it is not there")
    instead.add_argument("--check", action="store_true", help="read every file of the experiment, name damaged ones")
    instead.add_argument("--redo", nargs="*", metavar=("STAGE", "TIME"),
                         help="remove what a stage made at a time, and all that depends on it; without words finish a "
                         "removal that was interrupted")
    chosen = parser.parse_args(arguments)
    text = base.complete(chosen.experiment)
    settings = config.decode(text, Settings, str(chosen.experiment))
    document = texts.table(text, str(chosen.experiment))
    if chosen.validate:
        looked = validation.validate(chosen.experiment, document, settings.run)
        _tell_unread(chosen.experiment, settings)
        print(f"{chosen.experiment}: valid for {', '.join(looked)}")
    elif chosen.disk:
        print(retention.check_disk(settings.experiment, settings.retention))
    elif chosen.check:
        print(check.check(settings.experiment))
    elif chosen.redo is not None:
        print(_redo(settings.experiment, chosen.redo))
    else:
        _tell(settings, document, text, chosen)


def _tell(settings: Settings, document: Mapping[str, Any], text: str, chosen: argparse.Namespace) -> None:
    """Print what a shell evaluates; keep the file before, where that is asked for and it is valid."""
    version = f"{netcdf.version()}, {chosen.freeze}"
    to_keep = chosen.freeze is not None and not frozen.is_kept(text, settings.experiment, version)
    if to_keep:
        validation.validate(chosen.experiment, document, settings.run)
        _tell_unread(chosen.experiment, settings)
    variables = shell_variables(settings, document)
    if to_keep:
        frozen.freeze(text, settings.experiment, settings.run, version)
    for name, value in variables.items():
        print(f"{name}={shlex.quote(value)}")


def _tell_unread(path: Path, settings: Settings) -> None:
    """Warn of sections that stand in the file itself and change nothing; those of its base may be for other files."""
    for sentence in validation.unread(texts.table(texts.read(path), str(path)), settings.run):
        log.warning("%s: %s", path, sentence)


def _redo(experiment: config.Experiment, words: Sequence[str]) -> str:
    if not words:
        return redo.finish(experiment)
    if len(words) != 2:
        raise UserError(f"--redo: expected a stage, one of {', '.join(stages.STAGES)}, and a time such as 2016010106, "
                        f"got {' '.join(words)!r}")
    return redo.redo(experiment, words[0], times.parse(words[1]))


def shell_variables(settings: Settings, document: Mapping[str, Any]) -> dict[str, str]:
    """Names and values for the shell; raises UserError where RANKS of the environment is no number."""
    experiment, run = settings.experiment, settings.run
    ranks = os.environ.get("RANKS") or str(settings.run.ranks)
    if not ranks.isdigit() or int(ranks) < 1:
        raise UserError(f"the environment variable RANKS must be a number of MPI processes from 1 on, got {ranks!r}")
    return {
        "NAME": experiment.name,
        "FOLDER": str(experiment.folder.folder),
        "TIMES": " ".join(times.name(time) for time in experiment.times()),
        "MEMBERS": str(experiment.members),
        "STEP_HOURS": str(experiment.step_hours),
        "MODE": experiment.mode,
        "STAGES": " ".join(stages.STAGES),
        "NEEDS": " ".join(f"{name}:{need}" for name, stage in stages.STAGES.items() for need in stage.needs),
        "NEEDS_BEFORE": " ".join(f"{name}:{need}" for name, stage in stages.STAGES.items()
                                 for need in stage.needs_before),
        **{stage.name.upper(): stage.command(run) for stage in stages.STAGES.values()},
        **dict(_started(run, ranks, document)),
        "RANKS": ranks,
        "MACHINE": os.environ.get("MACHINE") or run.machine,
        "RESTARTS": str(run.restarts),
        "TELL_STATUS": "yes" if run.status else "",
        "DRAW_FIGURES": "yes" if run.figures else "",
        "KEEP_HOURS": "" if settings.retention.members_hours is None else str(settings.retention.members_hours),
        "CYCLE_KIB": str(retention.cycle_kib(experiment, settings.retention)),
        "KEEP_MONTHLY": "yes" if settings.retention.monthly else "",
    }


def _started(run: stages.Run, ranks: str, document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Of the programs that the machine starts: processes, none where they are no MPI programs; threads of each, none
    where they take all that they are given.  And what is carried from time to time."""
    found = {stage: stages.program_of(stage, run) for stage in stages.LAUNCHED}
    for stage, made_by in found.items():
        yield f"{stage.upper()}_RANKS", ranks if made_by.mpi else ""
        yield f"{stage.upper()}_THREADS", str(stages.threads(made_by, document) or "")
    yield "CARRIED", " ".join(name for made_by in found.values() for name in made_by.carries)


if __name__ == "__main__":
    program.run(main, "contracts")
