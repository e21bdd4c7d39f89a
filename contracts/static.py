"""Fields that do not change: orography and land-sea mask (`static/1`)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from contracts import netcdf
from contracts.errors import ContractError
from contracts.grid import Grid

CONTRACT = "static/1"


@dataclass(frozen=True)
class Static:
    """`orography` m and `land_sea_mask` 0 (sea) … 1 (land), both float32 (lat, lon)."""

    grid: Grid
    orography: np.ndarray
    land_sea_mask: np.ndarray

    def __post_init__(self):
        for name in ("orography", "land_sea_mask"):
            values = np.asarray(getattr(self, name), dtype=np.float32)
            if values.shape != self.grid.shape or not np.isfinite(values).all():
                raise ValueError(f"{name} must be finite on {self.grid.shape}, got shape {values.shape}")
            object.__setattr__(self, name, values)


def write(path: Path, static: Static, experiment: str = "") -> None:
    """Write the static fields atomically."""
    with netcdf.create(path, CONTRACT, {"experiment": experiment}) as dataset:
        netcdf.add_horizontal_axes(dataset, static.grid.lat, static.grid.lon)
        netcdf.add(dataset, "orography", ("lat", "lon"), static.orography,
                   units="m", standard_name="surface_altitude", long_name="height of the model's ground")
        netcdf.add(dataset, "land_sea_mask", ("lat", "lon"), static.land_sea_mask,
                   units="1", standard_name="land_area_fraction", long_name="share of land")


def read(path: Path, grid: Grid) -> Static:
    """Read the static fields; raises ContractError where the grid or the values do not fit."""
    with netcdf.open_to_read(path, CONTRACT) as dataset:
        try:
            lat, lon = dataset["lat"][:], dataset["lon"][:]
            if not grid.has_axes(lat, lon):
                raise ContractError(f"{path}: expected the {grid}, got the {Grid(lat, lon)}; check [grid]")
            return Static(grid, dataset["orography"][:], dataset["land_sea_mask"][:])
        except ValueError as error:
            raise ContractError(f"{path}: {error}") from error
