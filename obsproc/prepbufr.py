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

from contracts import times
from contracts.errors import UserError
from contracts.observations import Observations
from contracts.variables import Flag, Quantity
from obsproc import convert, placing, temperatures
from obsproc.bufr.reports import Reports
from obsproc.placing import Places
from obsproc.temperatures import Groups, Temperatures

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
    recipes = _recipes(levels)
    return _candidates(levels, recipes, [_rows(levels, recipe) for recipe in recipes])


@dataclass(frozen=True)
class _Levels:
    """All levels of a message type, each array (nlevel,), SI units, NaN where missing."""

    reports: Reports
    owner: np.ndarray  # subset of each level
    report: np.ndarray
    place: Places
    at_surface: np.ndarray
    temperature: Temperatures
    sensible: np.ndarray  # temperature of the level, also from the other part where it has none and needs it

    @property
    def type(self) -> np.ndarray:
        """(nsubset,) report type, 0 where it is missing; as small numbers where that is what they are."""
        types = np.nan_to_num(self.reports.header["TYP"])
        small = types.astype(np.int16)
        return small if (small == types).all() else types

    def get(self, name: str, rows: np.ndarray | None = None) -> np.ndarray:
        """A column as decoded, one of the header spread over the levels, all NaN where the message type has none; of
        some rows only."""
        return _column(self.reports, self.owner, name, rows)


def _column(reports: Reports, owner: np.ndarray, name: str, rows: np.ndarray | None = None) -> np.ndarray:
    if name in reports.header:
        return reports.header[name][owner if rows is None else owner[rows]]
    if name in reports.level:
        return reports.level[name] if rows is None else reports.level[name][rows]
    return np.full(reports.levels if rows is None else len(rows), np.nan)


def _levels(reports: Reports, cycle: int | np.ndarray, first_report: int) -> _Levels:
    owner = reports.level_owner()
    at_surface = _column(reports, owner, "CAT") == SURFACE_LEVEL
    at_surface |= reports.message_type in SURFACE_MESSAGES
    report = (first_report + joined(reports)).astype(np.int32)[owner]
    groups = Groups(report, _column(reports, owner, "POB"))
    found = temperatures.of_levels(reports, groups)
    sensible = groups.shared(np.where(found.is_virtual, np.nan, found.value),
                             np.isfinite(_column(reports, owner, "QOB")))
    of_place = {name: _column(reports, owner, name) for name in placing.COLUMNS}
    place = placing.of_levels(of_place, np.broadcast_to(cycle, reports.subsets)[owner])
    return _Levels(reports, owner, report, place, at_surface, found, sensible)


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
    is_mass = (levels.type // 100 == 1)[levels.owner]
    is_sounding = is_mass & (levels.reports.message_type in SOUNDING_MESSAGES)
    humidity_error = get("QOE") * convert.TENTHS_OF_RELATIVE_HUMIDITY
    known = np.flatnonzero(np.isfinite(humidity_error))
    humidity_error[known] = convert.humidity_error(humidity_error[known], levels.sensible[known],
                                                   convert.pascal(get("POB", known)))
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


def _rows(levels: _Levels, recipe: _Recipe) -> np.ndarray:
    """The levels (nrow,) in which a recipe makes a row."""
    has_row = np.where(levels.at_surface, recipe.surface is not None, recipe.aloft is not None)
    return np.flatnonzero(np.isfinite(recipe.value) & has_row)


def _candidates(levels: _Levels, recipes: list[_Recipe], rows: list[np.ndarray]) -> Candidates:
    """The rows of all recipes, one below the other; what they share is looked up once."""
    row = np.concatenate(rows)
    at_surface, place, message_type = levels.at_surface[row], levels.place, levels.reports.message_type

    def each(name: str) -> np.ndarray:
        columns = (np.asarray(getattr(recipe, name)) for recipe in recipes)
        return np.concatenate([column[own] if column.ndim else np.full(len(own), column)
                               for column, own in zip(columns, rows, strict=True)])

    virtual, place_mark = each("is_virtual"), np.where(at_surface, each("ground_mark"), levels.get("PQM", row))
    codes = np.array([(recipe.aloft or 0, recipe.surface or 0) for recipe in recipes], np.int8)
    quantity = codes[np.repeat(np.arange(len(rows)), [len(own) for own in rows]), at_surface.astype(int)]
    pressure, height = placing.pressure(levels.get("POB", row)), levels.get("ELV", row)
    # The height of aircraft and satellite winds is their own, not a station's.
    elevation = np.where(at_surface, placing.elevation(height, message_type in placing.SEA_MESSAGES), height)
    lat, lon = place.lat[row], place.lon[row]
    placed = np.isfinite(lat) & np.isfinite(lon) & place.has_time[row]
    placed &= np.isfinite(np.where(at_surface, elevation, pressure))
    table = Observations(
        value=each("value"), error=each("error"),
        quantity=np.where(virtual, np.int8(Quantity.virtual_temperature), quantity),
        flag=np.select([~placed, virtual], [np.int8(Flag.missing_position), np.int8(Flag.not_converted)],
                       np.int8(Flag.passed)),
        quality=_mark(each("mark")), type=levels.type[levels.owner[row]],
        message_type=np.full(len(row), message_type.encode()), station=levels.get("SID", row),
        report=levels.report[row], lat=lat, lon=lon, pressure=pressure, elevation=elevation, time=place.time[row],
        file_background=each("background"))
    return Candidates(table, row, levels.get("CAT", row), _mark(place_mark), levels.sensible[row],
                      place.report_time[row])


def _mark(marks: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(marks), -1, marks).astype(np.int8)
