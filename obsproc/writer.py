"""Observations as a PREPBUFR file: the inverse of `prepbufr`.

Rows of one report, station and type become a report, mass (1xx) and wind (2xx) apart and linked by SID and SQN as NCEP
does; rows at one place, time and pressure become a level. Each quantity is a stack of one event, program 1, reason 100
(as NCEP's first step writes them); a virtual temperature has program 8. Two values of one quantity at one level become
two levels. At the surface the station's height stands as ZOB too, with mark 2, and the header says as T29 what NCEP's
dumps would call such a report: without these GSI uses no surface pressure.

What comes back: every number to within half of its last decimal (`prepbufr_tables.toml`: 0.1 hPa, 0.1 K, 0.1 m/s,
1 mg/kg, 1 m, 1e-5 degrees, 0.036 s; errors 0.01 hPa, 0.001 K, 0.001 m/s, 0.01 % of relative humidity), and

    error      u and v share the larger one; that of humidity becomes one of relative humidity, so it needs T and p at
               its level; that of height is lost
    quality    u and v share the worse mark; a row that was set aside for a reason that a PREPBUFR file cannot say
               (below the ground, thinned, superobbed, ...) gets mark 15, "not for use"
    pressure   at the surface that is the observed surface pressure, and lost where there is none: writing it would
               invent an observation
    file_background  of temperature needs that of humidity beside it: the file holds virtual temperature

A value that its field cannot hold is left out, an error becomes the nearest that it can; the log counts both.
"""

import logging
from datetime import datetime
from pathlib import Path

import numpy as np

from contracts import observations, paths, times
from contracts.constants import HECTOPASCAL, HOUR, VIRTUAL_FACTOR, ZERO_CELSIUS
from contracts.errors import UserError
from contracts.observations import Observations
from contracts.variables import Flag, Quantity
from obsproc import convert, vocabulary
from obsproc.bufr import compose
from obsproc.bufr.encode import encode, limits
from obsproc.bufr.reports import Reports
from obsproc.leveled import Levels, leveled
from obsproc.prepbufr import SOUNDING_MESSAGES, SURFACE_LEVEL, SURFACE_MESSAGES
from obsproc.quality import AUXILIARY_LEVEL
from obsproc.temperatures import VIRTUAL

log = logging.getLogger(__name__)

FIRST_PROGRAM, FIRST_REASON = 1, 100  # of events that nothing has changed yet
GOOD_PRESSURE = 2  # mark of a pressure that only places other observations: neutral
NOT_FOR_USE = 15
MANDATORY_LEVELS = (1000, 925, 850, 700, 500, 400, 300, 250, 200, 150, 100, 70, 50, 30, 20, 10, 7, 5, 3, 2, 1)  # hPa
GOOD_HEIGHT = 2  # mark of the height of a station
# Data dump report type by report type, as in the files of 1989 and 2020: fixed sounding, dropsonde, aircraft, satellite
# wind, SYNOP, METAR, ship, buoy, bogus.
_DUMP_TYPE = {kind: code for code, kinds in {
    11: (120, 220, 221, 223), 31: (132, 232), 41: (*range(130, 132), *range(133, 136), *range(230, 232),
    *range(233, 236)), 63: range(240, 262), 511: (181, 183, 281, 284), 512: (187, 287), 522: (180, 182, 280),
    562: (282,), 551: (191,)}.items() for kind in kinds}
SEQUENCE_NUMBERS = 500_000  # SQN has 19 bits

_MNEMONIC = {
    Quantity.temperature: "TOB", Quantity.virtual_temperature: "TOB", Quantity.temperature_2m: "TOB",
    Quantity.specific_humidity: "QOB", Quantity.specific_humidity_2m: "QOB",
    Quantity.u_component_of_wind: "UOB", Quantity.u_component_of_wind_10m: "UOB",
    Quantity.v_component_of_wind: "VOB", Quantity.v_component_of_wind_10m: "VOB",
    Quantity.geopotential_height: "ZOB", Quantity.surface_pressure: "POB",
}
_UNIT = {"TOB": 1.0, "QOB": convert.MILLIGRAM_PER_KILOGRAM, "UOB": 1.0, "VOB": 1.0, "ZOB": 1.0, "POB": HECTOPASCAL}
_MARK = {"TOB": "TQM", "QOB": "QQM", "UOB": "WQM", "VOB": "WQM", "ZOB": "ZQM", "POB": "PQM"}
_ERROR = {"TOB": "TOE", "UOB": "WOE", "VOB": "WOE", "POB": "POE", "QOB": "QOE"}
_BACKGROUND = {"TOB": "TFC", "QOB": "QFC", "UOB": "UFC", "VOB": "VFC", "ZOB": "ZFC", "POB": "PFC"}
# Flags that the reader finds again by itself, or that say nothing about the observation.
_FOUND_AGAIN = (Flag.passed, Flag.assimilated, Flag.monitored, Flag.withheld, Flag.missing_mark, Flag.missing_error,
                Flag.error_table_excludes, Flag.out_of_window, Flag.auxiliary_level, Flag.missing_position,
                Flag.not_converted, Flag.out_of_range)


def convert_file(source: Path, target: Path) -> int:
    """Write the observations file `source` as PREPBUFR; returns the number of reports."""
    table, origin = observations.read(source)
    return write(target, table, origin.time)


def write(path: Path, table: Observations, time: datetime) -> int:
    """Write a table as the PREPBUFR file of the cycle `time`, atomically; returns the number of reports.

    Raises UserError for rows that no PREPBUFR file can hold: unknown message types, types outside 100 to 999, times
    more than a day from the cycle.
    """
    _check(path, table)
    ours = vocabulary.ours()
    pieces, count = list(compose.table_messages(ours.tables, ours.category)), 0
    for kind in np.unique(table.message_type):
        name = kind.decode()
        made = reports(table.select(table.message_type == kind), name, time)
        subsets = encode(made, ours.program(name))
        pieces += compose.messages(ours.category[name], ours.descriptors(name), subsets, time)
        count += len(subsets)
    with paths.atomic(path) as partial:
        partial.write_bytes(b"".join(pieces))
    return count


def _check(path: Path, table: Observations) -> None:
    ours = vocabulary.ours()
    surface = np.isin(table.message_type, [name.encode() for name in SURFACE_MESSAGES])
    sounding = np.isin(table.message_type, [name.encode() for name in SOUNDING_MESSAGES])
    mass = table.type // 100 == 1
    at_surface = table.at_surface
    for wrong, what in (
        (~np.isin(table.message_type, [name.encode() for name in ours.category]),
         f"message type is none of {', '.join(ours.category)}"),
        ((table.type < 100) | (table.type > 999), "report type is not 100 to 999"),
        (~np.isin(table.quantity, list(_MNEMONIC)), "quantity has no number of its own in these files"),
        (surface & ~at_surface, "quantity stands aloft, but its message type holds surface reports"),
        ((table.quantity == Quantity.surface_pressure) & ~mass, "surface pressure stands in a wind report (type 2xx)"),
        ((table.quantity == Quantity.geopotential_height) & ~(sounding & mass),
         "height stands outside a sounding of mass (ADPUPA, type 1xx), where it would only be a coordinate"),
    ):
        if wrong.any():
            row = int(np.argmax(wrong))
            raise UserError(f"{path}: row {row} cannot be written as PREPBUFR: its {what}, got message type "
                            f"{table.message_type[row].decode()!r}, report type {table.type[row]}, "
                            f"quantity {Quantity(int(table.quantity[row])).name}; change it or leave the row out")


def reports(table: Observations, message_type: str, time: datetime) -> Reports:
    """Rows of one message type as reports, in file units."""
    slot = np.array([list(_UNIT).index(_MNEMONIC[Quantity(int(code))]) for code in table.quantity], dtype=int)
    levels = leveled(table, slot, vocabulary.ours().is_profile[message_type])
    column = _columns(table, levels, message_type)
    seconds = levels.time - times.to_seconds(time)
    first = levels.start[:-1]
    header = {"SID": levels.station[first], "XOB": levels.lon[first], "YOB": levels.lat[first],
              "DHR": seconds[first] / HOUR, "ELV": levels.elevation[first].astype(float),
              "TYP": levels.type[first].astype(float),
              "T29": np.array([_DUMP_TYPE.get(kind, np.nan) for kind in levels.type[first].tolist()], float),
              "SQN": _sequence_numbers(levels.report[first]),
              "PROCN": np.zeros(len(first))}
    owner = np.repeat(np.arange(len(first)), np.diff(levels.start))
    drifts = ((levels.lon != header["XOB"][owner]) | (levels.lat != header["YOB"][owner])
              | (seconds != seconds[first][owner]))
    drifting = np.isin(owner, owner[drifts])
    drift = {"XDR": levels.lon, "YDR": levels.lat, "HRDR": seconds / HOUR}
    column |= {name: np.where(drifting, values, np.nan) for name, values in drift.items()}
    depth = {name: np.isfinite(column[value]).astype(int) for name, value in
             (("P__EVENT", "POB"), ("Q__EVENT", "QOB"), ("T__EVENT", "TOB"), ("Z__EVENT", "ZOB"))}
    depth["W__EVENT"] = (np.isfinite(column["UOB"]) | np.isfinite(column["VOB"])).astype(int)
    within = limits(vocabulary.ours().program(message_type))
    _refuse_far(header, column, within, message_type)
    return Reports(message_type, 1, np.ones(len(first), int), _held(header, within), levels.start,
                   _held(column, within), depth, {})


def _sequence_numbers(report: np.ndarray) -> np.ndarray:
    """The parts of a report share one number, which no other report of the message type has."""
    _, number = np.unique(report, return_inverse=True)
    return (number.ravel() % SEQUENCE_NUMBERS).astype(float)


def _columns(table: Observations, levels: Levels, message_type: str) -> dict[str, np.ndarray]:
    """Level columns by mnemonic, (nlevel,), file units."""
    n = len(levels.pressure)
    mnemonic = np.array([_MNEMONIC[Quantity(int(code))] for code in table.quantity], dtype="U3")
    of_name = {name: mnemonic == name for name in _UNIT}
    mark = _marks(table)

    column: dict[str, np.ndarray] = {}

    def put(name: str, rows: np.ndarray, values: np.ndarray) -> None:
        """Fill a column; of two values, as the marks of u and v, the larger one stays."""
        whole = column.setdefault(name, np.full(n, np.nan))
        whole[levels.of_row[rows]] = np.fmax(whole[levels.of_row[rows]], values[rows])

    for name, rows in of_name.items():
        offset = ZERO_CELSIUS if name == "TOB" else 0.0
        put(name, rows, (table.value - offset) / _UNIT[name])
        put(_BACKGROUND[name], rows, (table.file_background - offset) / _UNIT[name])
        put(_MARK[name], rows, mark)
        if name in _ERROR:
            put(_ERROR[name], rows, table.error / _UNIT[name])
    is_virtual = np.zeros(n, dtype=bool)
    is_virtual[levels.of_row[table.quantity == Quantity.virtual_temperature]] = True
    _place(column, table, levels, message_type)
    _codes(column, is_virtual)
    column["TFC"] = np.where(is_virtual, column["TFC"], _virtual(column["TFC"], column["QFC"]))
    of_all = convert.humidity_error(np.ones(n), convert.kelvin(np.round(column["TOB"], 1)),
                                    convert.pascal(np.round(column["POB"], 1)))
    column["QOE"] = column["QOE"] * convert.MILLIGRAM_PER_KILOGRAM / of_all / convert.TENTHS_OF_RELATIVE_HUMIDITY
    return column


def _marks(table: Observations) -> np.ndarray:
    """Quality marks (nrow,), NaN where there is none."""
    mark = np.where(table.quality < 0, np.nan, table.quality)
    aside = ~np.isin(table.flag, _FOUND_AGAIN) & ~(mark > 3)
    return np.where(aside, NOT_FOR_USE, mark)


def _place(column: dict[str, np.ndarray], table: Observations, levels: Levels, message_type: str) -> None:
    """Fill in pressure and the station's height as coordinates and the category of the level."""
    wind = levels.type // 100 == 2
    placing = ~levels.at_surface | wind
    column["POB"] = np.where(placing, levels.pressure / HECTOPASCAL, column["POB"])
    column["PQM"] = np.where(placing, GOOD_PRESSURE, column["PQM"])
    column["ZOB"] = np.where(levels.at_surface, levels.elevation, column["ZOB"])
    column["ZQM"] = np.where(levels.at_surface & np.isfinite(levels.elevation), GOOD_HEIGHT, column["ZQM"])
    if message_type in SOUNDING_MESSAGES:
        aloft = np.where(np.isin(column["POB"], MANDATORY_LEVELS), 1, np.where(wind, 3, 2))
    else:
        aloft = np.full(len(wind), 6)
    column["CAT"] = np.where(levels.at_surface, SURFACE_LEVEL, aloft).astype(float)
    column["CAT"][levels.of_row[table.flag == Flag.auxiliary_level]] = AUXILIARY_LEVEL


def _codes(column: dict[str, np.ndarray], is_virtual: np.ndarray) -> None:
    """Program and reason of each stack's one event."""
    for name in ("POB", "QOB", "TOB", "ZOB", "UOB"):
        letter = "W" if name == "UOB" else name[0]
        there = np.isfinite(column[name]) | (np.isfinite(column["VOB"]) if letter == "W" else False)
        column[f"{letter}PC"] = np.where(there, FIRST_PROGRAM, np.nan)
        column[f"{letter}RC"] = np.where(there, FIRST_REASON, np.nan)
    column["TPC"] = np.where(is_virtual, VIRTUAL, column["TPC"])


def _virtual(celsius: np.ndarray, humidity: np.ndarray) -> np.ndarray:
    """Virtual from sensible temperature, both degC, with humidity in mg/kg; NaN where that is unknown."""
    factor = 1.0 + VIRTUAL_FACTOR * humidity * convert.MILLIGRAM_PER_KILOGRAM
    return convert.kelvin(celsius) * factor - ZERO_CELSIUS


def _refuse_far(header: dict[str, np.ndarray], column: dict[str, np.ndarray], within: dict[str, tuple[float, float]],
                message_type: str) -> None:
    for hours, name in ((header["DHR"], "DHR"), (column["HRDR"], "HRDR")):
        low, high = within.get(name, (-np.inf, np.inf))
        wrong = np.isfinite(hours) & ((hours < low) | (hours > high))
        if wrong.any():
            raise UserError(f"{message_type}: an observation {hours[wrong][0]:.1f} h from the cycle cannot be written "
                            f"as PREPBUFR, which holds {low:g} to {high:.0f} h; write it into its own cycle")


def _held(column: dict[str, np.ndarray], within: dict[str, tuple[float, float]]) -> dict[str, np.ndarray]:
    """Only values that their fields can hold; the log counts what was changed."""
    held = {}
    for name, values in column.items():
        if name in within and values.dtype.kind == "f":
            low, high = within[name]
            with np.errstate(invalid="ignore"):
                wrong = (values < low) | (values > high)
            if wrong.any():
                is_error = name in _ERROR.values()
                log.warning("%s: %d values from %g to %g do not fit into %g to %g; %s", name, wrong.sum(),
                            values[wrong].min(), values[wrong].max(), low, high,
                            "the nearest is written" if is_error else "they are left out")
                values = np.where(wrong, np.clip(values, low, high) if is_error else np.nan, values)
        held[name] = values
    return held
