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

The first five columns must be there, the others have the default that is named last. Units are those above. A CSV file
has a header line and may have comments behind #; an empty cell is missing. A NetCDF file has one variable per column on
one dimension, NaN or fill value for missing; an observations file (`observations/1`) is one too.

    quantity,value,lat,lon,time,pressure,station
    temperature,253.2,52.2,14.1,1989-01-01T11:30:00Z,50000,09393
"""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np

from contracts.errors import UserError
from contracts.observations import Observations
from contracts.variables import Flag, Quantity
from obsproc import convert
from obsproc.prepbufr import Candidates

REQUIRED = ("quantity", "value", "lat", "lon", "time")
NOT_CHECKED = 2
NUMBERS = {"value": np.nan, "lat": np.nan, "lon": np.nan, "pressure": np.nan, "elevation": np.nan, "error": np.nan,
           "type": 0, "quality": NOT_CHECKED, "report": -1}  # with their defaults
TEXTS = {"message_type": "TABLE", "station": ""}
COLUMNS = (*REQUIRED, *(name for name in (*NUMBERS, *TEXTS) if name not in REQUIRED))
UNITS = {"lat": ("degrees_north", "degree_north", "degrees"), "lon": ("degrees_east", "degree_east", "degrees"),
         "pressure": ("Pa",), "elevation": ("m",)}
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
            raise UserError(f"{path}: unknown column {name!r}; known: {', '.join(COLUMNS)}")


def _from_csv(path: Path, data: bytes) -> dict[str, np.ndarray]:
    """Columns (nobs,): numbers float64, times int64 seconds, texts str."""
    try:
        lines = [line.partition("#")[0] for line in data.decode("utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is neither NetCDF nor text ({error.reason} at byte {error.start}); give a CSV or "
                        "NetCDF file") from None
    rows = [(number, cells) for number, cells in enumerate(csv.reader(lines), start=1) if any(map(str.strip, cells))]
    names = [cell.strip() for cell in rows[0][1]] if rows else []
    _check_names(path, names)
    for number, cells in rows[1:]:
        if len(cells) != len(names):
            raise UserError(f"{path}, line {number}: has {len(cells)} cells, expected {len(names)} as in the header")
    return {name: _column(path, name, [(number, row[place].strip()) for number, row in rows[1:]])
            for place, name in enumerate(names)}


def _column(path: Path, name: str, cells: list[tuple[int, str]]) -> np.ndarray:
    """One column (nobs,) from (line, text)."""
    if name == "time":
        return _each(path, name, cells, _seconds, np.int64)
    if name in NUMBERS:
        missing = NUMBERS[name]
        return _each(path, name, cells, lambda text: float(text) if text else missing, float)
    return np.array([text for _, text in cells], dtype=str)


def _each(path: Path, name: str, cells: list[tuple[int, str]], read: Callable[[str], Any], dtype: Any) -> np.ndarray:
    values = []
    for number, text in cells:
        try:
            values.append(read(text))
        except ValueError:
            expected = "a time such as 1989-01-01T12:00:00Z" if name == "time" else "a number"
            raise UserError(f"{path}, line {number}: column {name} is {text!r}, expected {expected}") from None
    return np.array(values, dtype=dtype)


def _seconds(text: str) -> int:
    time = datetime.fromisoformat(text)
    return round((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())


def _from_netcdf(path: Path) -> dict[str, np.ndarray]:
    try:
        with netCDF4.Dataset(path) as dataset:
            names = [name for name in dataset.variables if name not in IGNORED]
            _check_names(path, names)
            columns = {name: _variable(path, dataset[name]) for name in names}
    except OSError as error:
        raise UserError(f"{path}: is no readable NetCDF file ({error}); give a CSV or NetCDF file") from None
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
        return np.asarray(netCDF4.chartostring(np.ma.filled(values, b"")), dtype=str)
    if name == "quantity":
        known = {code.value: code.name for code in Quantity}
        return np.array([known.get(int(code), f"code {code}") for code in np.ma.filled(values, 0)], dtype=str)
    return np.ma.filled(np.ma.asarray(values, dtype=float), NUMBERS[name])


def _candidates(path: Path, columns: dict[str, np.ndarray]) -> Candidates:
    n = len(columns["value"])
    numbers = {name: columns.get(name, np.full(n, default)) for name, default in NUMBERS.items()}
    texts = {name: columns.get(name, np.full(n, default)) for name, default in TEXTS.items()}
    _check(path, numbers, texts, columns["quantity"])
    quantity = np.array([Quantity[name].value for name in columns["quantity"]], dtype=int)
    at_surface = np.isin(quantity, [code for code in Quantity if code.at_surface])
    placed = np.isfinite(numbers["lat"]) & np.isfinite(numbers["lon"])
    placed &= np.isfinite(np.where(at_surface, numbers["elevation"], numbers["pressure"]))
    flag = np.where(quantity == Quantity.virtual_temperature, Flag.not_converted, Flag.passed)
    text = {name: np.char.encode(values.astype(str), "ascii") for name, values in texts.items()}
    own = np.unique(np.rec.fromarrays([text["station"], columns["time"], numbers["lat"], numbers["lon"]]),
                    return_inverse=True)[1].ravel() if n else np.zeros(0, int)
    table = Observations(
        value=numbers["value"], error=numbers["error"], quantity=quantity,
        flag=np.where(placed, flag, Flag.missing_position), quality=numbers["quality"], type=numbers["type"],
        message_type=text["message_type"], station=text["station"],
        report=np.where(numbers["report"] >= 0, numbers["report"], own), lat=numbers["lat"],
        lon=convert.longitude(numbers["lon"]), pressure=numbers["pressure"], elevation=numbers["elevation"],
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
    for name, low, high in (("type", 0, 999), ("quality", -1, 15)):
        refuse(~((numbers[name] >= low) & (numbers[name] <= high)), name, numbers[name], f"{low} to {high}")
    for name, values in texts.items():
        wrong = np.array([len(text) > 8 or not text.isascii() for text in values], dtype=bool)
        refuse(wrong, name, values, "at most 8 ASCII characters")


def _levels(table: Observations, at_surface: np.ndarray) -> np.ndarray:
    """(nobs,) a number for each report and pressure; all of a report's surface rows are one level."""
    pressure = np.where(at_surface, 0.0, table.pressure)
    return np.unique(np.rec.fromarrays([table.report, pressure]), return_inverse=True)[1].ravel()


def _temperature(table: Observations, level: np.ndarray) -> np.ndarray:
    """(nobs,) K, NaN where none stands at the level."""
    is_temperature = np.isin(table.quantity, (Quantity.temperature, Quantity.temperature_2m))
    of_level = np.full(level.max(initial=-1) + 1, np.nan)
    of_level[level[is_temperature]] = table.value[is_temperature]
    return of_level[level]
