"""The file layout of JCSDA's IODA (ObsGroup, version 3), and observations in it as ours; `ioda_export` is the way out.

One `Location` is one station, place and time; each group holds, for each observed variable, one value per Location:

    MetaData        latitude, longitude, dateTime, pressure, stationElevation, stationIdentification, ...
    ObsValue        observed value                     ObsError       its standard deviation
    QualityMarker   provider's mark (PREPBUFR's)       ObsType        PREPBUFR report type
    HofX            background of the provider         PreUseFlag     fate of the observation, our flags

Names, units and types are those of IODA's conventions; missing is the fill value, never NaN. Floats there have 32 bits.
So that nothing is lost, what they cut off a number stands in groups of our own, ObsValueRemainder and
MetaDataRemainder: their sum is the number to the last bit. On the way back the rows come sorted by Location.

A file of others needs MetaData (latitude, longitude, dateTime) and ObsValue; ObsError, QualityMarker or PreQC, ObsType
and HofX or hofx are taken where they are. Units are read and converted, or refused. Variables that no quantity
corresponds to are named in the log. What others mean by them is found in `ioda_source`.

Reference: JEDI documentation, "IODA conventions"; fill values: OOPS, `missingValues`.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np

from contracts import hdf5, netcdf, observations, times
from contracts.constants import HOUR
from contracts.errors import UserError, brief, shown
from contracts.observations import Observations, Source
from contracts.variables import Flag, Quantity
from obsproc import convert

log = logging.getLogger(__name__)

LAYOUT, LAYOUT_VERSION = "ObsGroup", 3
EPOCH = "seconds since 1970-01-01T00:00:00Z"
FILL: dict[str, Any] = {
    "f4": np.float32(np.finfo(np.float32).min * 0.99), "f8": np.float64(np.finfo(np.float32).min * 0.98),
    "i4": np.int32(np.iinfo(np.int32).min + 5), "i8": np.int64(np.iinfo(np.int64).min + 7)}
VARIABLE = {
    Quantity.u_component_of_wind: "windEastward", Quantity.v_component_of_wind: "windNorthward",
    Quantity.temperature: "airTemperature", Quantity.virtual_temperature: "virtualTemperature",
    Quantity.specific_humidity: "specificHumidity", Quantity.geopotential_height: "geopotentialHeight",
    Quantity.surface_pressure: "stationPressure", Quantity.temperature_2m: "airTemperatureAt2M",
    Quantity.specific_humidity_2m: "specificHumidityAt2M", Quantity.u_component_of_wind_10m: "windEastwardAt10M",
    Quantity.v_component_of_wind_10m: "windNorthwardAt10M", Quantity.wind_speed: "windSpeed",
    Quantity.relative_humidity: "relativeHumidity",
}
QUANTITY = {name: quantity for quantity, name in VARIABLE.items()}


@dataclass(frozen=True)
class Column:
    """Where a column of our table stands in the layout."""

    name: str
    group: str
    kind: str  # f4, i4
    missing: float = np.nan  # how our table says that it has none


FATE = "PreUseFlag"  # no group of IODA: only files of ours have it
OF_VARIABLE = (Column("value", "ObsValue", "f4"), Column("error", "ObsError", "f4"),
               Column("quality", "QualityMarker", "i4", -1), Column("type", "ObsType", "i4", 0),
               Column("file_background", "HofX", "f4"), Column("flag", FATE, "i4", Flag.passed),
               Column("count", "ObsCount", "i4", 1))
ALSO = {"QualityMarker": ("PreQC",), "HofX": ("hofx",)}  # older names of groups
# Of a Location: our column -> name in MetaData, units, type.
OF_LOCATION = {"lat": ("latitude", "degree_north", "f4"), "lon": ("longitude", "degree_east", "f4"),
               "pressure": ("pressure", "Pa", "f4"), "elevation": ("stationElevation", "m", "f4"),
               "time": ("dateTime", EPOCH, "i8"), "report": ("sequenceNumber", "", "i4")}
TEXTS = {"station": "stationIdentification", "message_type": "messageType"}
DOUBLES = ("value", "lat", "lon", "pressure")  # of more than 32 bits in our table


def import_file(path: Path, time: datetime | None = None) -> tuple[Observations, Source]:
    """The rows of a file of this layout as they stand there; `time` of the cycle where the file does not say it.

    Raises UserError naming the file and what is missing.
    """
    path = Path(path)
    hdf5.refuse_elsewhere(path)
    try:
        with netCDF4.Dataset(path) as file:
            file.set_auto_mask(False)
            _check(path, file)
            source = _source(path, file, time)
            parts = [_read_variable(path, file, name, variable) for name, variable in _known(path, file)]
    except netcdf.WHAT_FILES_DO as error:
        raise UserError(f"{path}: is no readable IODA file, which is HDF5 or NetCDF-4 ({brief(error)})") from None
    table = observations.concatenate(parts) if parts else observations.empty()
    known = np.isfinite(table.value)
    return table.select(known), source


def is_ours(path: Path) -> bool:
    """Whether the file holds fates, as those that we write do."""
    with netCDF4.Dataset(path) as file:
        return FATE in file.groups


def _check(path: Path, file: netCDF4.Dataset) -> None:
    for group in ("MetaData", "ObsValue"):
        if group not in file.groups:
            raise UserError(f"{path}: has no group {group}; expected an IODA file, groups MetaData and ObsValue")
    for name in ("latitude", "longitude", "dateTime"):
        if name not in file["MetaData"].variables:
            raise UserError(f"{path}: has no MetaData/{name}; JCSDA's ioda-upgrade-v2-to-v3.x upgrades files of "
                            "earlier versions")


def _known(path: Path, file: netCDF4.Dataset) -> list[tuple[str, Quantity]]:
    names = list(file["ObsValue"].variables)
    if unknown := [name for name in names if name not in QUANTITY]:
        log.warning("%s: no quantity of ours corresponds to ObsValue %s; left out", path, ", ".join(unknown))
    return [(name, QUANTITY[name]) for name in names if name in QUANTITY]


def _source(path: Path, file: netCDF4.Dataset, time: datetime | None) -> Source:
    if time is None:
        if "datetimeReference" not in file.ncattrs():
            raise UserError(f"{path}: does not say its cycle (attribute datetimeReference); give it with --time "
                            "YYYYMMDDHH")
        time = _instant(path, file.datetimeReference)
    around = (time - timedelta(hours=3), time + timedelta(hours=3))
    given: Any = getattr(file, "datetimeRange", None)
    window = (_instant(path, given[0]), _instant(path, given[1])) if _is_pair(given) else around
    names, sums = (_texts(getattr(file, name, "")) for name in ("sourceFiles", "sourceFilesSha256"))
    if not sums:
        names, sums = (path.name,), (sha256(path.read_bytes()).hexdigest(),)
    return Source(time, window, names, sums, int(getattr(file, "slotSeconds", HOUR)))


def _is_pair(given: object) -> bool:
    return isinstance(given, Sequence) and not isinstance(given, str) and len(given) == 2


def _texts(given: str | Sequence[str]) -> tuple[str, ...]:
    return tuple(text for text in ([given] if isinstance(given, str) else given) if text)


def _instant(path: Path, text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except (ValueError, TypeError):
        raise UserError(f"{path}: {shown(text)} is not a time such as 2020-11-01T12:00:00Z; give it with --time"
                        ) from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _read_variable(path: Path, file: netCDF4.Dataset, name: str, quantity: Quantity) -> Observations:
    """A row per Location, NaN where the variable was not observed."""
    n = len(file.dimensions["Location"]) if "Location" in file.dimensions else len(file["MetaData"]["latitude"])
    shape = file["ObsValue"][name].shape
    if shape != (n,):
        raise UserError(f"{path}: ObsValue/{name} has shape {shape}, expected one value per Location, {n}")
    columns = {column.name: _of_variable(path, file, name, quantity, column, n) for column in OF_VARIABLE}
    columns |= {column: _of_location(path, file, column, n) for column in OF_LOCATION if column != "time"}
    columns |= {column: _text(file, text, n) for column, text in TEXTS.items()}
    columns["flag"] = np.where(np.isin(columns["flag"], list(Flag)), columns["flag"], Flag.passed)
    try:
        return Observations(quantity=np.full(n, quantity), time=_time(path, file["MetaData"]["dateTime"]),
                            **columns | {"lon": convert.longitude(columns["lon"])})
    except ValueError as error:
        raise UserError(f"{path}: {name}: {error}") from None


def _of_variable(path: Path, file: netCDF4.Dataset, name: str, quantity: Quantity, column: Column,
                 n: int) -> np.ndarray:
    for group in (column.group, *ALSO.get(column.group, ())):
        if group in file.groups and name in file[group].variables:
            values = _in_si(path, file[group][name], name, quantity.units if column.kind == "f4" else "")
            rest = f"{group}Remainder"
            if rest in file.groups and name in file[rest].variables:
                values = values + np.nan_to_num(_plain(file[rest][name]))
            return np.where(np.isnan(values), column.missing, values)
    return np.full(n, column.missing)


def _of_location(path: Path, file: netCDF4.Dataset, column: str, n: int) -> np.ndarray:
    name, units, _ = OF_LOCATION[column]
    if name not in file["MetaData"].variables:
        return np.arange(n) if column == "report" else np.full(n, np.nan)
    values = _in_si(path, file["MetaData"][name], name, "degrees" if units.startswith("degree") else units)
    if "MetaDataRemainder" in file.groups and name in file["MetaDataRemainder"].variables:
        values = values + np.nan_to_num(_plain(file["MetaDataRemainder"][name]))
    return np.where(np.isnan(values), -1, values) if column == "report" else values


def _in_si(path: Path, variable: netCDF4.Variable, name: str, expected: str) -> np.ndarray:
    """Values as float64 in our units; without units of its own the variable is taken to be in them."""
    values, group, units = _plain(variable), variable.group().name, getattr(variable, "units", "")
    if not (expected and units):
        return values
    try:
        factor, offset = convert.scale(units, expected)
    except ValueError as error:
        raise UserError(f"{path}: {group}/{name} cannot be converted, its {error}") from None
    return values if factor == 1.0 and offset == 0.0 else values * factor + offset * (group != "ObsError")


def _plain(variable: netCDF4.Variable) -> np.ndarray:
    """Values as float64, NaN where they are the fill value or no number a file may hold."""
    values = np.asarray(variable[...])
    missing = values == getattr(variable, "_FillValue", netCDF4.default_fillvals[values.dtype.str[1:]])
    return np.where(missing | (np.abs(values.astype(np.float64)) > 1e37), np.nan, values.astype(np.float64))


def _text(file: netCDF4.Dataset, name: str, n: int) -> np.ndarray:
    if name not in file["MetaData"].variables:
        return np.full(n, b"", "S8")
    values = file["MetaData"][name][...]
    return np.array([str(text).rstrip().encode("latin-1", "replace")[:8] for text in values], "S8")


def _time(path: Path, variable: netCDF4.Variable) -> np.ndarray:
    """Seconds since 1970 (n,) int64."""
    word, since, origin = (getattr(variable, "units", "").split(maxsplit=2) + ["", "", ""])[:3]
    if word != "seconds" or since != "since" or variable.dtype.kind != "i":
        raise UserError(f"{path}: MetaData/dateTime must be whole seconds since a time, got {variable.dtype} "
                        f"{getattr(variable, 'units', 'without units')!r}")
    return np.asarray(variable[...]).astype(np.int64) + times.to_seconds(_instant(path, origin))
