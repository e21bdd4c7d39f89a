"""`python -m contracts EXPERIMENT.toml`: what the corridor, a shell script, needs to know of an experiment.

Prints lines that a POSIX shell can evaluate, checks the names of all sections, and with `--freeze CODE` keeps the
experiment file as it was run in the experiment's folder, with the version of the code.  An experiment that was
begun goes on only with the settings it was begun with: a resumed run has the same bits as an uninterrupted one.
"""

import os
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from contracts import config, netcdf, paths, program, times
from contracts.errors import UserError

_VERSION_LINE = "# run with "
# What may change while an experiment goes on, because no state depends on it.
_MAY_CHANGE = {"experiment": {"end", "mode", "work"}, "nature": {"end"}}
_SECTIONS_MAY_CHANGE = {"run", "verify"}


class Run(config.Section, frozen=True):
    """[run] How the corridor starts the programs; the environment's RANKS and MACHINE override."""

    ranks: Annotated[int, msgspec.Meta(ge=1)] = 2  # MPI processes of the analysis
    machine: str = "local"  # run/machines/<machine>.sh, or the path of such a file


class Settings(config.Section, frozen=True):
    """What the corridor reads of an experiment file."""

    experiment: config.Experiment
    run: Run = Run()


def main(arguments: Sequence[str]) -> None:
    """Entry point; raises UserError."""
    parser = program.parser("python -m contracts", (__doc__ or "").partition("\n\n")[2],
                            'eval "$(python -m contracts run/experiments/twin_speedy.toml)"')  # fmt: skip
    program.add_experiment(parser)
    parser.add_argument("--freeze", metavar="CODE",
                        help="keep the file in the experiment's folder, as run with this code")  # fmt: skip
    chosen = parser.parse_args(arguments)
    settings = config.load(chosen.experiment, Settings)
    if chosen.freeze is not None:
        version = f"{netcdf.version()}, {chosen.freeze}"
        freeze(chosen.experiment.read_text(), settings.experiment.folder.settings, version)
    for name, value in shell_variables(settings).items():
        print(f"{name}={shlex.quote(value)}")


def shell_variables(settings: Settings) -> dict[str, str]:
    """Names and values for the shell; raises UserError where RANKS of the environment is no number."""
    experiment = settings.experiment
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
        "ANALYSIS": experiment.analysis,
        "RANKS": ranks,
        "MACHINE": os.environ.get("MACHINE") or settings.run.machine,
    }


def freeze(text: str, path: Path, version: str) -> None:
    """Keep the experiment file `text` at `path` under a line for each version of the code that ran it.

    Raises UserError where the file kept there has other settings that decide the states.
    """
    kept = path.read_text() if path.exists() else ""
    difference = _first_difference(tomllib.loads(kept), tomllib.loads(text)) if kept else None
    if difference:
        raise UserError(f"{difference}; give the experiment another name, or remove {path.parent} to begin it anew")
    versions = [line for line in kept.splitlines() if line.startswith(_VERSION_LINE)]
    line = f"{_VERSION_LINE}{version}"
    frozen = "\n".join([*versions, *([line] if line not in versions else []), "", text.strip(), ""])
    if frozen != kept:
        with paths.atomic(path) as partial:
            partial.write_text(frozen)


def _first_difference(begun: Mapping, asked: Mapping) -> str | None:
    """A sentence about the first setting that differs between the two documents."""
    for section in sorted({*begun, *asked} - _SECTIONS_MAY_CHANGE):
        old, new = begun.get(section, {}), asked.get(section, {})
        for name in sorted({*old, *new} - _MAY_CHANGE.get(section, set())):
            if old.get(name) != new.get(name):
                was, now = (repr(table[name]) if name in table else "its default" for table in (old, new))
                return f"[{section}] {name}: this experiment was begun with {was}, the file now says {now}"
    return None


if __name__ == "__main__":
    program.run(main, "contracts")
