"""ERA5 as WeatherBench gives it, so that a user who has it trains on it with the same command.

NetCDF  (WeatherBench, Rasp et al. 2020): <folder>/<variable>/<variable>_5.625deg_<year>.nc with short names inside,
        levels in hPa, hourly, and <folder>/constants/constants_5.625deg.nc
zarr    (WeatherBench 2, Rasp et al. 2024): one store with long names, dimensions in any order, constants inside;
        read with xarray, which is imported only here and only then
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np

from contracts import times as valid_times
from contracts.constants import GRAVITY, HECTOPASCAL
from contracts.errors import UserError
from contracts.grid import Grid
from contracts.state import StateSpace
from contracts.static import Static
from contracts.variables import Channel

SHORT_NAMES = {
    "geopotential": "z", "u_component_of_wind": "u", "v_component_of_wind": "v", "temperature": "t",
    "specific_humidity": "q", "2m_temperature": "t2m", "10m_u_component_of_wind": "u10",
    "10m_v_component_of_wind": "v10", "surface_pressure": "sp",
}
SAME_DEGREES = 1e-3  # coordinates are float32 in many of these files


def of(data: str, space: StateSpace) -> "NetcdfSource | ZarrSource":
    """A zarr store or a folder of NetCDF files; raises UserError where neither is there."""
    name = os.path.expandvars(data)
    if name.rstrip("/").endswith(".zarr") or "://" in name:
        return ZarrSource(space, _open_zarr(name))
    if not Path(name).is_dir():
        raise UserError(f"{name}: no such folder; expected WeatherBench's variables in folders, or a .zarr store")
    return NetcdfSource(space, Path(name))


@dataclass(frozen=True)
class NetcdfSource:
    """Yearly files per variable."""

    space: StateSpace
    folder: Path

    def static(self) -> Static:
        path = next(iter(sorted((self.folder / "constants").glob("*.nc"))), self.folder / "constants/constants.nc")
        with _dataset(path) as dataset:
            rows = _rows(str(path), dataset, self.space.grid)
            return Static(self.space.grid, dataset["orography"][:][rows], dataset["lsm"][:][rows])

    def read(self, times: Sequence[datetime]) -> np.ndarray:
        fields = np.empty((len(times), *self.space.shape), np.float32)
        for variable in self.space.variables:
            channels = self.space.index(variable)
            for year in sorted({time.year for time in times}):
                here = np.flatnonzero([time.year == year for time in times])
                fields[np.ix_(here, channels)] = self._year(variable, [times[int(i)] for i in here])
        return _finite(fields, times, self.space, str(self.folder))

    def _year(self, variable: str, times: Sequence[datetime]) -> np.ndarray:
        """(time, level, lat, lon) of a variable at `times`, all of one year."""
        found = sorted((self.folder / variable).glob(f"{variable}_*{times[0].year}*.nc"))
        path = found[0] if found else self.folder / variable / f"{variable}_5.625deg_{times[0].year}.nc"
        with _dataset(path) as dataset:
            rows = _rows(str(path), dataset, self.space.grid)
            when = _times_in(path, dataset, times)
            stored = dataset[SHORT_NAMES[variable]]
            if "level" not in stored.dimensions:
                return np.asarray(stored[when])[:, None][:, :, rows]
            levels = _numbers(str(path), dataset["level"][:] * HECTOPASCAL, self.space.levels(variable), "levels in Pa")
            return np.asarray(stored[when])[:, levels][:, :, rows]


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
            (number,) = _numbers("the zarr store", levels, np.array([channel.pressure]), "levels in Pa")
            field = field.isel(level=number)
        return self._ordered(field.transpose("time", "latitude", "longitude").values)

    def _plain(self, name: str) -> np.ndarray:
        field = self.dataset[name]
        field = field.isel(time=0) if "time" in field.dims else field
        return self._ordered(field.transpose("latitude", "longitude").values)

    def _ordered(self, values: np.ndarray) -> np.ndarray:
        lat, lon = self.dataset["latitude"].values, self.dataset["longitude"].values
        return values[..., _row_order("the zarr store", lat, lon, self.space.grid), :]


def _open_zarr(name: str) -> Any:
    try:
        import xarray
    except ModuleNotFoundError:
        raise UserError("a zarr store needs xarray and zarr: pip install xarray zarr") from None
    try:
        return xarray.open_zarr(name, chunks=None)
    except (OSError, ValueError, ImportError) as error:
        raise UserError(f"{name}: is no zarr store that can be opened ({error})") from None


def _dataset(path: Path) -> netCDF4.Dataset:
    try:
        dataset = netCDF4.Dataset(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error}); expected a WeatherBench NetCDF file") from None
    dataset.set_auto_mask(False)
    return dataset


def _times_in(path: Path, dataset: netCDF4.Dataset, times: Sequence[datetime]) -> np.ndarray:
    """Numbers of `times` in the file."""
    axis = dataset["time"]
    stamps: Any = netCDF4.num2date(axis[:], axis.units, getattr(axis, "calendar", "standard"),
                              only_use_cftime_datetimes=False, only_use_python_datetimes=True)
    number = {valid_times.to_seconds(stamp.replace(tzinfo=UTC)): i for i, stamp in enumerate(stamps)}
    missing = [time for time in times if valid_times.to_seconds(time) not in number]
    if missing:
        raise UserError(f"{path}: has no {valid_times.name(missing[0])}, {len(missing)} times are missing")
    return np.array([number[valid_times.to_seconds(time)] for time in times])


def _rows(where: str, dataset: netCDF4.Dataset, grid: Grid) -> slice:
    return _row_order(where, dataset["lat"][:], dataset["lon"][:], grid)


def _row_order(where: str, lat: np.ndarray, lon: np.ndarray, grid: Grid) -> slice:
    """The slice that makes latitude ascend; raises UserError where the grid is another one."""
    order = slice(None) if lat[0] < lat[-1] else slice(None, None, -1)
    if (lat.size, lon.size) != grid.shape or not (
        np.allclose(lat[order], grid.lat, atol=SAME_DEGREES) and np.allclose(lon, grid.lon, atol=SAME_DEGREES)
    ):
        raise UserError(
            f"{where}: expected the {grid}, got {lat.size} x {lon.size}, lat {lat[0]:g} to {lat[-1]:g}, "
            f"lon {lon[0]:g} to {lon[-1]:g}; check [grid]"
        )
    return order


def _numbers(where: str, found: np.ndarray, wanted: np.ndarray, what: str) -> np.ndarray:
    """Where each of `wanted` stands in `found`."""
    near = np.isclose(np.asarray(found, float)[None], wanted[:, None])
    if not near.any(axis=1).all():
        raise UserError(f"{where}: expected {what} {wanted}, got {found}")
    return near.argmax(axis=1)


def _finite(fields: np.ndarray, times: Sequence[datetime], space: StateSpace, where: str) -> np.ndarray:
    bad = ~np.isfinite(fields)
    if bad.any():
        time, channel, *_ = np.argwhere(bad)[0]
        name = space.channels[channel].name
        raise UserError(f"{where}: {name} at {valid_times.name(times[time])} is not finite")
    return fields
