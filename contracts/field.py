"""One named field on levels and grid (`field/1`): inflation, relaxation factor, local observation count."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from contracts import netcdf, times
from contracts.errors import ContractError
from contracts.grid import Grid
from contracts.paths import Disk, Withheld

if TYPE_CHECKING:
    from contracts.created import NewDataset

CONTRACT = "field/1"
_DIMENSIONS = ("level", "lat", "lon")


@dataclass(frozen=True)
class Field:
    """`data` float64 (level, lat, lon) at `time`; `levels` Pa, the surface at its nominal pressure."""

    name: str
    units: str
    grid: Grid
    levels: np.ndarray
    data: np.ndarray
    time: datetime

    def __post_init__(self):
        levels, data = np.asarray(self.levels, np.float64), np.asarray(self.data, np.float64)
        if data.shape != (levels.size, *self.grid.shape) or not np.isfinite(data).all():
            raise ValueError(f"{self.name} must be finite on {(levels.size, *self.grid.shape)}, got {data.shape}")
        object.__setattr__(self, "levels", levels)
        object.__setattr__(self, "data", data)


def write(path: Path, field: Field, experiment: str = "", disk: Disk | None = None) -> None:
    """Write one field atomically; with `disk` it is there when the block of `paths.side_by_side` ends."""
    with _begun(path, field.name, field.grid, field.levels, field.time, experiment, disk) as dataset:
        netcdf.add(dataset, field.name, _DIMENSIONS, field.data, **_described(field.name, field.units))


def lay_down(path: Path, name: str, units: str, grid: Grid, levels: np.ndarray, time: datetime, experiment: str = "",
             disk: Withheld | None = None) -> np.ndarray:
    """The file of one field, with room for its numbers, (chunk, 7) as `rooms.fill` takes it, whose rows are levels."""
    with _begun(path, name, grid, levels, time, experiment, disk) as dataset:
        return netcdf.add_room(dataset, name, _DIMENSIONS, np.dtype(np.float64), 0, **_described(name, units))


def cuts(grid: Grid, levels: np.ndarray) -> list[int]:
    """Numbers of levels from 0 to all of them between which are parts that different processes may write."""
    return [*netcdf.first_of_chunks((levels.size, *grid.shape), 8), levels.size]


@contextmanager
def _begun(path: Path, name: str, grid: Grid, levels: np.ndarray, time: datetime, experiment: str,
           disk: Disk | Withheld | None) -> Iterator["NewDataset"]:
    with netcdf.create(path, CONTRACT, {"experiment": experiment, "field": name}, disk) as dataset:
        netcdf.add_time(dataset, time)
        netcdf.add_levels(dataset, levels)
        netcdf.add_horizontal_axes(dataset, grid.lat, grid.lon)
        yield dataset


def _described(name: str, units: str) -> dict[str, str]:
    return {"units": units, "long_name": name.replace("_", " "), "coordinates": netcdf.LEVEL_HPA}


def read(path: Path, name: str, grid: Grid, levels: np.ndarray) -> Field:
    """Read the field `name`; raises ContractError where name, grid, levels or values do not fit."""
    with netcdf.open_to_read(path, CONTRACT) as dataset:
        if name not in dataset.variables:
            raise ContractError(f"{path}: expected a field {name!r}, got {getattr(dataset, 'field', None)!r}")
        try:
            lat, lon = dataset["lat"][:], dataset["lon"][:]
            if not grid.has_axes(lat, lon):
                raise ContractError(f"{path}: expected the {grid}, got the {Grid(lat, lon)}")
            if not np.array_equal(dataset["level"][:], levels):
                raise ContractError(f"{path}: expected levels {levels} Pa, got {dataset['level'][:]} Pa")
            time = times.from_seconds(dataset["time"][0])
            return Field(name, dataset[name].units, grid, levels, dataset[name][:], time)
        except ValueError as error:
            raise ContractError(f"{path}: {error}") from error
