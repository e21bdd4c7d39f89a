"""The table of observations (`observations/1`) and of departures (`departures/1`).

One row is one observed number.  Every number that the input held for the quantities of the vocabulary is a row,
used or not; `flag` says why not.  A superobservation, the mean of several rows, is a row more: its `count` says of how
many, and they stay with the flag `superobbed`.  `departures/1` has the same rows in the same order, the final flags and
four columns more.

For an analysis in four dimensions the window falls into slots around the cycle's time t0 (`Source.slot`):

    slot = floor((t - t0) / slot_seconds + 1/2)          slot 0 is centred on t0
"""

from collections.abc import Sequence
from dataclasses import MISSING, dataclass, field, fields
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self, cast

import numpy as np

from contracts import netcdf, paths, times
from contracts.constants import HOUR
from contracts.errors import ContractError, brief
from contracts.variables import Flag, Quantity

if TYPE_CHECKING:
    from contracts.opened import Dataset

CONTRACT = "observations/1"
DEPARTURES_CONTRACT = "departures/1"
# Of a column whose rows have units of their own: no unit that programs would read.
_OF_QUANTITY = {"comment": "in the units of the row's quantity", "coordinates": "time lat lon"}
_AT_SURFACE = np.isin(np.arange(128), [quantity for quantity in Quantity if quantity.at_surface])  # by code
# Rows of these fates have a value, a place and a time; the others may be what was wrong with them.
COMPARED = (Flag.passed, Flag.assimilated, Flag.monitored, Flag.withheld)
ENCODING = "iso-8859-1"  # of text, for those who read it as text: whatever bytes stand in a message
EARLIEST, LATEST = (times.to_seconds(datetime(year, 1, 1, tzinfo=UTC)) for year in (1800, 2200))
HIGHEST_PRESSURE = 2e5  # Pa

# What became of a file that was asked for.  damaged: read but for messages that are not sound; arriving: not whole yet,
# so left out; late: of an earlier time, it came when the observations of that time were made already.
Fate = Literal["read", "damaged", "refused", "arriving", "missing", "late"]


def _column(dtype: str, long_name: str, units: str = "", default: Any = MISSING, **attributes: object) -> Any:
    """A column; one with a default may be left out, of a call and of a file."""
    metadata = {"dtype": np.dtype(dtype), "long_name": long_name, **({"units": units} if units else {}), **attributes}
    return field(metadata=metadata, default=default, kw_only=default is not MISSING)


def _meanings(enumeration: type[Quantity] | type[Flag]) -> dict[str, Any]:
    return {"flag_values": np.array([e.value for e in enumeration], np.int8),
            "flag_meanings": " ".join(e.name for e in enumeration)}


@dataclass(frozen=True)
class Observations:
    """Columns of equal length (nobs,); missing floats are NaN. Text columns are ASCII bytes.

    `pressure` is where the observation stands in the vertical (Pa); for surface quantities the pressure at the
    station where known.  `elevation` is the height of the station (m).  `report` numbers the reports of the
    source files, so that rows of one sounding can be put together again.  `file_background` is the model
    background that the provider stored with the observation, in the observation's units.  `count` is the number of
    rows that a row stands for, more than 1 in a superobservation; a number stands for all rows.
    `largest_departure` bounds the departure of those rows whose source says how far they are believed; NaN leaves it to
    the analysis, and a file in which all are NaN does not have the column.
    """

    value: np.ndarray = _column("f8", "observed value", **_OF_QUANTITY)
    error: np.ndarray = _column("f4", "standard deviation of the observation error", **_OF_QUANTITY)
    quantity: np.ndarray = _column("i1", "observed quantity", **_meanings(Quantity))
    flag: np.ndarray = _column("i1", "fate of the observation", **_meanings(Flag))
    quality: np.ndarray = _column("i1", "quality mark of the provider, -1 where there is none")
    type: np.ndarray = _column("i2", "PREPBUFR report type")
    message_type: np.ndarray = _column("S8", "PREPBUFR message type")
    station: np.ndarray = _column("S8", "station identifier")
    report: np.ndarray = _column("i4", "number of the report in the source")
    lat: np.ndarray = _column("f8", "latitude", "degrees_north", standard_name="latitude")
    lon: np.ndarray = _column("f8", "longitude", "degrees_east", standard_name="longitude")
    pressure: np.ndarray = _column("f8", "pressure of the observation", "Pa", standard_name="air_pressure",
                                   coordinates="time lat lon")
    elevation: np.ndarray = _column("f4", "height of the station", "m", standard_name="surface_altitude",
                                    coordinates="time lat lon")
    time: np.ndarray = _column("i8", "time of the observation", times.UNITS, calendar=times.CALENDAR,
                               standard_name="time")
    file_background: np.ndarray = _column("f4", "background stored by the provider", **_OF_QUANTITY)
    count: np.ndarray = _column("i4", "number of observations that the row stands for", "1", default=1)
    largest_departure: np.ndarray = _column("f4", "largest departure from the background that is believed",
                                            default=np.nan, **_OF_QUANTITY)

    def __post_init__(self):
        length = np.shape(self.value)[0]
        for name, dtype, may_be_left_out in _columns(type(self)):
            values = np.asarray(getattr(self, name))
            if values.ndim == 0 and may_be_left_out:
                values = np.full(length, values)
            if values.shape != (length,):
                raise ValueError(f"column {name} must have shape ({length},), got {values.shape}")
            object.__setattr__(self, name, values if values.dtype == dtype else _fitted(name, values, dtype))

    def __len__(self) -> int:
        return self.value.shape[0]

    @property
    def at_surface(self) -> np.ndarray:
        """(nobs,) bool: quantities that belong to a surface channel."""
        return _AT_SURFACE[self.quantity]

    def select(self, which: np.ndarray | slice) -> Self:
        """Rows by mask, index or slice."""
        if isinstance(which, np.ndarray) and which.dtype == bool and len(which) == len(self):
            which = np.flatnonzero(which)  # once, and not for each column
        return type(self)(**{name: values[which] for name, values in vars(self).items()})

    def with_columns(self, **columns: np.ndarray) -> Self:
        """The same rows with some columns replaced."""
        return type(self)(**vars(self) | columns)

    def counts(self) -> dict[Flag, int]:
        """Rows by fate; the counts add up to the number of rows."""
        codes, numbers = np.unique(self.flag, return_counts=True)
        return {Flag(int(code)): int(number) for code, number in zip(codes, numbers, strict=True)}


@cache
def _columns(kind: type[Observations]) -> tuple[tuple[str, np.dtype, bool], ...]:
    """Name and type of each column, and whether it may be left out."""
    return tuple((column.name, column.metadata["dtype"], column.default is not MISSING) for column in fields(kind))


def _fitted(name: str, values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The values as `dtype`; raises ValueError where integers would become others."""
    if dtype.kind != "i":
        return values.astype(dtype)
    with np.errstate(invalid="ignore"):
        fitted = values.astype(dtype)
    if (other := fitted != values).any():
        raise ValueError(f"column {name} must hold whole numbers of {8 * dtype.itemsize} bits, got "
                         f"{values[other][0]} in row {int(np.argmax(other))}")
    return fitted


@dataclass(frozen=True)
class Departures(Observations):
    """Observations with the ensemble's equivalents H(x), NaN where none could be computed.

    `background_rank` is how many of the k members, each with a draw of the observation's error added, lie below the
    observed value: 0 to k, and -1 where the row is not compared with the model.
    """

    background_mean: np.ndarray = _column("f8", "mean of H(x) of the background", **_OF_QUANTITY)
    background_spread: np.ndarray = _column("f8", "standard deviation of H(x) of the background", **_OF_QUANTITY)
    analysis_mean: np.ndarray = _column("f8", "mean of H(x) of the analysis", **_OF_QUANTITY)
    analysis_spread: np.ndarray = _column("f8", "standard deviation of H(x) of the analysis", **_OF_QUANTITY)
    background_rank: np.ndarray = _column("i2", "members of the background below the observed value", "1", default=-1)


class Delivery(NamedTuple):
    """A file that was asked for, and what became of it."""

    file: str
    fate: Fate


@dataclass(frozen=True)
class Source:
    """Where a table came from: the cycle's time, the window around it, the input files with their sha256.

    `slot_seconds` is the length of the slots that the window falls into.  `deliveries` are all files that were asked
    for, in the order of the settings, then the late ones; in real time `made` is what the clock showed then.
    """

    time: datetime
    window: tuple[datetime, datetime]
    files: tuple[str, ...] = ()
    sha256: tuple[str, ...] = ()
    slot_seconds: int = HOUR
    deliveries: tuple[Delivery, ...] = ()
    made: datetime | None = None

    def slot(self, time: np.ndarray) -> np.ndarray:
        """The slot (nobs,) of times (nobs,) in seconds since 1970; slot 0 is centred on the cycle's time."""
        return (2 * (time - times.to_seconds(self.time)) + self.slot_seconds) // (2 * self.slot_seconds)


def concatenate(tables: Sequence[Observations]) -> Observations:
    """One table after another."""
    return Observations(**{column.name: np.concatenate([getattr(table, column.name) for table in tables])
                           for column in fields(Observations)})


def empty() -> Observations:
    """A table without rows."""
    return Observations(**{column.name: np.empty(0, column.metadata["dtype"]) for column in fields(Observations)})


def write(path: Path, table: Observations, source: Source, experiment: str = "",
          disk: paths.Withheld | None = None) -> None:
    """Write observations, or departures, atomically; with the `disk` of `paths.withheld` when that block ends."""
    contract = DEPARTURES_CONTRACT if isinstance(table, Departures) else CONTRACT
    attributes = {
        "experiment": experiment,
        "cycle_time": times.name(source.time),
        "window_start": np.int64(times.to_seconds(source.window[0])),
        "window_end": np.int64(times.to_seconds(source.window[1])),
        "slot_seconds": np.int64(source.slot_seconds),
        "source_files": "\n".join(source.files),
        "source_sha256": "\n".join(source.sha256),
        "source_deliveries": "\n".join(f"{delivery.fate} {delivery.file}" for delivery in source.deliveries),
    }
    if source.made is not None:
        attributes["made"] = np.float64(source.made.timestamp())
    with netcdf.create(path, contract, attributes, disk) as dataset:
        dataset.add_dimension("obs", len(table))
        dataset.add_dimension("text", 8)
        for column in fields(table):
            values = getattr(table, column.name)
            if column.name == "largest_departure" and np.isnan(values).all():
                continue
            attributes = {key: value for key, value in column.metadata.items() if key != "dtype"}
            dimensions: tuple[str, ...] = ("obs",)
            if values.dtype.kind == "S":
                values, dimensions = values.view("S1").reshape(-1, 8), ("obs", "text")
                attributes["_Encoding"] = ENCODING
            netcdf.add(dataset, column.name, dimensions, values, **attributes)


def read(path: Path) -> tuple[Observations, Source]:
    """Read an observations file; raises ContractError where it does not fit."""
    return _read(path, CONTRACT, Observations)


def read_departures(path: Path) -> tuple[Departures, Source]:
    """Read a departures file; raises ContractError where it does not fit."""
    table, source = _read(path, DEPARTURES_CONTRACT, Departures)
    assert isinstance(table, Departures)
    return table, source


def read_source(path: Path) -> Source:
    """Where the observations of a file came from, without its rows; raises ContractError where it does not fit."""
    with netcdf.open_to_read(path, CONTRACT) as dataset:
        return _source(dataset)


def _read(path: Path, contract: str, kind: type[Observations]) -> tuple[Observations, Source]:
    with netcdf.open_to_read(path, contract) as dataset:
        columns = {}
        for column in fields(kind):
            if column.name not in dataset.variables:
                if column.default is not MISSING:
                    continue
                raise ContractError(f"{path}: has no column {column.name!r}")
            values = np.asarray(dataset[column.name][:])
            if values.ndim == 2:
                values = np.ascontiguousarray(values).view(f"S{values.shape[1]}").reshape(-1)
            columns[column.name] = values
        source = _source(dataset)
    try:
        table = kind(**columns)
    except netcdf.WHAT_FILES_DO as error:
        raise ContractError(f"{path}: {brief(error)}; make the file again") from error
    _check_codes(path, table)
    _check_places(path, table)
    return table, source


def _source(dataset: "Dataset") -> Source:
    start, end = (times.from_seconds(getattr(dataset, name)) for name in ("window_start", "window_end"))
    files, sums, told = (tuple(filter(None, getattr(dataset, name, "").split("\n")))
                         for name in ("source_files", "source_sha256", "source_deliveries"))
    deliveries = [line.partition(" ") for line in told]
    made = getattr(dataset, "made", None)
    return Source(times.parse(dataset.cycle_time), (start, end), files, sums,
                  int(getattr(dataset, "slot_seconds", HOUR)),
                  tuple(Delivery(file, cast(Fate, fate)) for fate, _, file in deliveries),
                  None if made is None else datetime.fromtimestamp(float(made), UTC))


def _check_codes(path: Path, table: Observations) -> None:
    for name, enumeration in (("quantity", Quantity), ("flag", Flag)):
        known = np.array([member.value for member in enumeration])
        unknown = np.setdiff1d(getattr(table, name), known)
        if unknown.size:
            raise ContractError(f"{path}: unknown codes {unknown.tolist()} in column {name}; known: {known.tolist()}")


def _check_places(path: Path, table: Observations) -> None:
    """Raises ContractError where a row that is compared with a model has no value, place or time that there can be."""
    compared = np.isin(table.flag, COMPARED)
    aloft = ~table.at_surface
    within = {
        "value": np.isfinite(table.value), "lat": np.abs(table.lat) <= 90.0, "lon": np.abs(table.lon) <= 360.0,
        "pressure": ~aloft | (table.pressure > 0) & (table.pressure < HIGHEST_PRESSURE),
        "time": (table.time >= EARLIEST) & (table.time < LATEST), "count": table.count >= 1,
    }
    for name, good in within.items():
        if (wrong := compared & ~good).any():
            row = int(np.argmax(wrong))
            raise ContractError(f"{path}: row {row}, {Flag(int(table.flag[row])).name}, has {name} "
                                f"{getattr(table, name)[row]:g}, which no observation has that is compared with a "
                                "model; make the file again")
