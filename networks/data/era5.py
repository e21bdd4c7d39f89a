"""A NetCDF file of ERA5 as people have it: names and axes of several providers, one field in SI units, nothing missing.

    time    time, valid_time                              level   level, pressure_level, plev (hPa unless it says Pa)
    lat     lat, latitude, from south or north            lon     lon, longitude, from 0 or from -180

in any order, with other dimensions of length 1.  Packed values are unpacked; units are those that the file says, of SI
where it says none.  A value that is missing by `_FillValue`, `missing_value` or `valid_range` is refused with its
place: a network would take it for weather.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np

from contracts import hdf5, netcdf
from contracts import times as valid_times
from contracts.constants import GRAVITY, HECTOPASCAL
from contracts.errors import UserError, brief, shown
from contracts.grid import Grid
from contracts.static import Static
from contracts.variables import VARIABLES

AXES = {"time": ("time", "valid_time"), "level": ("level", "pressure_level", "plev", "isobaricInhPa"),
        "lat": ("lat", "latitude"), "lon": ("lon", "longitude")}
SAME_DEGREES = 1e-3  # coordinates are float32 in many of these files
_KELVIN, _ONE = ("K", 1.0, 0.0), ("1", 1.0, 0.0)
# What a unit is written as, without spaces and asterisks, and what makes it ours: unit, factor, offset.
UNITS = {
    "K": _KELVIN, "kelvin": _KELVIN, "degC": ("K", 1.0, 273.15), "C": ("K", 1.0, 273.15),
    "Celsius": ("K", 1.0, 273.15), "celsius": ("K", 1.0, 273.15), "degrees_celsius": ("K", 1.0, 273.15),
    "ms-1": ("m s-1", 1.0, 0.0), "m/s": ("m s-1", 1.0, 0.0),
    "m2s-2": ("m2 s-2", 1.0, 0.0), "m2/s2": ("m2 s-2", 1.0, 0.0), "J/kg": ("m2 s-2", 1.0, 0.0),
    "kgkg-1": ("kg kg-1", 1.0, 0.0), "kg/kg": ("kg kg-1", 1.0, 0.0), "1": ("kg kg-1", 1.0, 0.0),
    "gkg-1": ("kg kg-1", 1e-3, 0.0), "g/kg": ("kg kg-1", 1e-3, 0.0),
    "Pa": ("Pa", 1.0, 0.0), "hPa": ("Pa", 100.0, 0.0), "mbar": ("Pa", 100.0, 0.0), "millibars": ("Pa", 100.0, 0.0),
}


def read(path: Path, names: Sequence[str], variable: str, when: Sequence[datetime], levels: np.ndarray,
         grid: Grid) -> np.ndarray:
    """float32 (time, level, lat, lon) of a model's `variable`, which the file calls by one of `names`, at `levels` Pa.

    Raises UserError naming file, variable and place where something is missing or is not what it should be.
    """
    with _opened(path) as dataset:
        stored = next((dataset[name] for name in names if name in dataset.variables), None)
        if stored is None:
            raise UserError(f"{path}: has no variable {' or '.join(names)}; it has {', '.join(dataset.variables)}")
        axes = _axes_of(path, dataset, stored)
        where = {"time": _numbers_of(path, _times(path, _time_axis(path, dataset)), when),
                 "lat": row_order(str(path), dataset[axes["lat"]][:], grid)}
        if "level" in axes and VARIABLES[variable].on_levels:
            where["level"] = level_numbers(str(path), pressures(dataset[axes["level"]]), levels)
        field = _field(stored, axes, where)
        field = field[..., column_order(str(path), dataset[axes["lon"]][:], grid)]
        _refuse_missing(f"{path}: {stored.name}", field, when, grid)
        return in_si(f"{path}: {stored.name}", np.ma.filled(field, np.nan).astype(np.float32),
                     getattr(stored, "units", ""), variable)


def inventory(path: Path) -> dict[str, tuple[Grid, np.ndarray]]:
    """By the name of each field in a file its grid, and its levels in Pa, ascending (none at the surface); raises
    UserError where one does not cover the globe."""
    with _opened(path) as dataset:
        found = {}
        for name, stored in dataset.variables.items():
            axes = {axis: each for axis, names in AXES.items() for each in names if each in stored.dimensions}
            if {"lat", "lon"} <= set(axes):
                levels = np.sort(pressures(dataset[axes["level"]])) if "level" in axes else np.empty(0)
                found[name] = grid_of(str(path), dataset[axes["lat"]][:], dataset[axes["lon"]][:]), levels
        return found


def grid_of(where: str, lat: np.ndarray, lon: np.ndarray) -> Grid:
    """The grid of two axes, in whatever order and from whatever longitude they run."""
    try:
        east = np.mod(np.asarray(lon, float) + SAME_DEGREES, 360.0) - SAME_DEGREES
        return Grid(np.sort(np.asarray(lat, float)), np.sort(np.clip(east, 0.0, None)))
    except ValueError as error:
        raise UserError(f"{where}: {error}; a state covers the globe") from None


def hold(path: Path) -> list[datetime]:
    """The times in a file, in its order; raises UserError where one stands there twice."""
    with _opened(path) as dataset:
        name = next((name for name in AXES["time"] if name in dataset.variables), None)
        return [] if name is None else _times(path, dataset[name])


def static(path: Path, grid: Grid) -> Static:
    """Orography, in m or as geopotential, and land-sea mask; raises UserError where they are not there."""
    with _opened(path) as dataset:
        def of(*names: str) -> tuple[str, np.ndarray]:
            stored = next((dataset[name] for name in names if name in dataset.variables), None)
            if stored is None:
                raise UserError(f"{path}: has no {' or '.join(names)}, which a network is given; it has "
                                f"{', '.join(dataset.variables)}")
            values: np.ndarray = np.ma.filled(np.ma.asarray(stored[:], float), np.nan).squeeze()
            lat, lon = (next(dataset[name] for name in AXES[axis] if name in dataset.variables)[:]
                        for axis in ("lat", "lon"))
            values = values[row_order(str(path), lat, grid)]
            return stored.name, values[:, column_order(str(path), lon, grid)]

        name, height = of("orography", "z", "geopotential", "geopotential_at_surface")
        _, mask = of("lsm", "land_sea_mask")
        return Static(grid, height if name == "orography" else height / GRAVITY, mask)


class _opened:  # noqa: N801  a block, as `netcdf.open_to_read` for files of our own
    def __init__(self, path: Path):
        self.path = path

    def __enter__(self) -> netCDF4.Dataset:
        hdf5.refuse_elsewhere(self.path)
        try:
            self.dataset = netCDF4.Dataset(self.path)
        except netcdf.WHAT_FILES_DO as error:
            raise UserError(f"{self.path}: cannot be read ({brief(error)}); expected a NetCDF file of ERA5") from None
        return self.dataset

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.dataset.close()
        if isinstance(error, netcdf.WHAT_FILES_DO):
            raise UserError(f"{self.path}: is damaged, or not what it should be ({brief(error)})") from error


def _axes_of(path: Path, dataset: netCDF4.Dataset, stored: netCDF4.Variable) -> dict[str, str]:
    """The file's name of each axis that the variable has; others have length 1."""
    found = {axis: name for axis, names in AXES.items() for name in names if name in stored.dimensions}
    if missing := [axis for axis in ("lat", "lon") if axis not in found]:
        raise UserError(f"{path}: {stored.name} has no axis {missing[0]} ({' or '.join(AXES[missing[0]])}); it has "
                        f"{', '.join(stored.dimensions)}")
    if long := [name for name in stored.dimensions if name not in found.values() and len(dataset.dimensions[name]) > 1]:
        raise UserError(f"{path}: {stored.name} has the axis {long[0]} of {len(dataset.dimensions[long[0]])}; choose "
                        "one of them and write that to a file of its own")
    return found


def _time_axis(path: Path, dataset: netCDF4.Dataset) -> netCDF4.Variable:
    """The times of a file; a single one may stand there without a dimension."""
    name = next((name for name in AXES["time"] if name in dataset.variables), None)
    if name is None:
        raise UserError(f"{path}: has no axis time ({' or '.join(AXES['time'])})")
    return dataset[name]


def _field(stored: netCDF4.Variable, axes: dict[str, str], where: dict[str, Any]) -> np.ma.MaskedArray:
    """(time, level, lat, lon) masked where missing; latitudes ascend."""
    index: list[Any] = [where["time"] if name == axes.get("time") else slice(None) if name in axes.values() else 0
                        for name in stored.dimensions]
    field = np.ma.asarray(stored[tuple(index)])
    left = [name for name in stored.dimensions if name in axes.values()]
    wanted = [axes[axis] for axis in AXES if axis in axes]
    field = field.transpose([left.index(name) for name in wanted])
    if "time" not in axes:
        field = field[None]
    if "level" not in axes:
        field = field[:, None]
    elif "level" in where:
        field = field[:, where["level"]]
    return field[:, :, where["lat"]]


def _refuse_missing(where: str, field: np.ma.MaskedArray, when: Sequence[datetime], grid: Grid) -> None:
    missing = np.ma.getmaskarray(field) | ~np.isfinite(np.ma.getdata(field))
    if missing.any():
        time, _, row, column = np.argwhere(missing)[0]
        raise UserError(f"{where} is missing at {valid_times.name(when[time])}, lat {grid.lat[row]:g}, lon "
                        f"{grid.lon[column]:g}, and at {np.count_nonzero(missing) - 1} other places and times (a fill "
                        "value, beyond valid_range, or no number); leave these times out")


def in_si(where: str, field: np.ndarray, units: str, variable: str) -> np.ndarray:
    """A field in the units of our vocabulary; UserError where its own are none of that kind, or it is out of range."""
    expected, (low, high) = VARIABLES[variable].units, VARIABLES[variable].valid_range
    if str(units).strip():
        unit, factor, offset = UNITS.get(str(units).replace("*", "").replace(" ", ""), ("", 1.0, 0.0))
        if unit != expected:
            raise UserError(f"{where} is in {shown(units)}, expected {expected} or what can be turned into it")
        field = field if (factor, offset) == (1.0, 0.0) else (field * np.float32(factor) + np.float32(offset))
    if field.size and not (low <= field.min() and field.max() <= high):
        raise UserError(f"{where} runs from {field.min():g} to {field.max():g} {expected}, expected {low:g} to "
                        f"{high:g}: is it in other units, or are there fill values that it does not declare?")
    return field


def _times(path: Path, axis: netCDF4.Variable) -> list[datetime]:
    calendar = getattr(axis, "calendar", "standard")
    if calendar not in ("standard", "gregorian", "proleptic_gregorian"):
        raise UserError(f"{path}: has the calendar {shown(calendar)}, which is not that of the weather; its times "
                        "cannot be held against real ones")
    found: Any = netCDF4.num2date(axis[:], axis.units, calendar, only_use_cftime_datetimes=False,
                                  only_use_python_datetimes=True)
    times = [moment.replace(tzinfo=UTC) for moment in np.atleast_1d(found)]
    if len(set(times)) < len(times):
        twice = next(time for number, time in enumerate(times) if time in times[:number])
        raise UserError(f"{path}: has {valid_times.name(twice)} twice; which one is meant? leave the other out")
    return times


def _numbers_of(path: Path, there: Sequence[datetime], wanted: Sequence[datetime]) -> np.ndarray:
    number = {time: i for i, time in enumerate(there)}
    missing = [time for time in wanted if time not in number]
    if missing:
        raise UserError(f"{path}: has no {valid_times.name(missing[0])}, {len(missing)} times are missing")
    return np.array([number[time] for time in wanted])


def pressures(axis: Any) -> np.ndarray:
    """The levels of an axis in Pa; hPa where it says no units."""
    units = str(getattr(axis, "units", "") or "hPa").replace(" ", "")
    return np.asarray(axis[:], float) * (1.0 if units == "Pa" else HECTOPASCAL)


def level_numbers(where: str, found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Where each of `wanted` (Pa) stands in `found`."""
    near = np.isclose(np.asarray(found, float)[None], wanted[:, None])
    if not near.any(axis=1).all():
        raise UserError(f"{where}: expected levels in Pa {wanted}, got {found}")
    return near.argmax(axis=1)


def row_order(where: str, lat: np.ndarray, grid: Grid) -> slice:
    """The slice that makes latitude ascend; raises UserError where the rows are others than the grid's."""
    order = slice(None) if lat[0] < lat[-1] else slice(None, None, -1)
    if lat.size != grid.lat.size or not np.allclose(lat[order], grid.lat, atol=SAME_DEGREES):
        raise UserError(f"{where}: expected the {grid}, got {lat.size} rows, lat {lat[0]:g} to {lat[-1]:g}; check "
                        "[grid]")
    return order


def column_order(where: str, lon: np.ndarray, grid: Grid) -> np.ndarray:
    """The columns from the grid's first one eastward, whether the file counts from 0 or from -180."""
    east = np.mod(np.asarray(lon, float) + SAME_DEGREES, 360.0) - SAME_DEGREES
    order = np.argsort(east, kind="stable")
    if lon.size != grid.lon.size or not np.allclose(east[order], grid.lon, atol=SAME_DEGREES):
        raise UserError(f"{where}: expected the {grid}, got {lon.size} columns, lon {lon[0]:g} to {lon[-1]:g}; check "
                        "[grid]")
    return order
