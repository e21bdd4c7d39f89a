"""States of others on the grid and the levels that one wants: files of NetCDF or GRIB, or a store of zarr.

    "era5/%Y.nc"                       NetCDF, of one time or many: ERA5 of the Climate Data Store, WeatherBench, ours
    "gfs.%Y%m%d%H.grib2"               GRIB: one time in a file
    "…/1959-2023-64x32.zarr"           WeatherBench 2

strftime codes stand for the time of the state, $NAME for environment variables. A variable is looked for in each of
several patterns in turn, for files of levels and of the surface.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from contracts import config, times
from contracts.constants import HECTOPASCAL
from contracts.errors import UserError
from contracts.grid import Grid
from contracts.state import StateSpace
from contracts.static import Static
from contracts.variables import VARIABLES, Channel
from networks.data import era5, grib, weatherbench
from networks.data.regrid import Method, Regridding, onto
from networks.data.weatherbench import SHORT_NAMES


class Found(Protocol):
    """States of one file or store at one time."""

    def holds(self, variable: str) -> bool: ...
    def grid(self, variable: str) -> Grid: ...
    def levels(self, variable: str) -> np.ndarray: ...
    def read(self, variable: str, levels: np.ndarray) -> np.ndarray: ...


def read(patterns: Sequence[str], time: datetime, space: StateSpace, method: Method) -> np.ndarray:
    """float32 (channel, lat, lon) in `space`; raises UserError naming file and variable where one is not there."""
    every = [_opened(pattern, time) for pattern in patterns]
    state = np.empty(space.shape, np.float32)
    for variable in space.variables:
        found = next((one for one in every if one.holds(variable)), None)
        if found is None:
            raise UserError(f"{', '.join(map(str, every))}: has no {variable}, which [state] asks for; name a file "
                            "that has it too, or take it out of [state]")
        own = space.index(variable)
        part = StateSpace(space.grid, tuple(space.channels[i] for i in own))
        state[own] = onto(part, found.grid(variable), found.levels, found.read, method, str(found))
    return state


def hold(patterns: Sequence[str], time: datetime) -> bool:
    """Whether states of `time` are there, by the files of all patterns, and by the times in those of many times."""
    return all(_holds(pattern, time) for pattern in patterns)


def _holds(pattern: str, time: datetime) -> bool:
    if _is_store(pattern):
        return bool((np.asarray(_store(pattern)["time"].values) == np.datetime64(time.replace(tzinfo=None))).any())
    path = config.file_of(pattern, time)
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        return file.read(4) == grib.START or time in era5.hold(path)


def static(patterns: Sequence[str], time: datetime, grid: Grid, method: Method) -> Static:
    """Orography and land-sea mask from the first of the files that has them."""
    refusals = []
    for pattern in patterns:
        try:
            own = _opened(pattern, time).static()
            change = Regridding(own.grid, grid, method)
            return Static(grid, change(own.orography), np.clip(change(own.land_sea_mask), 0.0, 1.0))
        except UserError as error:
            refusals.append(str(error))
    raise UserError(f"{refusals[0]}; name a file with orography and land-sea mask in [initial] static")


def _opened(pattern: str, time: datetime) -> Any:
    if _is_store(pattern):
        return _Zarr(pattern, time)
    path = config.file_of(pattern, time)
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected the state of {times.name(time)} there, by {pattern!r}")
    with open(path, "rb") as file:
        start = file.read(4)
    return _Grib(path, time) if start == grib.START else _Netcdf(path, time)


def _is_store(pattern: str) -> bool:
    return pattern.rstrip("/").endswith(".zarr") or "://" in pattern


@dataclass(frozen=True)
class _Netcdf:
    path: Path
    time: datetime

    def __str__(self) -> str:
        return str(self.path)

    @cached_property
    def _there(self) -> dict[str, tuple[Grid, np.ndarray]]:
        return era5.inventory(self.path)

    def _name(self, variable: str) -> str | None:
        return next((name for name in (SHORT_NAMES.get(variable), variable) if name in self._there), None)

    def holds(self, variable: str) -> bool:
        """A file of the surface has a z too, which is its orography."""
        name = self._name(variable)
        return name is not None and bool(self._there[name][1].size) == VARIABLES[variable].on_levels

    def grid(self, variable: str) -> Grid:
        return self._there[self._name(variable) or variable][0]

    def levels(self, variable: str) -> np.ndarray:
        return self._there[self._name(variable) or variable][1]

    def read(self, variable: str, levels: np.ndarray) -> np.ndarray:
        name = self._name(variable) or variable
        return era5.read(self.path, (name,), variable, [self.time], levels, self.grid(variable))[0]

    def static(self) -> Static:
        names = ("orography", "z", "geopotential", "geopotential_at_surface")
        grid = next((self._there[name][0] for name in names if name in self._there and not self._there[name][1].size),
                    None)
        if grid is None:
            raise UserError(f"{self.path}: has no orography; it has {', '.join(self._there)}")
        return era5.static(self.path, grid)


@lru_cache(2)  # one file has all variables of a state
def _grib(path: Path) -> grib.Fields:
    return grib.read(path)


@dataclass(frozen=True)
class _Grib:
    path: Path
    time: datetime

    def __str__(self) -> str:
        return str(self.path)

    @cached_property
    def fields(self) -> grib.Fields:
        found = _grib(self.path)
        if found.time != self.time:
            raise UserError(f"{self.path}: is valid at {times.name(found.time)}, expected {times.name(self.time)}")
        return found

    def holds(self, variable: str) -> bool:
        return any(name == variable for name, _ in self.fields.field)

    def grid(self, variable: str) -> Grid:
        return self.fields.grid

    def levels(self, variable: str) -> np.ndarray:
        return self.fields.levels(variable)

    def read(self, variable: str, levels: np.ndarray) -> np.ndarray:
        found = self.fields.read(variable, levels)
        return era5.in_si(f"{self.path}: {variable}", found, VARIABLES[variable].units, variable)

    def static(self) -> Static:
        return self.fields.static()


@lru_cache(4)
def _store(name: str) -> Any:
    return weatherbench.opened_zarr(os.path.expandvars(name))


@dataclass(frozen=True)
class _Zarr:
    name: str
    time: datetime

    def __str__(self) -> str:
        return self.name

    @property
    def _dataset(self) -> Any:
        return _store(self.name)

    def holds(self, variable: str) -> bool:
        return variable in self._dataset

    def grid(self, variable: str = "") -> Grid:
        return era5.grid_of(self.name, self._dataset["latitude"].values, self._dataset["longitude"].values)

    def levels(self, variable: str) -> np.ndarray:
        return np.sort(self._dataset["level"].values * HECTOPASCAL)

    def read(self, variable: str, levels: np.ndarray) -> np.ndarray:
        on_levels = tuple(Channel(variable, float(level)) for level in levels)
        own = StateSpace(self.grid(), on_levels or (Channel.surface(variable),))
        return weatherbench.ZarrSource(own, self._dataset).read([self.time])[0]

    def static(self) -> Static:
        own = StateSpace(self.grid(), (Channel.surface("2m_temperature"),))
        return weatherbench.ZarrSource(own, self._dataset).static()
