"""The stages of a cycle: what each begins with, which program makes it and how that is started.

    observations ─> analysis ─> forecast ─> the analysis of the next time ─> …
                       └──────> verify

The corridor reads it by `python -m contracts EXPERIMENT.toml`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contracts import config, programs
from contracts.config import NotNegative, Positive
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


@dataclass(frozen=True)
class Stage:
    """One step of every cycle."""

    name: str
    words: tuple[str, ...]  # that follow `python -m`; the first, its program, is that of [run] where this names one
    needs: tuple[str, ...] = ()  # stages of the same time that made what it begins with
    needs_before: tuple[str, ...] = ()  # stages of the time before

    def program(self, run: Run) -> str:
        """The name of its program."""
        return getattr(run, self.name) if self.name in LAUNCHED else self.words[0]

    def command(self, run: Run) -> str:
        """The words that follow `python -m`, before the experiment file and a time or `--follow`."""
        return " ".join([self.program(run), *self.words[1:]])


STAGES = (
    Stage("observations", ("obsproc", "--wait")),  # for what is still to come, in real time
    Stage("analysis", ("letkf_mpi.analysis",), needs=("observations",), needs_before=("forecast",)),
    Stage("forecast", ("model_server.forecast",), needs=("analysis",)),
    Stage("verify", ("verify", "scores"), needs=("analysis",)),
)
NAMES = tuple(stage.name for stage in STAGES)
LAUNCHED = ("analysis", "forecast")  # named by [run], started with the words of the machine; the others stay beside it


def program_of(stage: str, run: Run) -> Program:
    """What is known of the program of one of LAUNCHED; raises UserError where [run] names none."""
    return programs.named(getattr(run, stage), stage)


def threads(program: Program, document: Mapping[str, Any]) -> int | None:
    """Threads of each process of `program` by the experiment file; None where it takes all that it is given."""
    section, _, name = program.threads.partition(".")
    return document.get(section, {}).get(name, 1 if program.mpi else None)
