"""A model state and the space it lives in, and their files (`state/1`).

A state is a stack of channels; equality of two state spaces is the handshake between programs.  In the file
each variable on levels is (time, level, lat, lon) and each surface variable (time, lat, lon), so that it opens
in xarray as a meteorologist expects.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from contracts import netcdf, times
from contracts.constants import HECTOPASCAL
from contracts.errors import ContractError
from contracts.grid import Grid
from contracts.paths import Disk, Withheld
from contracts.variables import VARIABLES, Channel, Variable

if TYPE_CHECKING:
    from contracts.created import NewDataset
    from contracts.opened import Dataset

CONTRACT = "state/1"
MEMBER = "realization"
COURSE = "cost_by_iteration"
CELL_METHODS = {"mean": "mean", "spread": "standard_deviation"}  # of members, by what a file is of them
NO_STATE = 100.0  # times the largest number of a variable's valid range


@dataclass(frozen=True)
class StateSpace:
    """Where states live: a grid and an ordered tuple of channels, levels of a variable ascending in pressure."""

    grid: Grid
    channels: tuple[Channel, ...]

    def __post_init__(self):
        if not self.channels or len(set(self.channels)) != len(self.channels):
            raise ValueError("a state space needs channels, each once")
        for variable in self.variables:
            pressure = self.levels(variable)
            if (np.diff(pressure) <= 0).any():
                raise ValueError(f"{variable}: levels must stand in ascending order of pressure, got {pressure} Pa")

    @classmethod
    def of(cls, grid: Grid, levels: Sequence[float], on_levels: Sequence[str],
           at_surface: Sequence[str]) -> "StateSpace":
        """Every variable of `on_levels` on all `levels` (Pa, any order), then the surface variables."""
        stacked = [Channel(variable, float(p)) for variable in on_levels for p in sorted(levels)]
        return cls(grid, (*stacked, *(Channel.surface(variable) for variable in at_surface)))

    @cached_property
    def variables(self) -> tuple[str, ...]:
        """Names in order of appearance."""
        return tuple(dict.fromkeys(channel.variable for channel in self.channels))

    @cached_property
    def _index(self) -> dict[str, np.ndarray]:
        return {name: np.array([i for i, channel in enumerate(self.channels) if channel.variable == name])
                for name in self.variables}

    def index(self, variable: str) -> np.ndarray:
        """Channel numbers of a variable, pressure ascending (one number for a surface variable); KeyError if absent."""
        return self._index[variable]

    def levels(self, variable: str) -> np.ndarray:
        """Pressures in Pa of a variable's channels."""
        return np.array([self.channels[i].pressure for i in self.index(variable)])

    @cached_property
    def pressure(self) -> np.ndarray:
        """(channel,) Pa, nominal for surface channels."""
        return np.array([channel.pressure for channel in self.channels])

    @cached_property
    def analysis_levels(self) -> np.ndarray:
        """(level,) Pa: the distinct pressures of the channels, ascending; an analysis tells and carries a number on
        each."""
        return np.unique(self.pressure)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channel, nlat, nlon)"""
        return (len(self.channels), *self.grid.shape)

    def __contains__(self, variable: str) -> bool:
        return variable in self._index

    def __str__(self) -> str:
        parts = [f"{name} [{', '.join(f'{p / HECTOPASCAL:g}' for p in self.levels(name))} hPa]"
                 if VARIABLES[name].on_levels else name for name in self.variables]
        return f"{self.grid}; " + ", ".join(parts)


@dataclass(frozen=True)
class State:
    """`data` float32 (channel, lat, lon) in SI units at `time`. NaN is illegal."""

    space: StateSpace
    data: np.ndarray
    time: datetime

    def __post_init__(self):
        data = np.asarray(self.data, dtype=np.float32)
        if data.shape != self.space.shape:
            raise ValueError(f"state data must have shape {self.space.shape}, got {data.shape}")
        bad = ~np.isfinite(data)
        if bad.any():
            channel, row, col = np.argwhere(bad)[0]
            raise ValueError(
                f"{self.space.channels[channel].name} is not finite at "
                f"lat {self.space.grid.lat[row]:g}, lon {self.space.grid.lon[col]:g}"
            )
        object.__setattr__(self, "data", data)

    def field(self, variable: str) -> np.ndarray:
        """(level, lat, lon) of a variable."""
        return self.data[self.space.index(variable)]


def write(path: Path, state: State, member: int | None = None, experiment: str = "",
          statistic: str | None = None, start: datetime | None = None, disk: Disk | None = None,
          course: np.ndarray | None = None) -> None:
    """Write one state atomically; `member` from 1, or `statistic` "mean" or "spread", or a method's own, by its name.

    The number of the member is a scalar coordinate `realization` too, and what is a mean or spread of members says so
    in `cell_methods`.  `start` of an extended forecast is kept as `forecast_reference_time`, and the lead as
    `forecast_period`.  With `disk` it is there when the block of `paths.side_by_side` ends.  `course` (iterations + 1,)
    is the cost for each observation along the minimisation that made the state, an attribute.
    """
    with netcdf.create(path, CONTRACT, _attributes(experiment, member, statistic, course), disk) as dataset:
        scalars = add_axes(dataset, state.space, state.time, start, member)
        for name in state.space.variables:
            netcdf.add(dataset, name, dimensions_of(name), in_file(state, name),
                       **described(name, scalars, statistic))


def lay_down(path: Path, space: StateSpace, time: datetime, member: int | None = None, experiment: str = "",
             statistic: str | None = None, disk: Withheld | None = None) -> np.ndarray:
    """The file of one state, with room for its numbers, (chunk, 7) as `rooms.fill` takes it, whose rows are channels;
    all else as for `write`."""
    with netcdf.create(path, CONTRACT, _attributes(experiment, member, statistic), disk) as dataset:
        scalars = add_axes(dataset, space, time, None, member)
        return np.concatenate([
            netcdf.add_room(dataset, name, dimensions_of(name), np.dtype(np.float32), int(space.index(name)[0]),
                            **described(name, scalars, statistic)) for name in space.variables])


def cuts(space: StateSpace) -> list[int]:
    """Channel numbers from 0 to all of them at which chunks of a file begin: between two of them are parts that
    different processes may write."""
    parts = [space.index(name) for name in space.variables]
    if not np.array_equal(np.concatenate(parts), np.arange(len(space.channels))):
        return [0, len(space.channels)]
    long = [netcdf.first_of_chunks((part.size, *space.grid.shape), 4) for part in parts]
    return [*(int(part[0] + first) for part, firsts in zip(parts, long, strict=True) for first in firsts),
            len(space.channels)]


def _attributes(experiment: str, member: int | None, statistic: str | None,
                course: np.ndarray | None = None) -> dict[str, object]:
    known = {"member": None if member is None else np.int32(member), "statistic": statistic, COURSE: course}
    return {"experiment": experiment} | {name: value for name, value in known.items() if value is not None}


def add_axes(dataset: "NewDataset", space: StateSpace, time: datetime, start: datetime | None,
             members: int | Sequence[int] | None) -> list[str]:
    """Dimensions and coordinates of states, of one member, of several or of none; returns the names of those without a
    dimension that stand with every variable."""
    netcdf.add_time(dataset, time)
    if start is not None:
        netcdf.add_forecast(dataset, start, time)
    if isinstance(members, Sequence):
        dataset.add_dimension(MEMBER, len(members))
        netcdf.add(dataset, MEMBER, (MEMBER,), np.array(members, np.int32), units="1", standard_name=MEMBER)
    elif members is not None:
        netcdf.add_scalar(dataset, MEMBER, members, units="1", standard_name=MEMBER)
    on_levels = [name for name in space.variables if VARIABLES[name].on_levels]
    if on_levels:
        netcdf.add_levels(dataset, _common_levels(space, on_levels))
    netcdf.add_horizontal_axes(dataset, space.grid.lat, space.grid.lon)
    heights = {height for name in space.variables if (height := VARIABLES[name].height) is not None}
    for height in sorted(heights):
        netcdf.add_scalar(dataset, height_name(height), height, units="m", standard_name="height", positive="up")
    return ([] if start is None else ["forecast_reference_time", "forecast_period"]) + (
        [] if members is None or isinstance(members, Sequence) else [MEMBER])


def dimensions_of(name: str) -> tuple[str, ...]:
    """Of a variable in the file of one state."""
    return ("time", "level", "lat", "lon") if VARIABLES[name].on_levels else ("time", "lat", "lon")


def in_file(state: State, name: str) -> np.ndarray:
    """The values of a variable in these dimensions, one time."""
    return state.field(name)[None] if VARIABLES[name].on_levels else state.field(name)


def described(name: str, scalars: list[str], statistic: str | None = None) -> dict[str, str]:
    """The attributes of a variable; `scalars` as `add_axes` returns them."""
    variable = VARIABLES[name]
    coordinates = [*scalars, *([netcdf.LEVEL_HPA] if variable.on_levels else []),
                   *([] if variable.height is None else [height_name(variable.height)])]
    of_members = {"cell_methods": f"realization: {CELL_METHODS[statistic]}"} if statistic in CELL_METHODS else {}
    return {"units": variable.units, "long_name": variable.long_name, "standard_name": variable.standard_name,
            **of_members, **({"coordinates": " ".join(coordinates)} if coordinates else {})}


def course(path: Path) -> np.ndarray | None:
    """(iterations + 1,) what `write` was told of the minimisation that made a state, None where there was none."""
    with netcdf.open_to_read(path, CONTRACT) as dataset:
        found = getattr(dataset, COURSE, None)
        return None if found is None else np.atleast_1d(found)


def height_name(metres: float) -> str:
    """Of the scalar coordinate: `height_2m`."""
    return f"height_{metres:g}m"


def _common_levels(space: StateSpace, names: list[str]) -> np.ndarray:
    levels = space.levels(names[0])
    for name in names[1:]:
        if not np.array_equal(space.levels(name), levels):
            raise ContractError(f"{name} has levels {space.levels(name)} Pa, {names[0]} has {levels} Pa: "
                                "a state file has one set of levels")
    return levels


def read(path: Path, space: StateSpace, time: datetime | None = None) -> State:
    """Read the channels of `space`; raises ContractError where grid, channels, units, time or values do not fit."""
    with netcdf.open_to_read(path, CONTRACT) as dataset:
        return Opened.of(path, dataset, space, time).state()


@dataclass(frozen=True)
class Opened:
    """A file that is open to be read: the channels of `space`, at its `time`; `levels` (level,) Pa are the file's."""

    path: Path
    dataset: "Dataset"
    space: StateSpace
    time: datetime
    levels: np.ndarray

    @classmethod
    def of(cls, path: Path, dataset: "Dataset", space: StateSpace, time: datetime | None) -> "Opened":
        """Raises ContractError where grid or time do not fit."""
        found = _read_time(path, dataset)
        if time is not None and found != time:
            raise ContractError(f"{path}: expected the state of {times.name(time)}, got {times.name(found)}")
        _check_grid(path, dataset, space.grid)
        return cls(path, dataset, space, found,
                   dataset["level"][:] if "level" in dataset.variables else np.empty(0))

    def state(self, row: int | None = None) -> State:
        """The state, or that in a `row` where there are several; raises ContractError where channels, units or values
        do not fit."""
        try:
            data = np.concatenate([_read_variable(self, name, row) for name in self.space.variables])
            return State(self.space, data, self.time)
        except ValueError as error:
            raise ContractError(f"{self.path}: {error}; expected finite values on {self.space.shape}") from error


def grid_of(path: Path) -> Grid:
    """The grid of a state file; raises ContractError where its axes are none of a globe."""
    with netcdf.open_to_read(path, CONTRACT) as dataset:
        try:
            return Grid(dataset["lat"][:], dataset["lon"][:])
        except ValueError as error:
            raise ContractError(f"{path}: {error}") from error


def variables_of(path: Path) -> frozenset[str]:
    """Names of what a state file holds, axes among them."""
    with netcdf.open_to_read(path, CONTRACT) as dataset:
        return frozenset(dataset.variables)


def _read_time(path: Path, dataset: "Dataset") -> datetime:
    seconds = dataset["time"][:]
    if seconds.size != 1:
        raise ContractError(f"{path}: expected one time, got {seconds.size}")
    return times.from_seconds(seconds[0])


def _check_grid(path: Path, dataset: "Dataset", grid: Grid) -> None:
    lat, lon = dataset["lat"][:], dataset["lon"][:]
    if not grid.has_axes(lat, lon):
        raise ContractError(f"{path}: expected the {grid}, got {lat.size} x {lon.size}, "
                            f"lat {lat[0]:g} to {lat[-1]:g}, lon {lon[0]:g} to {lon[-1]:g}; "
                            "check [grid] in the experiment file")


def _read_variable(file: Opened, name: str, row: int | None) -> np.ndarray:
    """(level, lat, lon), one level for a surface variable; of the state in a `row` where there are several."""
    path, dataset, levels = file.path, file.dataset, file.levels
    if name not in dataset.variables:
        raise ContractError(f"{path}: has no variable {name!r}; it has {', '.join(dataset.variables)}")
    variable, found = VARIABLES[name], dataset[name]
    if getattr(found, "units", None) != variable.units:
        raise ContractError(f"{path}: expected {name} in {variable.units!r}, got {getattr(found, 'units', None)!r}")
    one = (0,) if row is None else (row, 0)
    axes = (*((levels.size,) if variable.on_levels else ()), *file.space.grid.shape)
    if found.shape[len(one) :] != axes:
        raise ContractError(f"{path}: expected {name} to be of {axes} at a time, got {found.shape[len(one):]}")
    if not variable.on_levels:
        return _sensible(path, found.part(*one)[None], variable)
    wanted = file.space.levels(name)
    where = np.searchsorted(levels, wanted)
    if (where >= levels.size).any() or not np.array_equal(levels[where], wanted):
        raise ContractError(f"{path}: expected {name} on levels {wanted} Pa, got {levels} Pa")
    between = slice(int(where[0]), int(where[-1]) + 1)  # of a part of a state its part of the file
    values = found.part(*one, between)
    return _sensible(path, values if values.shape[0] == where.size else values[where - where[0]], variable)


def _sensible(path: Path, values: np.ndarray, variable: Variable) -> np.ndarray:
    """Refuses numbers that no state, difference or spread of this variable has: their squares would be infinite."""
    most = NO_STATE * max(map(abs, variable.valid_range))
    if values.size and np.abs(values).max() > most:
        raise ContractError(f"{path}: {variable.name} reaches {np.abs(values).max():g} {variable.units}, which no "
                            f"state does; expected {variable.valid_range[0]:g} to {variable.valid_range[1]:g}")
    return values
