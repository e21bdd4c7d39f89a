"""The experiment file: TOML in, frozen structs out.

One file describes an experiment for all programs.  Each program declares a `Settings` struct whose fields are
the sections that it reads; a section is a frozen msgspec struct whose fields are the settings with default,
unit (in the name) and range.  A section that no program reads (`programs`), an unknown setting or a value out of range
is refused with its place.  Where a section is one of several structs, told apart by their tag `method`, a table that
names none has the method of the default.  A file may stand on another (`base`).
"""

import os
import types
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import msgspec
import numpy as np

from contracts import base, programs, texts, times
from contracts.constants import HECTOPASCAL
from contracts.errors import UserError, shown, unknown
from contracts.grid import SAME_DEGREES, Grid
from contracts.paths import ExperimentFolder
from contracts.state import StateSpace
from contracts.variables import VARIABLES, Channel

MOVED = {("experiment", "analysis"): ("run", "analysis")}  # settings that stood elsewhere one version ago

Settings = TypeVar("Settings", bound=msgspec.Struct)
Positive = Annotated[int, msgspec.Meta(ge=1)]
NotNegative = Annotated[int, msgspec.Meta(ge=0)]
PositiveFloat = Annotated[float, msgspec.Meta(gt=0)]
NotNegativeFloat = Annotated[float, msgspec.Meta(ge=0)]
# Of what becomes a folder or a file: never one that leads elsewhere, hides, or breaks a line.
Name = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9_.-]*\Z", max_length=100)]
ROWS, COLUMNS = 32, 64  # of 5.625 degrees
MOST_ROWS, MOST_COLUMNS = 10_000, 20_000  # of a grid: 0.018 degrees; no global model is finer
Rows = Annotated[int, msgspec.Meta(ge=2, le=MOST_ROWS)]
Columns = Annotated[int, msgspec.Meta(ge=4, le=MOST_COLUMNS)]
LevelHpa = Annotated[float, msgspec.Meta(gt=0, le=1100)]
MOST_TIMES = 100_000  # of an experiment: six-hourly for 68 years


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of every section: frozen, unknown names refused."""


class Experiment(Section, frozen=True):
    """[experiment] What is run: times in UTC, members, seed, and where the files go."""

    name: Name
    start: datetime  # first time with a background
    end: datetime  # last time with an analysis
    step_hours: Positive = 6
    members: Annotated[int, msgspec.Meta(ge=2, le=9999)] = 20
    members_in: Literal["files", "one_file"] = "files"  # one each: m0001.nc …; or all of a time in members.nc
    seed: NotNegative = 1  # of everything random
    work: str = "work"  # folder of all experiments; the environment variable WORK overrides it
    mode: Literal["research", "realtime"] = "research"  # realtime goes on without observations, research stops
    tuning: bool = False  # settings are chosen here: times that weights have seen are told, not refused

    def __post_init__(self):
        for name in ("start", "end"):
            time = getattr(self, name)
            if time.tzinfo is None or time != time.replace(minute=0, second=0, microsecond=0):
                raise ValueError(f"{name} must be a full hour in UTC such as 1989-01-01T06:00:00Z, got {time}")
        if self.end < self.start:
            raise ValueError(f"end {self.end} lies before start {self.start}")
        if (count := (self.end - self.start) // self.step + 1) > MOST_TIMES:
            raise ValueError(f"{self.start} to {self.end} are {count} times of step_hours {self.step_hours}, at most "
                             f"{MOST_TIMES} are possible: let it end earlier")

    @property
    def step(self) -> timedelta:
        return timedelta(hours=self.step_hours)

    @property
    def folder(self) -> ExperimentFolder:
        """Where the experiment's files live."""
        return ExperimentFolder(Path(os.environ.get("WORK") or self.work) / self.name)

    @property
    def one_file_of(self) -> int | None:
        """So many members go into one file; None where each has its own."""
        return self.members if self.members_in == "one_file" else None

    def in_work(self, folder: str) -> Path:
        """A folder beside the experiments in the work folder, or an absolute path."""
        return self.folder.folder.parent / folder

    def file(self, pattern: str, time: datetime) -> Path:
        """The file of `time` by its pattern (see `file_of`), relative to the work folder."""
        return self.in_work(str(file_of(pattern, time)))

    def time_of(self, text: str) -> datetime:
        """The time that a command line names; raises UserError where it is none of the experiment."""
        time = times.parse(text)
        self.refuse_other(time)
        return time

    def refuse_other(self, time: datetime) -> None:
        """Raises UserError where `time` is none of the experiment."""
        if not self.start <= time <= self.end or (time - self.start) % self.step:
            every = self.times()
            raise UserError(f"{times.name(time)} is no time of the experiment; it has {times.name(every[0])} to "
                            f"{times.name(every[-1])}, every {self.step_hours} h")

    def times(self) -> list[datetime]:
        """All analysis times, in UTC."""
        return list(times.every(self.start.astimezone(UTC), self.end.astimezone(UTC), self.step))


class GridSettings(Section, frozen=True):
    """[grid] Equal steps in latitude and longitude, but for what is said otherwise.

    With `poles` the first and last row stand on the poles, with `gaussian` rows stand at Gaussian latitudes; `lat` and
    `lon` name rows and columns one by one, degrees north and east, ascending.
    """

    nlat: Rows = ROWS
    nlon: Columns = COLUMNS
    poles: bool = False
    gaussian: bool = False
    lat: Annotated[tuple[float, ...], msgspec.Meta(min_length=2, max_length=MOST_ROWS)] | None = None
    lon: Annotated[tuple[float, ...], msgspec.Meta(min_length=4, max_length=MOST_COLUMNS)] | None = None

    def __post_init__(self):
        if self.poles + self.gaussian + bool(self.lat) > 1:
            raise ValueError("rows are said twice: of poles, gaussian and lat leave one")
        for axis, given, count, default in (("lat", self.lat, self.nlat, ROWS), ("lon", self.lon, self.nlon, COLUMNS)):
            if given and count not in (len(given), default):
                raise ValueError(f"n{axis} = {count}, and {axis} names {len(given)}: leave n{axis} out")
        if self.lat or self.lon:
            lon = self.grid().lon
            steps = np.diff(lon, append=lon[0] + 360.0)
            if np.ptp(steps) > 2 * SAME_DEGREES:
                raise ValueError(f"lon must have equal steps, got {steps.min():g} to {steps.max():g} degrees: waves "
                                 "along a row are taken by Fourier's transform")

    def grid(self) -> Grid:
        """Raises ValueError where `lat` and `lon` are no axes of a globe."""
        nlat, nlon = len(self.lat or ()) or self.nlat, len(self.lon or ()) or self.nlon
        plain = Grid.gaussian(nlat, nlon) if self.gaussian else Grid.regular(nlat, nlon, self.poles)
        if not self.lat and not self.lon:
            return plain
        return Grid(np.array(self.lat or plain.lat), np.array(self.lon or plain.lon))


class StateSettings(Section, frozen=True):
    """[state] The channels that the programs exchange."""

    levels_hpa: Annotated[tuple[LevelHpa, ...], msgspec.Meta(max_length=200)] = (50, 250, 500, 600, 700, 850, 925)
    on_levels: tuple[str, ...] = ("geopotential", "u_component_of_wind", "v_component_of_wind", "temperature",
                                  "specific_humidity")
    at_surface: tuple[str, ...] = ("2m_temperature", "10m_u_component_of_wind", "10m_v_component_of_wind",
                                   "surface_pressure")

    def __post_init__(self):
        if not self.on_levels and not self.at_surface:
            raise ValueError("on_levels and at_surface are both empty: a state needs a variable")
        if self.on_levels and not self.levels_hpa:
            raise ValueError("levels_hpa is empty: name the levels in hPa, or no variables in on_levels")
        for setting in ("levels_hpa", "on_levels", "at_surface"):
            given = getattr(self, setting)
            if twice := [each for number, each in enumerate(given) if each in given[:number]]:
                raise ValueError(f"{setting}: {twice[0]!r} stands there twice; take one out")
        for names, on_levels in ((self.on_levels, True), (self.at_surface, False)):
            known = [name for name, variable in VARIABLES.items() if variable.on_levels == on_levels]
            for name in names:
                if name not in known:
                    raise ValueError(unknown("variable", name, known))

    def channels(self) -> tuple[Channel, ...]:
        """Of the states, in their order."""
        levels = [Channel(name, p * HECTOPASCAL) for name in self.on_levels for p in sorted(self.levels_hpa)]
        return (*levels, *map(Channel.surface, self.at_surface))

    def space(self, grid: Grid) -> StateSpace:
        return StateSpace.of(grid, [p * HECTOPASCAL for p in self.levels_hpa], self.on_levels, self.at_surface)


def file_of(pattern: str, time: datetime) -> Path:
    """A file name from a pattern with strftime codes and $NAMEs of the environment; UserError where one is not set."""
    expanded = os.path.expandvars(pattern)
    if "$" in expanded:
        raise UserError(f"{expanded}: an environment variable in this file name is not set; set it, or write the "
                        "folder into the experiment file")
    return Path(time.strftime(expanded)).expanduser()


@dataclass(frozen=True)
class _Known:
    """Names that may stand in a file, for the sentence that refuses another."""

    place: str
    names: tuple[str, ...]


def load(path: Path, kind: type[Settings]) -> Settings:
    """Read `path` into the struct `kind`, whose fields are sections; raises UserError with file and place."""
    return decode(base.complete(path), kind, str(path))


def decode(text: str, kind: type[Settings], where: str) -> Settings:
    """The same from a text; `where` names it in errors."""
    document = texts.table(text, where)
    texts.refuse_unprintable(document, where)
    sections = {struct_field.name: struct_field.type for struct_field in msgspec.structs.fields(kind)}
    _refuse_unknown(document, _Known(where, programs.sections(document)), "section")
    _refuse_moved(document, where)
    known = {name: document[name] for name in sections if name in document}
    try:
        return msgspec.convert(_completed_below(known, kind, where, ""), kind)
    except msgspec.ValidationError as error:
        raise UserError(f"{where}: {_in_words(str(error), kind)}") from None


def _completed(table: object, kind: object, default: object, where: str, section: str) -> object:
    """The table of a `section` with the methods that it leaves to the `default`, its own and those of tables in it.

    Raises UserError where a name or a method is none of those of `kind`, a struct or a choice between several.
    """
    choices = _choices(kind)
    if not choices or not isinstance(table, dict):
        return table
    place, tag = f"{where}: [{section}]", choices[0].__struct_config__.tag_field
    _refuse_unknown(table, _Known(place, _settings(choices)), "setting")
    if tag is None or len(choices) == 1:
        return _completed_below(table, choices[0], where, section)
    methods = {str(choice.__struct_config__.tag): choice for choice in choices}
    if tag not in table and isinstance(default, choices):
        table = {tag: default.__struct_config__.tag} | table
    method = table.get(tag, "")
    if not isinstance(method, str) or method not in methods:
        raise UserError(f"{place} {tag}: expected one of {', '.join(methods)}, got {shown(method)}")
    return _completed_below(table, methods[method], where, section)


def _completed_below(table: dict, kind: type[msgspec.Struct], where: str, section: str) -> dict:
    """The same of each table in `table`, which holds settings of the struct `kind`."""
    return table | {item.name: _completed(table[item.name], item.type, item.default, where,
                                          f"{section}.{item.name}".lstrip("."))
                    for item in msgspec.structs.fields(kind) if item.name in table}


def _choices(kind: object) -> tuple[type[msgspec.Struct], ...]:
    """The structs between which a setting chooses; none where it is no section."""
    several = get_args(kind) if get_origin(kind) is types.UnionType else (kind,)
    return tuple(one for one in several if isinstance(one, type) and issubclass(one, msgspec.Struct))


def _settings(choices: tuple[type[msgspec.Struct], ...]) -> tuple[str, ...]:
    """Names of the settings of a section; of a choice between several, told apart by `method`, those of all."""
    names: dict[str, None] = {}
    for choice in choices:
        if choice.__struct_config__.tag_field:
            names[choice.__struct_config__.tag_field] = None
        names |= dict.fromkeys(struct_field.name for struct_field in msgspec.structs.fields(choice))
    return tuple(names)


def _refuse_unknown(table: object, known: _Known, what: str) -> None:
    for name in table if isinstance(table, dict) else ():
        if name not in known.names:
            raise UserError(f"{known.place}: {unknown(what, name, known.names)}")


def _refuse_moved(document: dict[str, Any], where: str) -> None:
    for (section, name), (new_section, new_name) in MOVED.items():
        if isinstance(table := document.get(section), dict) and name in table:
            raise UserError(f"{where}: [{section}] {name} is now [{new_section}] {new_name}: write there "
                            f"{new_name} = {table[name]!r} and take it out here")


def _in_words(message: str, kind: type[msgspec.Struct]) -> str:
    """`Expected `int` >= 1 - at `$.grid.nlat`` -> `[grid] nlat: Expected int >= 1`."""
    text, _, place = message.partition(" - at `$.")
    section, _, name = place.rstrip("`").partition(".")
    if text.startswith("Invalid enum value "):
        given = text.removeprefix("Invalid enum value ").strip("'")
        text = unknown("value", given, _known_values(kind, f"{section}.{name}".split(".")))
    elif "RFC3339" in text or "Expected `datetime`" in text:
        text = "expected a time such as 1989-01-01T06:00:00Z, without quotes"
    elif "matching regex" in text:
        text = "expected letters, digits, '_', '.' and '-', the first a letter or a digit"
    text = text.replace("`", "")
    return f"[{section}] {name}: {text}".replace(" :", ":") if section else text


def _known_values(kind: object, path: list[str]) -> list[object]:
    """The values that a setting may have, which is a choice between some."""
    if not path:
        return [value for each in (kind, *get_args(kind)) if get_origin(each) is Literal for value in get_args(each)]
    fields = {item.name: item.type for choice in _choices(kind) for item in msgspec.structs.fields(choice)}
    return _known_values(fields.get(path[0].partition("[")[0]), path[1:])
