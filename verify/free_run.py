"""A free run of years beside a climate: global means once a day, and the power of zonal waves, in one file.

`free_run.nc` in an experiment's folder; `tests.benchmarks.free_climate` writes it, the report draws it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from contracts import netcdf, times
from verify import score_file

CONTRACT = "free_run/1"
PERCENTILES = (1, 99)  # of the days of the climate, between which a day is inside


@dataclass(frozen=True)
class FreeRun:
    """Of the run `seconds` (day,) since 1970, `means` (day, channel) over the globe and `power` (channel, wavenumber)
    of zonal waves, mean over days and, by area, latitudes; of the climate `low` and `high` (channel,), the PERCENTILES
    of the means of its days, and `climate_power` (channel, wavenumber)."""

    channels: tuple[str, ...]
    seconds: np.ndarray
    means: np.ndarray
    power: np.ndarray
    low: np.ndarray
    high: np.ndarray
    climate_power: np.ndarray

    @property
    def outside(self) -> np.ndarray:
        """(day, channel) bool"""
        return (self.means < self.low) | (self.means > self.high)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises ContractError where the file is none of these."""
        with netcdf.open_to_read(path, CONTRACT) as dataset:
            return cls(score_file.names(dataset, "channel"), *(np.asarray(dataset[name][:]) for name in _DIMENSIONS))

    def write(self, path: Path, experiment: str) -> None:
        """By rename."""
        with netcdf.create(path, CONTRACT, {"experiment": experiment}) as dataset:
            dataset.add_dimension("day", self.seconds.size)
            dataset.add_dimension("wavenumber", self.power.shape[1])
            score_file.add_names(dataset, "channel", self.channels)
            score_file.add_names(dataset, "units", [score_file.units(name) for name in self.channels], "channel")
            for name, dimensions in _DIMENSIONS.items():
                of_time = {"units": times.UNITS, "calendar": times.CALENDAR} if name == "seconds" else {}
                netcdf.add(dataset, name, dimensions, getattr(self, name), **of_time)


_DIMENSIONS: dict[str, tuple[str, ...]] = {
    "seconds": ("day",), "means": ("day", "channel"), "power": ("channel", "wavenumber"), "low": ("channel",),
    "high": ("channel",), "climate_power": ("channel", "wavenumber")}
