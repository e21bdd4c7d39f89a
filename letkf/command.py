"""`letkf WHAT …`: everything by one command.

    letkf experiments                    what comes with the code
    letkf demo                           a twin experiment from nothing to its scores
    letkf validate my.toml               let every program look at its settings
    letkf prepare  my.toml               nature run and first ensemble
    letkf cycle    my.toml --services    all times; after a kill the same command goes on

An experiment is a file, or the name of one that comes with the code, such as twin_climax.  Every command has --help of
its own.  The analysis alone, under MPI:  mpirun -n 32 python -m letkf_mpi.analysis EXPERIMENT.toml 1989010106
"""

import os
import shutil
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import letkf
from letkf import corridor


@dataclass(frozen=True)
class Command:
    """What stands behind a word: a script of the corridor or a program, and words that follow the experiment."""

    says: str
    script: str = ""
    program: tuple[str, ...] = ()
    option: str = ""


COMMANDS = {
    "demo": Command("a twin experiment from nothing to its scores and pictures", script="demo.sh"),
    "validate": Command("let every program look at its settings", program=("contracts",), option="--validate"),
    "prepare": Command("nature run, first ensemble and, with `free`, that without analyses", script="prepare.sh"),
    "cycle": Command("observations, analysis, forecast and scores of all times", script="cycle.sh"),
    "redo": Command("EXPERIMENT STAGE TIME: make a stage again, and all that depends on it", script="cycle.sh",
                    option="--redo"),
    "sweep": Command("several experiments, each prepared and cycled, side by side", script="sweep.sh"),
    "league": Command("contestants of one task, ranked in a table and a page", script="league.sh"),
    "status": Command("what is done, what is at work, what is STALLED", program=("verify", "status")),
    "serve": Command("the status as a page, on this machine only", program=("verify", "serve")),
    "summary": Command("tables of scores", program=("verify", "summary")),
    "report": Command("one page with all that came of it, report.html", program=("verify", "report")),
    "compare": Command("several experiments side by side", program=("verify", "compare")),
    "dataset": Command("all states in one NetCDF file or zarr store", program=("verify", "dataset")),
    "grib": Command("the states of one time as GRIB2", program=("verify", "grib")),
    "departures": Command("all departures as a Parquet table", program=("verify", "departures")),
    "check": Command("read every file of an experiment, name damaged ones", program=("contracts",), option="--check"),
    "inspect": Command("what is in an observation file", program=("obsproc", "inspect")),
    "fetch": Command("the observation files of an experiment, from archives in the network",
                     program=("obsproc", "fetch")),
}


def main(arguments: Sequence[str] = tuple(sys.argv[1:])) -> NoReturn:
    """Become the script or program that `arguments` ask for."""
    if not arguments or arguments[0] in ("-h", "--help"):
        tell(usage())
        sys.exit(0 if arguments else 2)
    if arguments[0] == "--version":
        print(f"letkf-mpi {letkf.__version__}")
        sys.exit()
    try:
        here = corridor.folder()
    except FileNotFoundError as error:
        sys.exit(f"letkf: {error}")
    if arguments[0] == "experiments":
        tell(listed(here))
        sys.exit()
    if arguments[0] not in COMMANDS:
        known = ", ".join(["experiments", *COMMANDS])
        sys.exit(f"letkf: expected one of {known}, got {arguments[0]!r}; letkf --help says more")
    words = words_of(COMMANDS[arguments[0]], arguments[1:], here)
    os.environ.setdefault("PYTHON", sys.executable)
    os.execv(words[0], words)


def tell(text: str) -> None:
    """Print it to whoever still reads: `head` has seen enough before the end."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def words_of(command: Command, arguments: Sequence[str], here: Path) -> list[str]:
    """The words that start what `command` stands for, the corridor being `here`; names of experiments become files."""
    known = corridor.known(here)
    given = [corridor.experiment(word, known) for word in arguments]
    if command.option and given and not given[0].startswith("-"):
        given.insert(1, command.option)
    if command.script:
        return ["/usr/bin/env", "bash", str(here / command.script), *given]
    return [sys.executable, "-m", *command.program, *given]


def usage() -> str:
    """What `letkf --help` prints."""
    rows = {"experiments": "the experiments that come with the code"}
    rows |= {name: command.says for name, command in COMMANDS.items()} | {"--version": "of the code"}
    return "\n".join([f"{__doc__}\ncommands:", *(f"    {name:<12} {says}" for name, says in rows.items())])


def listed(here: Path) -> str:
    """The experiments that come with the code and what each says of itself."""
    found = corridor.experiments(here)
    wide = max(map(len, found)) + 2
    room = max(shutil.get_terminal_size((120, 24)).columns - wide, 40)
    titles = {name: textwrap.shorten(corridor.title(path), room, placeholder=" …") for name, path in found.items()}
    return "\n".join(f"{name:<{wide}}{title}" for name, title in titles.items())
