"""The programs of an experiment: the sections of the file that each reads, and how it is started.

Ours stand in a table.  Another package brings its own by an entry point of the group `contracts.programs`, in its
setup.cfg:

    [options.entry_points]
    contracts.programs =
        mypackage.analysis = mypackage.program:PROGRAM

Its name is what `[run] analysis` or `forecast` says, and what is started: `python -m mypackage.analysis EXPERIMENT.toml
TIME`, or `--follow` instead of TIME.  `PROGRAM` is a `Program` in a module that imports nothing heavy: every program
reads it where an experiment file has a section that none of ours knows.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from contracts.errors import UserError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "contracts.programs"


@dataclass(frozen=True)
class Program:
    """What the others need to know of a program."""

    settings: str  # "module:name" of the struct of its sections, or of a function of the file's path (`validation`)
    sections: tuple[str, ...] = ()  # of the experiment file, its own
    makes: str = ""  # the stage of a cycle that it can make (`stages`)
    free: tuple[str, ...] = ()  # sections, and settings such as "model.batch", that no state depends on
    mpi: bool = False  # started in [run] ranks processes that find one another; else once
    threads: str = ""  # the setting, such as "analysis.threads", that says how many each process uses
    carries: tuple[str, ...] = ()  # files of a time's folder that it reads again at the next time


PROGRAMS = {
    "obsproc": Program("obsproc.config:Settings", ("observations", "thinning", "error_inflation", "fetch", "synthetic"),
                       makes="observations", free=("fetch",)),
    "letkf_mpi.analysis": Program(
        "letkf_mpi.config:Settings",
        ("analysis", "localization", "inflation", "relaxation", "background_check", "aircraft_bias",
         "parameters"),
        makes="analysis", free=("analysis.threads", "analysis.memory_gb"), mpi=True, threads="analysis.threads",
        carries=("inflation.nc", "relaxation_alpha.nc", "aircraft_bias.nc")),
    "neural_da.analysis": Program(
        "neural_da.config:load", ("neural", "background_check", "aircraft_bias"), makes="analysis",
        free=("neural.threads", "neural.memory_gb"), threads="neural.threads",
        carries=("carried.nc", "aircraft_bias.nc")),
    "neural_da.predict": Program("neural_da.predict_config:load", ("predict",)),
    "model_server.forecast": Program("model_server.validation:validate", ("model",), makes="forecast",
                                     free=("model.batch", "model.python")),
    "model_server initial": Program("model_server.validation:validate", ("model", "nature", "initial"), makes="initial",
                                    free=("model.batch", "model.python", "nature.end")),
    "model_server catalogue": Program("model_server.catalogue:Settings", ("catalogue",)),
    "networks train": Program("networks.training.config:load", ("network", "training")),
    "networks climate": Program("networks.climate.config:load", ("climate",)),
    "networks latent": Program("networks.latent.config:load", ("latent",)),
    "networks downscale": Program("networks.downscale.config:Settings", ("downscale",)),
    "networks look": Program("networks.look.config:load", ("latent", "look")),
    "verify": Program("verify.config:Settings", ("verify",), makes="verify", free=("verify",)),
}
SHARED = ("experiment", "grid", "state", "slots", "realtime", "run", "retention")  # sections of contracts itself
SHARED_FREE = ("experiment.end", "experiment.mode", "experiment.work", "realtime", "run", "retention")


def named(name: str, makes: str) -> Program:
    """The program `name`; raises UserError where there is none that can make that stage."""
    if name in PROGRAMS and PROGRAMS[name].makes == makes:
        return PROGRAMS[name]
    known = {each: program for each, program in every().items() if program.makes == makes}
    if name not in known:
        raise UserError(f"[run] {makes}: there is no program {name!r}; known: {', '.join(known)}; a package brings "
                        f"another by an entry point of the group {GROUP}")
    return known[name]


def every() -> dict[str, Program]:
    """All programs by name: ours and those of installed packages."""
    from importlib import metadata  # here, because it takes longer to import than all else that stands in this module

    return PROGRAMS | {point.name: _loaded(point) for point in metadata.entry_points(group=GROUP)}


def sections(asked: Iterable[str] = ()) -> tuple[str, ...]:
    """Names of the sections that an experiment file may have.

    Packages are looked at only where one of the names `asked` for is none of ours: every program does this when it
    starts.
    """
    ours = _sections(PROGRAMS.values())
    return ours if set(asked) <= set(ours) else _sections(every().values())


def _sections(programs: Iterable[Program]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*SHARED, *(section for program in programs for section in program.sections)]))


def _loaded(point: "EntryPoint") -> Program:
    try:
        return point.load()
    except Exception as error:  # whatever a package does when it is imported
        raise UserError(f"{point.value}: the program {point.name} cannot be looked at ({error}); mend or remove the "
                        "package that brings it") from error
