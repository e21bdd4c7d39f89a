"""PREPBUFR reports as rows: one observed number each, in SI, with its place and time.

What stands in a level, and what becomes of it (mnemonics: NCEP, Code table of PREPBUFR mnemonics):

    mnemonic   row                          error  background   note
    TOB        temperature [2 m]            TOE    TFC          virtual where TPC = 8, see below
    QOB        specific humidity [2 m]      QOE    QFC          mg/kg; QOE is relative humidity / 10 %
    UOB, VOB   wind components [10 m]       WOE    UFC, VFC
    POB        surface pressure             POE    PFC          mass reports at the surface only
    ZOB        geopotential height          -      ZFC          mass reports of soundings, above the surface

The quantities in brackets stand for the surface: all levels of surface reports, and category 0 of soundings, which
the sonde's station measures in its screen and on its mast before launch. There POB is the pressure at ELV. Elsewhere
POB is a coordinate; in wind reports (types 2xx) it always is: NCEP splits a report into a mass and a wind part, and
both repeat the pressure. ZOB is a coordinate too unless the report is a sounding by pressure. `accounts.numbers`
counts coordinates by name, so that every number of the file is found again.

*Mass and wind.* Both parts of a report carry its station SID and number SQN, and no other report of the message type
carries the same two. They get one `report`. What a conversion needs (T for the saturation, q for a virtual
temperature) is looked up in the other part, at the same pressure, where the level itself lacks it.

*Virtual temperature.* The sensible one stands deeper in the stack, or humidity converts (`temperatures`); else the row
stays a virtual temperature flagged `not_converted`.

*Place and time*: `placing`.
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from contracts import observations, times
from contracts.errors import UserError
from contracts.observations import Observations
from contracts.variables import Flag, Quantity
from obsproc import convert, placing, temperatures
from obsproc.bufr.reports import Reports
from obsproc.placing import Places
from obsproc.temperatures import Temperatures

WANTED = frozenset((
    "SID", "SQN", "XOB", "YOB", "DHR", "ELV", "TYP", "CAT", "POB", "PQM", "POE", "PFC", "QOB", "QQM", "QOE", "QFC",
    "TOB", "TQM", "TPC", "TRC", "TOE", "TFC", "ZOB", "ZQM", "ZFC", "UOB", "VOB", "WQM", "WOE", "UFC", "VFC", "XDR",
    "YDR", "HRDR",
))

SURFACE_MESSAGES = frozenset((
    "ADPSFC", "SFCSHP", "SFCBOG", "MSONET", "SPSSMI", "ERS1DA", "QKSWND", "WDSATR", "ASCATW",
))
SOUNDING_MESSAGES = frozenset(("ADPUPA",))
SURFACE_LEVEL = 0  # category of the level at the ground


@dataclass(frozen=True)
class Candidates:
    """Observations on their way through quality control, with what its checks need and the table does not keep.

    `level` (nobs,) numbers the levels of the message type; `category` (nobs,) of the level; `place_mark` (nobs,) that
    of what places the observation: of the level's pressure aloft, of the station's height for its pressure, else -1;
    `temperature` (nobs,) sensible, of the level, K, NaN if unknown; `report_time` (nobs,) seconds since 1970, when the
    report began.
    """

    table: Observations
    level: np.ndarray
    category: np.ndarray
    place_mark: np.ndarray
    temperature: np.ndarray
    report_time: np.ndarray


def candidates(reports: Reports, cycle: datetime | np.ndarray, first_report: int = 0) -> Candidates:
    """All rows of one message type; `first_report` is the number of its first report in the table, `cycle` what hours
    count from, one time or (nsubset,) int64 seconds since 1970.

    Raises UserError where reports have no station or type, as in dumps that are no PREPBUFR.
    """
    if not {"SID", "TYP"} <= reports.header.keys():
        raise UserError(f"message type {reports.message_type} has no SID or no TYP, so it is no PREPBUFR; "
                        "expected the product of NCEP's PREPDATA, named prepbufr.* or prepqm*; a raw dump is read with "
                        "[observations] source = 'dump'")
    levels = _levels(reports, times.to_seconds(cycle) if isinstance(cycle, datetime) else cycle, first_report)
    parts = [_rows(levels, recipe) for recipe in _recipes(levels)]
    columns = (np.concatenate([getattr(part, name) for part in parts])
               for name in ("level", "category", "place_mark", "temperature", "report_time"))
    return Candidates(observations.concatenate([part.table for part in parts]), *columns)


@dataclass(frozen=True)
class _Levels:
    """All levels of a message type, each column (nlevel,), SI units, NaN where missing."""

    message_type: str
    columns: dict[str, np.ndarray]  # as decoded, header columns spread over the levels
    report: np.ndarray
    place: Places
    at_surface: np.ndarray
    temperature: Temperatures
    sensible: np.ndarray  # temperature of the level, also from the other part

    def get(self, name: str) -> np.ndarray:
        """A column by mnemonic, all NaN where the message type has none."""
        return self.columns[name] if name in self.columns else np.full(len(self.report), np.nan)


def _levels(reports: Reports, cycle: int | np.ndarray, first_report: int) -> _Levels:
    owner = reports.level_owner()
    columns = reports.level | {name: values[owner] for name, values in reports.header.items()}
    missing = np.full(reports.levels, np.nan)
    is_surface_report = reports.message_type in SURFACE_MESSAGES
    at_surface = (columns.get("CAT", missing) == SURFACE_LEVEL) | is_surface_report
    report = first_report + joined(reports)[owner]
    group = temperatures.groups(report, columns.get("POB", missing))
    found = temperatures.of_levels(reports, group)
    sensible = temperatures.shared(np.where(found.is_virtual, np.nan, found.value), group)
    place = placing.of_levels(columns, np.broadcast_to(cycle, reports.subsets)[owner])
    return _Levels(reports.message_type, columns, report, place, at_surface, found, sensible)


def joined(reports: Reports) -> np.ndarray:
    """(nsubset,) number of the first subset with the same SID and SQN; a report without SQN stays alone."""
    number = np.arange(reports.subsets)
    sequence = reports.header.get("SQN", np.full(reports.subsets, np.nan))
    has = np.flatnonzero(np.isfinite(sequence))
    station, sequence = reports.header["SID"][has], sequence[has]
    order = np.lexsort((sequence, station))  # stable: the first subset of a group comes first
    starts = np.ones(len(order), dtype=bool)
    starts[1:] = (station[order][1:] != station[order][:-1]) | (np.diff(sequence[order]) != 0)
    number[has[order]] = has[order[np.flatnonzero(starts)[np.cumsum(starts) - 1]]]
    return number


@dataclass(frozen=True)
class _Recipe:
    """How a value becomes a row: as which quantity aloft and at the surface (None: no row there)."""

    aloft: Quantity | None
    surface: Quantity | None
    value: np.ndarray  # (nlevel,) SI, NaN: no row
    mark: np.ndarray  # (nlevel,) its quality mark
    error: np.ndarray
    background: np.ndarray
    ground_mark: np.ndarray | float = np.nan  # (nlevel,) mark of what it needs to stand at the surface
    is_virtual: np.ndarray | bool = False  # (nlevel,) a virtual temperature that could not be converted


def _recipes(levels: _Levels) -> list[_Recipe]:
    get, q, found = levels.get, Quantity, levels.temperature
    is_mass = get("TYP") // 100 == 1
    is_sounding = is_mass & (levels.message_type in SOUNDING_MESSAGES)
    humidity_error = convert.humidity_error(get("QOE") * convert.TENTHS_OF_RELATIVE_HUMIDITY, levels.sensible,
                                            convert.pascal(get("POB")))
    return [
        _Recipe(q.temperature, q.temperature_2m, found.value, found.mark, found.error, found.background,
                is_virtual=found.is_virtual),
        _Recipe(q.specific_humidity, q.specific_humidity_2m, get("QOB") * convert.MILLIGRAM_PER_KILOGRAM, get("QQM"),
                humidity_error, get("QFC") * convert.MILLIGRAM_PER_KILOGRAM),
        _Recipe(q.u_component_of_wind, q.u_component_of_wind_10m, get("UOB"), get("WQM"), get("WOE"), get("UFC")),
        _Recipe(q.v_component_of_wind, q.v_component_of_wind_10m, get("VOB"), get("WQM"), get("WOE"), get("VFC")),
        _Recipe(None, q.surface_pressure, np.where(is_mass, convert.pascal(get("POB")), np.nan), get("PQM"),
                convert.pascal(get("POE")), convert.pascal(get("PFC")), ground_mark=get("ZQM")),
        _Recipe(q.geopotential_height, None, np.where(is_sounding, get("ZOB"), np.nan), get("ZQM"),
                np.full(len(levels.report), np.nan), get("ZFC")),
    ]


def _rows(levels: _Levels, recipe: _Recipe) -> Candidates:
    has_row = np.where(levels.at_surface, recipe.surface is not None, recipe.aloft is not None)
    row = np.flatnonzero(np.isfinite(recipe.value) & has_row)
    n, at_surface, place = len(row), levels.at_surface[row], levels.place
    virtual = np.broadcast_to(recipe.is_virtual, len(has_row))[row]
    quantity = np.where(at_surface, recipe.surface or 0, recipe.aloft or 0)
    quantity = np.where(virtual, Quantity.virtual_temperature, quantity)
    flag = np.where(virtual, Flag.not_converted, Flag.passed)
    pressure = placing.pressure(levels.get("POB")[row])
    height = levels.get("ELV")[row]  # of aircraft and satellite winds their own, not a station's
    at_sea = levels.message_type in placing.SEA_MESSAGES
    elevation = np.where(at_surface, placing.elevation(height, at_sea), height)
    placed = np.isfinite(place.lat[row]) & np.isfinite(place.lon[row]) & place.has_time[row]
    placed &= np.isfinite(np.where(at_surface, elevation, pressure))
    table = Observations(
        value=recipe.value[row], error=recipe.error[row], quantity=quantity,
        flag=np.where(placed, flag, Flag.missing_position), quality=_mark(recipe.mark[row]),
        type=np.nan_to_num(levels.get("TYP")[row]), message_type=np.full(n, levels.message_type.encode()),
        station=levels.columns["SID"][row], report=levels.report[row], lat=place.lat[row], lon=place.lon[row],
        pressure=pressure, elevation=elevation, time=place.time[row], file_background=recipe.background[row])
    place_mark = np.where(levels.at_surface, recipe.ground_mark, levels.get("PQM"))[row]
    return Candidates(table, row, levels.get("CAT")[row], _mark(place_mark), levels.sensible[row],
                      place.report_time[row])


def _mark(marks: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(marks), marks, -1).astype(np.int8)
