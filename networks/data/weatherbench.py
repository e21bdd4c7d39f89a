"""ERA5 as WeatherBench gives it, so that a user who has it trains on it with the same command.

NetCDF  (WeatherBench, Rasp et al. 2020): <folder>/<variable>/<variable>_5.625deg_<year>.nc with short names inside,
        levels in hPa, hourly, and <folder>/constants/constants_5.625deg.nc; files of the Climate Data Store too, of a
        year or of a month each, when they are put into such folders
zarr    (WeatherBench 2, Rasp et al. 2024): one store with long names, dimensions in any order, constants inside;
        read with xarray, which is imported only here and only then
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from contracts import times as valid_times
from contracts.constants import GRAVITY, HECTOPASCAL
from contracts.errors import UserError
from contracts.state import StateSpace
from contracts.static import Static
from contracts.variables import Channel
from networks.data import era5

SHORT_NAMES = {
    "geopotential": "z", "u_component_of_wind": "u", "v_component_of_wind": "v", "temperature": "t",
    "specific_humidity": "q", "2m_temperature": "t2m", "10m_u_component_of_wind": "u10",
    "10m_v_component_of_wind": "v10", "surface_pressure": "sp",
    "vertical_velocity": "w", "mean_sea_level_pressure": "msl", "total_column_water_vapour": "tcwv",
    "total_column_water": "tcw", "2m_dewpoint_temperature": "d2m", "skin_temperature": "skt",
    "100m_u_component_of_wind": "u100", "100m_v_component_of_wind": "v100", "soil_temperature_level_1": "stl1",
    "soil_temperature_level_2": "stl2", "volumetric_soil_water_layer_1": "swvl1",
    "volumetric_soil_water_layer_2": "swvl2",
}


def of(data: str, space: StateSpace) -> "NetcdfSource | ZarrSource":
    """A zarr store or a folder of NetCDF files; raises UserError where neither is there."""
    name = os.path.expandvars(data)
    if name.rstrip("/").endswith(".zarr") or "://" in name:
        return ZarrSource(space, opened_zarr(name))
    if not Path(name).is_dir():
        raise UserError(f"{name}: no such folder; expected WeatherBench's variables in folders, or a .zarr store")
    return NetcdfSource(space, Path(name))


@dataclass(frozen=True)
class NetcdfSource:
    """Files of a year or a month per variable (`era5` reads one)."""

    space: StateSpace
    folder: Path

    def static(self) -> Static:
        path = next(iter(sorted((self.folder / "constants").glob("*.nc"))), None)
        if path is None:
            raise UserError(f"{self.folder / 'constants'}: holds no NetCDF file; WeatherBench's constants_*.nc, or one "
                            "of your own with lat, lon, orography (m) or z (m2 s-2), and lsm (0 to 1), belongs there")
        return era5.static(path, self.space.grid)

    def read(self, times: Sequence[datetime]) -> np.ndarray:
        fields = np.empty((len(times), *self.space.shape), np.float32)
        for variable in self.space.variables:
            channels = self.space.index(variable)
            for path, numbers in self._files(variable, times).items():
                fields[np.ix_(np.array(numbers), channels)] = era5.read(
                    path, (SHORT_NAMES[variable], variable), variable, [times[i] for i in numbers],
                    self.space.levels(variable), self.space.grid)
        return fields

    def _files(self, variable: str, times: Sequence[datetime]) -> dict[Path, list[int]]:
        """Of each file, one of a year or of a month, the numbers of the times that it holds."""
        holder: dict[datetime, Path] = {}
        for year in sorted({time.year for time in times}):
            for path in sorted((self.folder / variable).glob(f"{variable}_*{year}*.nc")):
                for time in era5.hold(path):
                    if holder.setdefault(time, path) != path:
                        raise UserError(f"{path}: has {valid_times.name(time)}, and so has {holder[time]}; leave one "
                                        "out")
        found: dict[Path, list[int]] = {}
        for number, time in enumerate(times):
            found.setdefault(holder.get(time, self.folder / variable), []).append(number)
        if missing := found.get(self.folder / variable):
            raise UserError(f"{self.folder / variable}: has no {valid_times.name(times[missing[0]])}, {len(missing)} "
                            f"times are missing; expected them in files {variable}_*YEAR*.nc")
        return found


@dataclass(frozen=True)
class ZarrSource:
    """One store; `dataset` is an xarray.Dataset."""

    space: StateSpace
    dataset: Any

    def static(self) -> Static:
        if "orography" in self.dataset:
            height = self._plain("orography")
        else:
            height = self._plain("geopotential_at_surface") / GRAVITY
        return Static(self.space.grid, height, self._plain("land_sea_mask"))

    def read(self, times: Sequence[datetime]) -> np.ndarray:
        stamps = np.array([np.datetime64(time.astimezone(UTC).replace(tzinfo=None), "ns") for time in times])
        known = set(self.dataset["time"].values.astype("datetime64[ns]"))
        missing = [time for time, stamp in zip(times, stamps, strict=True) if stamp not in known]
        if missing:
            raise UserError(f"the zarr store has no {valid_times.name(missing[0])}, {len(missing)} times are missing")
        chosen = self.dataset.sel(time=stamps)
        return _finite(
            np.stack([self._channel(chosen, channel) for channel in self.space.channels], axis=1),
            times, self.space, "the zarr store",
        )

    def _channel(self, chosen: Any, channel: Channel) -> np.ndarray:
        """(time, lat, lon)"""
        if channel.variable not in chosen:
            raise UserError(f"the zarr store has no {channel.variable}; it has {', '.join(chosen.data_vars)}")
        field = chosen[channel.variable]
        if "level" in field.dims:
            levels = chosen["level"].values * HECTOPASCAL
            (number,) = era5.level_numbers("the zarr store", levels, np.array([channel.pressure]))
            field = field.isel(level=number)
        values = self._ordered(field.transpose("time", "latitude", "longitude").values)
        where = f"the zarr store: {channel.variable}"
        return era5.in_si(where, values, field.attrs.get("units", ""), channel.variable)

    def _plain(self, name: str) -> np.ndarray:
        field = self.dataset[name]
        field = field.isel(time=0) if "time" in field.dims else field
        return self._ordered(field.transpose("latitude", "longitude").values)

    def _ordered(self, values: np.ndarray) -> np.ndarray:
        lat, lon = self.dataset["latitude"].values, self.dataset["longitude"].values
        rows = era5.row_order("the zarr store", lat, self.space.grid)
        return values[..., rows, :][..., era5.column_order("the zarr store", lon, self.space.grid)]


def opened_zarr(name: str) -> Any:
    """A store as an xarray.Dataset; raises UserError where it is none."""
    try:
        import xarray
    except ModuleNotFoundError:
        raise UserError("a zarr store needs xarray and zarr: pip install 'letkf-mpi[weatherbench]'") from None
    try:
        return xarray.open_zarr(name, chunks=None)
    except (OSError, ValueError, ImportError) as error:
        raise UserError(f"{name}: is no zarr store that can be opened ({error})") from None


def _finite(fields: np.ndarray, times: Sequence[datetime], space: StateSpace, where: str) -> np.ndarray:
    bad = ~np.isfinite(fields)
    if bad.any():
        time, channel, *_ = np.argwhere(bad)[0]
        name = space.channels[channel].name
        raise UserError(f"{where}: {name} at {valid_times.name(times[time])} is not finite")
    return fields
