"""The league file: who takes part, and that all begin alike.

    [league]
    block_days = 10

    [[contestant]]                          # the first is the control, to which all others are compared
    experiment = "letkf_600km.toml"         # beside this file
    title = "LETKF, 600 km"

A contestant is an experiment file; any program may have made its analyses.  Only what makes the task is compared: the
same truth, stations, first ensemble, dates and seed, so that a difference between two is one between methods.

The same contestants in other months, with another seed or other stations: settings that a league lays over all of them.

    [task.experiment]
    start = 1992-07-01T00:00:00Z
    end = 1992-08-31T18:00:00Z

Each is then an experiment of its own, NAME_OF_THE_LEAGUE_NAME, whose file stands in WORK/NAME_OF_THE_LEAGUE.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import tomli_w

from contracts import base, config, paths, texts
from contracts.config import NotNegative, NotNegativeFloat, Positive, PositiveFloat, Section
from contracts.errors import UserError, brief
from verify.config import Settings

# The settings that make the task, by section; without names all of the section.
TASK: dict[str, tuple[str, ...]] = {
    "experiment": ("start", "end", "step_hours", "seed"), "grid": (), "nature": ("folder", "model", "options", "start"),
    "initial": (), "observations": (), "synthetic": (), "thinning": (), "error_inflation": (),
    "verify": ("truth", "regions"),
}


class Entry(Section, frozen=True):
    """[[contestant]] One experiment."""

    experiment: Annotated[str, msgspec.Meta(min_length=1)]  # its file, beside the league file
    title: str = ""  # empty: the experiment's name
    training_minutes: NotNegativeFloat | None = None  # of a processor, for what is fitted or trained for it alone


class Forecasts(Section, frozen=True):
    """[league.forecasts] Of one model, from the means of the analyses of all contestants."""

    leads_hours: Annotated[tuple[Positive, ...], msgspec.Meta(min_length=1)] = (24, 72, 120)
    every_hours: Positive = 120  # from one start to the next, the first at the end of the days left out
    model: str = ""  # an experiment file, beside this one, whose [model] makes them, without its noise; default: the
    # control's


class League(Section, frozen=True):
    """[league] How contestants are compared."""

    block_days: Positive = 10  # of an interval: weather lasts for days
    skip_days: NotNegative = 10  # left out, while the first ensemble is forgotten
    near_km: PositiveFloat = 500.0  # from a station: near it
    void_km: PositiveFloat = 1500.0  # farther from any station: a void
    sample_hours: Positive = 30  # between times at which fields are read; 30 takes the hours of the day in turns
    forecasts: Forecasts | None = None  # default: none

    def __post_init__(self):
        if self.near_km >= self.void_km:
            raise ValueError(f"near_km must lie below void_km, got {self.near_km:g} and {self.void_km:g}")
        if self.forecasts and self.forecasts.every_hours > 24 * self.block_days:
            raise ValueError(f"forecasts.every_hours must be at most {24 * self.block_days}, so that each block of "
                             f"{self.block_days} days has a start, got {self.forecasts.every_hours}")


class File(Section, frozen=True):
    """The whole league file."""

    contestant: Annotated[tuple[Entry, ...], msgspec.Meta(min_length=1)]
    league: League = League()
    task: dict[str, dict[str, Any]] = {}  # sections of settings


@dataclass(frozen=True)
class Contestant:
    """An experiment that takes part."""

    title: str
    path: Path
    settings: Settings
    training_minutes: float | None = None


def load(path: Path, more: Sequence[Path] = ()) -> tuple[League, list[Contestant]]:
    """The league of `path` and `more` experiments; raises UserError where one cannot be read, is there twice or has
    another task than the first."""
    try:
        file = msgspec.convert(texts.table(_text(path), str(path)), File)
    except (msgspec.ValidationError, ValueError) as error:
        raise UserError(f"{path}: {brief(error)}") from None
    named = [(each, path.parent / each.experiment) for each in file.contestant]
    named += [(Entry(str(each)), each) for each in more]
    contestants, documents = [], []
    for entry, written in named:
        experiment = laid(path.stem, written, file.task) if file.task else written
        settings = config.load(experiment, Settings)
        title = entry.title or settings.experiment.name.removeprefix(f"{path.stem}_")
        contestants.append(Contestant(title, experiment, settings, entry.training_minutes))
        documents.append(texts.table(base.complete(experiment), str(experiment)))
    _refuse_twice(path, contestants)
    if file.league.forecasts and not contestants[0].settings.verify.truth:
        raise UserError(f"{path}: [league.forecasts] need a truth to be held against, and {contestants[0].path} has no "
                        "[verify] truth; leave them out")
    for contestant, document in zip(contestants[1:], documents[1:], strict=True):
        for difference in differences(documents[0], document):
            raise UserError(f"{contestant.path}: {difference} of {contestants[0].path}; contestants of a league have "
                            "the same truth, stations, first ensemble, dates and seed: change it or leave this one out")
    return file.league, contestants


def laid(league: str, experiment: Path, task: dict[str, dict[str, Any]]) -> Path:
    """A file of `experiment` with the settings of `task`, for `league` alone; as it is where it says this already."""
    own = config.load(experiment, Settings).experiment
    name = f"{league}_{own.name}"
    above = base.merged(task, {"experiment": {"name": name}})
    text = tomli_w.dumps({base.KEY: str(experiment.resolve()), **above})
    path = own.in_work(league) / f"{own.name}.toml"
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        with paths.atomic(path) as partial:
            partial.write_text(text, encoding="utf-8")
    return path


def _text(path: Path) -> str:
    try:
        return texts.read(path)
    except OSError as error:
        raise UserError(f"{path}: no league file can be read there ({error.strerror}); name one, such as "
                        "run/leagues/january_february_1992.toml") from None


def _refuse_twice(path: Path, contestants: Sequence[Contestant]) -> None:
    for what, names in (("experiment", [each.settings.experiment.name for each in contestants]),
                        ("title", [each.title for each in contestants])):
        if twice := [name for n, name in enumerate(names) if name in names[:n]]:
            raise UserError(f"{path}: {what} {twice[0]!r} stands there twice; name each contestant once")


def differences(control: dict[str, Any], other: dict[str, Any]) -> Iterator[str]:
    """A phrase for each setting of the task that differs between two experiment files."""
    for section, names in TASK.items():
        ours, theirs = control.get(section, {}), other.get(section, {})
        for name in names or sorted({*ours, *theirs}):
            if ours.get(name) != theirs.get(name):
                says, asked = (repr(table[name]) if name in table else "its default" for table in (theirs, ours))
                yield f"[{section}] {name} is {says}, and not {asked} as that"
