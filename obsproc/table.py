"""A user's own list of observations: one row per observed number, as CSV or NetCDF.

    quantity      name, as in `contracts.variables.Quantity`: temperature, u_component_of_wind, surface_pressure, ...
    value         K, m s-1, kg kg-1, m or Pa
    lat, lon      degrees north and east
    time          CSV: 1989-01-01T12:00:00Z, without a zone UTC; NetCDF: CF units
    pressure      Pa; needed aloft
    elevation     m, of the station; needed at the surface (surface_pressure, ..._2m, ..._10m)
    error         standard deviation in the units of value; missing: NCEP's table by type
    type          PREPBUFR report type, 120 radiosonde mass, 220 its wind, ...; 0
    message_type  ADPUPA, ADPSFC, ...; TABLE
    station       up to 8 characters; empty
    quality       NCEP's mark, 0 best to 15; 2, not checked
    report        number that rows of one report share; station, place and time make one

The first five columns must be there, the others have the default that is named last. Units are those above: pressures
that are all below 1100 are taken as they are, with a warning that they look like hPa. An elevation that no station has
(-9999, 9999) is missing; an infinite error is none, so that the row is not used. A CSV file (`delimited`) has a header
line and may have comments behind #; its cells are divided by commas, semicolons or tabs, an empty one is missing. A
NetCDF file has one variable per column on one dimension, NaN or fill value for missing; an observations file
(`observations/1`) is one too.

    quantity,value,lat,lon,time,pressure,station
    temperature,253.2,52.2,14.1,1989-01-01T11:30:00Z,50000,09393
"""

import logging
from dataclasses import dataclass
from datetime import UTC
from hashlib import sha256
from pathlib import Path

import netCDF4
import numpy as np

from contracts import hdf5, netcdf
from contracts.errors import UserError, brief, unknown
from contracts.observations import Observations
from contracts.variables import Flag, Quantity
from obsproc import convert, delimited, placing
from obsproc.errors import WITHOUT_ERROR
from obsproc.prepbufr import Candidates

log = logging.getLogger(__name__)

REQUIRED = ("quantity", "value", "lat", "lon", "time")
NOT_CHECKED = 2
INTEGERS = {"type": 0, "quality": NOT_CHECKED, "report": -1}  # with their defaults
NUMBERS = {"value": np.nan, "lat": np.nan, "lon": np.nan, "pressure": np.nan, "elevation": np.nan, "error": np.nan,
           **INTEGERS}
TEXTS = {"message_type": "TABLE", "station": ""}
COLUMNS = (*REQUIRED, *(name for name in (*NUMBERS, *TEXTS) if name not in REQUIRED))
UNITS = {"lat": ("degrees_north", "degree_north", "degrees"), "lon": ("degrees_east", "degree_east", "degrees"),
         "pressure": ("Pa",), "elevation": ("m",)}
HIGHEST_IN_HECTOPASCAL = 1100.0  # Pa: if no pressure of a list is more, they are probably not in Pa
IGNORED = frozenset(("flag", "file_background", "count"))  # of an observations file: found anew
NETCDF_START = (b"\x89HDF", b"CDF\x01", b"CDF\x02", b"CDF\x05")


@dataclass(frozen=True)
class TableFile:
    """A list that was read; its reports are numbered from 0."""

    path: Path
    sha256: str
    candidates: Candidates


def read_file(path: str | Path) -> TableFile:
    """Read a list. Raises UserError that names file, column and row where it is not as described above."""
    path = Path(path)
    data = path.read_bytes()
    columns = _from_netcdf(path) if data[:4] in NETCDF_START else _from_csv(path, data)
    return TableFile(path, sha256(data).hexdigest(), _candidates(path, columns))


def is_netcdf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) in NETCDF_START


def _check_names(path: Path, names: list[str]) -> None:
    for name in REQUIRED:
        if name not in names:
            raise UserError(f"{path}: has no column {name!r}; a list of observations has {', '.join(REQUIRED)} and may "
                            f"have {', '.join(COLUMNS[len(REQUIRED):])}")
    for name in names:
        if name not in COLUMNS:
            raise UserError(f"{path}: {unknown('column', name, COLUMNS)}")


def _from_csv(path: Path, data: bytes) -> dict[str, np.ndarray]:
    """Columns (nobs,): numbers float64, times int64 seconds, texts str."""
    cells = delimited.read(path, data, _check_names)
    columns = {}
    for name, texts in cells.columns.items():
        if name == "time":
            columns[name] = cells.times(name)
        elif name in INTEGERS:
            columns[name] = cells.integers(name, INTEGERS[name])
        else:
            columns[name] = cells.numbers(name, NUMBERS[name]) if name in NUMBERS else texts
    return columns


def _from_netcdf(path: Path) -> dict[str, np.ndarray]:
    hdf5.refuse_elsewhere(path)
    try:
        with netCDF4.Dataset(path) as dataset:
            dataset.set_auto_chartostring(False)  # texts are made below, of characters
            names = [name for name in dataset.variables if name not in IGNORED]
            _check_names(path, names)
            columns = {name: _variable(path, dataset[name]) for name in names}
    except netcdf.WHAT_FILES_DO as error:
        raise UserError(f"{path}: is no readable NetCDF file ({brief(error)}); give a CSV or NetCDF file") from None
    for name, values in columns.items():
        if values.shape != columns["value"].shape or values.ndim != 1:
            raise UserError(f"{path}: column {name} has shape {values.shape}, expected one number per observation, "
                            f"{columns['value'].shape[0]}")
    return columns


def _variable(path: Path, variable: netCDF4.Variable) -> np.ndarray:
    name, units = variable.name, getattr(variable, "units", None)
    if name in UNITS and units is not None and units not in UNITS[name]:
        raise UserError(f"{path}: column {name} is in {units!r}, expected {UNITS[name][0]!r}; convert it")
    values = variable[...]
    if name == "time":
        if units is None:
            raise UserError(f"{path}: column time has no units, expected such as 'seconds since 1970-01-01'")
        whole = netCDF4.num2date(np.ma.filled(values, 0), units, only_use_cftime_datetimes=False,
                                 only_use_python_datetimes=True)
        if np.ma.is_masked(values):
            raise UserError(f"{path}: column time has missing values; leave these rows out")
        moments = np.atleast_1d(np.asarray(whole))
        return np.array([round(time.replace(tzinfo=UTC).timestamp()) for time in moments], dtype=np.int64)
    if variable.dtype is str:
        return np.asarray(values, dtype=str)
    if variable.dtype.kind == "S":
        encoding = getattr(variable, "_Encoding", "utf-8")
        return np.asarray(netCDF4.chartostring(np.ma.filled(values, b""), encoding), dtype=str)
    if name == "quantity":
        known = {code.value: code.name for code in Quantity}
        return np.array([known.get(int(code), f"code {code}") for code in np.ma.filled(values, 0)], dtype=str)
    return np.ma.filled(np.ma.asarray(values, dtype=float), NUMBERS[name])


def _candidates(path: Path, columns: dict[str, np.ndarray]) -> Candidates:
    n = len(columns["value"])
    numbers = {name: columns.get(name, np.full(n, default)) for name, default in NUMBERS.items()}
    texts = {name: columns.get(name, np.full(n, default)) for name, default in TEXTS.items()}
    _check(path, numbers, texts, columns["quantity"])
    names, place = np.unique(columns["quantity"], return_inverse=True)
    quantity = np.array([Quantity[name].value for name in names], dtype=int)[place.ravel()]
    at_surface = np.isin(quantity, [code for code in Quantity if code.at_surface])
    elevation = placing.elevation(numbers["elevation"], np.isin(texts["message_type"], list(placing.SEA_MESSAGES)))
    placed = np.isfinite(numbers["lat"]) & np.isfinite(numbers["lon"])
    placed &= np.isfinite(np.where(at_surface, elevation, numbers["pressure"]))
    _warn_of_hectopascal(path, numbers["pressure"])
    flag = np.where(quantity == Quantity.virtual_temperature, Flag.not_converted, Flag.passed)
    text = {name: np.char.encode(values.astype(str), "ascii") for name, values in texts.items()}
    own = _groups(text["station"], columns["time"], numbers["lat"], numbers["lon"])
    table = Observations(
        value=numbers["value"], error=np.where(np.isinf(numbers["error"]), WITHOUT_ERROR, numbers["error"]),
        quantity=quantity,
        flag=np.where(placed, flag, Flag.missing_position), quality=numbers["quality"], type=numbers["type"],
        message_type=text["message_type"], station=text["station"],
        report=np.where(numbers["report"] >= 0, numbers["report"], own), lat=numbers["lat"],
        lon=convert.longitude(numbers["lon"]), pressure=numbers["pressure"], elevation=elevation,
        time=columns["time"], file_background=np.full(n, np.nan))
    level = _levels(table, at_surface)
    return Candidates(table, level, np.full(n, np.nan), np.full(n, -1), _temperature(table, level), table.time)


def _check(path: Path, numbers: dict[str, np.ndarray], texts: dict[str, np.ndarray], quantity: np.ndarray) -> None:
    def refuse(wrong: np.ndarray, column: str, values: np.ndarray, expected: str) -> None:
        if wrong.any():
            row = int(np.argmax(wrong))
            raise UserError(f"{path}: observation {row + 1} has {column} {values[row]!s}, expected {expected}")

    refuse(~np.isin(quantity, list(Quantity.__members__)), "quantity", quantity,
           f"one of {', '.join(Quantity.__members__)}")
    refuse(~np.isfinite(numbers["value"]), "value", numbers["value"], "a number; leave the row out where it is missing")
    refuse(np.abs(numbers["lat"]) > 90, "lat", numbers["lat"], "-90 to 90")
    refuse(np.abs(numbers["lon"]) > 360, "lon", numbers["lon"], "-180 to 360")
    refuse(numbers["pressure"] <= 0, "pressure", numbers["pressure"], "more than 0 Pa")
    refuse(numbers["error"] <= 0, "error", numbers["error"], "more than 0, or none")
    for name, low, high in (("type", 0, 999), ("quality", -1, 15), ("report", -1, 2**31 - 1)):
        refuse(~((numbers[name] >= low) & (numbers[name] <= high)), name, numbers[name], f"{low} to {high}")
    for name in INTEGERS:
        refuse(numbers[name] != np.rint(numbers[name]), name, numbers[name], "a whole number")
    for name, values in texts.items():
        different, place = np.unique(values, return_inverse=True)
        wrong = np.array([len(text) > 8 or not text.isascii() for text in different], dtype=bool)
        refuse(wrong[place.ravel()], name, values, "at most 8 ASCII characters")


def _levels(table: Observations, at_surface: np.ndarray) -> np.ndarray:
    """(nobs,) a number for each report and pressure; all of a report's surface rows are one level."""
    pressure = np.where(at_surface, 0.0, table.pressure)
    return _groups(table.report, np.nan_to_num(pressure))


def _groups(*columns: np.ndarray) -> np.ndarray:
    """(nobs,) a number that rows share that agree in all columns."""
    order = np.lexsort(columns[::-1])
    new = np.zeros(len(order), dtype=bool)
    for column in columns:
        new[1:] |= column[order][1:] != column[order][:-1]
    group = np.empty(len(order), dtype=int)
    group[order] = np.cumsum(new)
    return group


def _warn_of_hectopascal(path: Path, pressure: np.ndarray) -> None:
    known = pressure[np.isfinite(pressure)]
    if known.size and known.max() <= HIGHEST_IN_HECTOPASCAL:
        log.warning("%s: all pressures lie between %g and %g; are they in hPa? expected Pa, and taken so", path,
                    known.min(), known.max())


def _temperature(table: Observations, level: np.ndarray) -> np.ndarray:
    """(nobs,) K, NaN where none stands at the level."""
    is_temperature = np.isin(table.quantity, (Quantity.temperature, Quantity.temperature_2m))
    of_level = np.full(level.max(initial=-1) + 1, np.nan)
    of_level[level[is_temperature]] = table.value[is_temperature]
    return of_level[level]
