"""One named field on levels and grid (`field/1`): inflation, relaxation factor, local observation count."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from contracts import netcdf, times
from contracts.errors import ContractError
from contracts.grid import Grid
from contracts.paths import Disk

CONTRACT = "field/1"


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
    with netcdf.create(path, CONTRACT, {"experiment": experiment, "field": field.name}, disk) as dataset:
        netcdf.add_time(dataset, field.time)
        netcdf.add_levels(dataset, field.levels)
        netcdf.add_horizontal_axes(dataset, field.grid.lat, field.grid.lon)
        netcdf.add(dataset, field.name, ("level", "lat", "lon"), field.data, units=field.units,
                   long_name=field.name.replace("_", " "), coordinates=netcdf.LEVEL_HPA)


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
