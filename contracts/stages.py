"""The stages of a cycle: what each begins with, what it makes, and by which program.

    observations ─> analysis ─> forecast ─> the analysis of the next time ─> …
                       └──────> verify

The corridor reads it by `python -m contracts EXPERIMENT.toml`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from contracts import config, programs
from contracts.config import Experiment, NotNegative, Positive
from contracts.paths import EnsembleFolder, TimeFolder
from contracts.programs import Program


class Run(config.Section, frozen=True):
    """[run] Which programs make analysis and forecast, and how the corridor starts all of them.

    The environment's RANKS and MACHINE override.
    """

    analysis: str = "letkf_mpi.analysis"  # a name of `programs`
    forecast: str = "model_server.forecast"
    ranks: Positive = 2  # processes of a program under MPI
    machine: str = "local"  # run/machines/<machine>.sh, or the path of such a file
    restarts: NotNegative = 3  # of each service that died, within a cycle, with `--services`
    status: bool = True  # keep status.json and status.prom true while the experiment runs
    figures: bool = True  # drawn when its last cycle is finished
    on_event: str = ""  # a line for bash, run when it becomes STALLED, stopped or complete (`verify.events`)

    def __post_init__(self):
        if self.on_event and not self.status:
            raise ValueError("on_event is told by who keeps the status: leave status = false out, or on_event")


class _OfRun(config.Section, frozen=True):
    run: Run = Run()


@dataclass(frozen=True)
class Stage:
    """One step of every cycle."""

    name: str
    words: tuple[str, ...] = ()  # that follow `python -m`, its program first; none where [run] names that
    needs: tuple[str, ...] = ()  # stages of the same time that made what it begins with
    needs_before: tuple[str, ...] = ()  # stages of the time before

    def program(self, run: Run) -> str:
        """The name of its program."""
        return self.words[0] if self.words else getattr(run, self.name)

    def command(self, run: Run) -> str:
        """The words that follow `python -m`, before the experiment file and a time or `--follow`."""
        return " ".join([self.program(run), *self.words[1:]])


STAGES = {stage.name: stage for stage in (
    Stage("observations", ("obsproc", "--wait")),  # for what is still to come, in real time
    Stage("analysis", needs=("observations",), needs_before=("forecast",)),
    Stage("forecast", needs=("analysis",)),
    Stage("verify", ("verify", "scores"), needs=("analysis",)),
)}
INITIAL = "initial"  # what comes before them: the first background
# Those whose program [run] names; it is started with the words of the machine, the others beside the script.
LAUNCHED = tuple(stage.name for stage in STAGES.values() if not stage.words)


def program_of(stage: str, run: Run) -> Program:
    """What is known of the program of a stage; raises UserError where [run] names none."""
    return programs.named(STAGES[stage].program(run), stage)


def run_of(text: str, where: str) -> Run:
    """The section [run] of an experiment file; `where` names it in errors."""
    return config.decode(text, _OfRun, where).run


def dependents(stage: str, time: datetime, all_times: Sequence[datetime]) -> Iterator[tuple[datetime, str]]:
    """`stage` of `time` and every stage of this and later times that stands on it, in the order of their making."""
    before: set[str] = set()
    for each in all_times:
        here = {stage} if each == time else set()
        for other in STAGES.values():
            if not here.isdisjoint(other.needs) or not before.isdisjoint(other.needs_before):
                here.add(other.name)
        yield from ((each, name) for name in STAGES if name in here)
        before = here


def products(experiment: Experiment, stage: str, time: datetime) -> list[Path]:
    """What `stage` of `time` has made, first the file that says that it is complete; folders stand for all in them."""
    here = experiment.folder.at(time)
    if stage == "observations":
        return [here.observations]
    if stage == "analysis":
        return [here.departures, *_ensemble(here.analysis), *_fields(here), here.folder / "forecast"]
    if stage == "forecast":
        return _ensemble(experiment.folder.at(time + experiment.step).background)
    return [here.scores]


def _ensemble(ensemble: EnsembleFolder) -> list[Path]:
    return [ensemble.spread, ensemble.mean, ensemble.tidied, ensemble.folder]


def _fields(here: TimeFolder) -> list[Path]:
    """Inflation and the diagnostic fields of the analysis: what is left when the named files are taken away."""
    named = {here.observations, here.departures, here.scores}
    return [path for path in sorted(here.folder.glob("*.nc")) if path not in named]


def depending_on(section: str, name: str, run: Run) -> list[str]:
    """Stages whose states depend on a setting of the experiment file, INITIAL among them."""
    if (section, name) in [("run", stage) for stage in LAUNCHED]:
        return [name]
    setting = {section, f"{section}.{name}"}
    if section in programs.SHARED:
        return [] if setting & set(programs.SHARED_FREE) else [INITIAL, *STAGES]
    made_by = {INITIAL: programs.PROGRAMS["model_server initial"],
               **{name: program_of(name, run) for name in STAGES}}
    return [stage for stage, program in made_by.items()
            if section in program.sections and setting.isdisjoint(program.free)]


def threads(program: Program, document: Mapping[str, Any]) -> int | None:
    """Threads of each process of `program` by the experiment file, one where that says nothing; None where the program
    has no such setting and takes all that it is given."""
    section, _, name = program.threads.partition(".")
    return document.get(section, {}).get(name, 1) if program.threads else None
