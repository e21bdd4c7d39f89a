"""What was observed once and came twice.

*Rows*: a sounding's level in two categories, a bulletin repeated, a report in two files. Rows that agree in station,
report type, quantity, time, place and, aloft, pressure are one observation. The row with the best mark stays, of equal
ones the first in the files, whatever their values: nobody measures two at once.

*Reports*: one balloon in the traditional code and as BUFR, or from two archives that know its station by other
coordinates; a surface station repeated with rounded coordinates. Two reports of a station and message type are copies
where they are near in time and place (`RULES`), the smaller one finds at least half of its numbers at the same
pressures in the other, and of these four in five agree to within what rounding in the codes can do (`_TOLERANCE`). The
fuller report stays; of the other all quantities that the fuller one has are set aside. Aircraft are left alone: the
same temperature at the same level minutes later is another observation.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from contracts import sphere
from contracts.constants import EARTH_RADIUS
from contracts.observations import Observations
from contracts.variables import Flag, Quantity
from obsproc.quality import is_among, is_one_of, reject

USABLE = (Flag.passed, Flag.monitored)
SHARE_IN_BOTH, SHARE_EQUAL = 0.5, 0.8
_FURTHEST = 1e7  # Pa, beyond all pressures
SAME_PRESSURE = 60.0  # Pa: half of the last digit of a significant level in TEMP, and its rounding in PREPBUFR


class Nearness(NamedTuple):
    """How far apart two reports can be that are the same."""

    seconds: int
    metres: float
    levels: int = 1  # at least so many in each: else the levels of a list are taken for reports


# An archive knows a station's place to a degree, its clock the nominal hour or the launch; stations report each minute.
RULES = {b"ADPUPA": Nearness(3600, 120e3, 2), b"ADPSFC": Nearness(300, 11e3), b"SFCSHP": Nearness(300, 11e3)}

# Absolute and relative difference of a number in two codes: tenths and knots, five degrees of wind direction, a dew
# point depression in whole degrees, heights in tens of metres.
_TOLERANCE = {
    Quantity.temperature: (1.0, 0.0), Quantity.temperature_2m: (0.6, 0.0), Quantity.virtual_temperature: (1.0, 0.0),
    Quantity.specific_humidity: (5e-5, 0.15), Quantity.specific_humidity_2m: (5e-5, 0.1),
    Quantity.geopotential_height: (30.0, 0.0), Quantity.surface_pressure: (110.0, 0.0),
    Quantity.u_component_of_wind: (3.0, 0.0), Quantity.v_component_of_wind: (3.0, 0.0),
    Quantity.u_component_of_wind_10m: (1.0, 0.0), Quantity.v_component_of_wind_10m: (1.0, 0.0),
    Quantity.wind_speed: (1.0, 0.0), Quantity.relative_humidity: (0.01, 0.15),
}
_BY_CODE = {code.value: allowed for code, allowed in _TOLERANCE.items()}
_ABSOLUTE, _RELATIVE = np.transpose([_BY_CODE.get(code, (0.0, 0.0)) for code in range(max(Quantity) + 1)])


def reject_rows(table: Observations) -> Observations:
    """Of the rows that are still good, every repetition of another."""
    rows = np.flatnonzero(table.flag == Flag.passed)
    pressure = np.where(table.at_surface, 0.0, table.pressure)
    rows = rows[_alike(*(column[rows] for column in (pressure, table.time, table.quantity, table.station)))]
    same = tuple(column[rows] for column in (pressure, table.lon, table.lat, table.time, table.quantity, table.type,
                                             table.station))
    order = np.lexsort((table.quality[rows], *same))  # stable: the first in the files comes first
    repeats = np.ones(max(len(rows) - 1, 0), dtype=bool)
    for column in same:
        repeats &= column[order][1:] == column[order][:-1]
    duplicate = np.zeros(len(table), dtype=bool)
    duplicate[rows[order[1:][repeats]]] = True
    return reject(table, duplicate, Flag.duplicate)


def _alike(*columns: np.ndarray) -> np.ndarray:
    """Rows that perhaps agree with another one in all columns, ascending: one sort of a hash instead of one of all."""
    mixed = np.zeros(len(columns[0]), np.uint64)
    for column in columns:
        bits = column.view(np.uint64) if column.dtype.kind == "S" else (column + 0.0).astype(np.float64).view(np.uint64)
        mixed ^= bits
        mixed *= np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    order = np.argsort(mixed)
    equal = mixed[order][1:] == mixed[order][:-1]
    alike = np.zeros(len(mixed), dtype=bool)
    alike[order[1:][equal]] = alike[order[:-1][equal]] = True
    return np.flatnonzero(alike)


def reject_reports(table: Observations) -> Observations:
    """Of the reports that are copies of another one, the less full ones."""
    ruled = is_among(table.flag, USABLE)
    ruled &= is_one_of(table.message_type, [name.decode() for name in RULES])
    reports = _Reports.among(table, np.flatnonzero(ruled))
    original = np.arange(len(reports.start))
    for fuller, other in sorted(_pairs(reports), key=lambda pair: tuple(reports.rank[list(pair)])):
        if original[fuller] == fuller and original[other] == other and _agree(
                table, reports.of(fuller), reports.of(other)):
            original[other] = fuller
    duplicate = np.zeros(len(table), dtype=bool)
    for copy in np.flatnonzero(original != np.arange(len(original))).tolist():
        rows, of_fuller = reports.of(copy), reports.of(original[copy])
        duplicate[rows[np.isin(table.quantity[rows], table.quantity[of_fuller])]] = True
    return reject(table, duplicate, Flag.duplicate)


@dataclass(frozen=True)
class _Reports:
    """Usable rows by report: `rows` (nrow,) of the table; those of report i are `count[i]` from `start[i]` on; `heads`
    (nreport,) the earliest row of each; `rank` (nreport,) 0 for the fullest."""

    rows: np.ndarray
    start: np.ndarray
    count: np.ndarray
    heads: Observations
    rank: np.ndarray

    @classmethod
    def among(cls, table: Observations, rows: np.ndarray) -> "_Reports":
        """Those of some rows of a table."""
        ordered = np.sort(table.report[rows].astype(np.int64) << 32 | rows)  # by report, then by row
        report, rows = ordered >> 32, ordered & 0xFFFFFFFF
        start = np.flatnonzero(np.diff(report, prepend=-1))
        count = np.diff(np.append(start, len(rows)))
        rank = np.empty(len(start), int)
        rank[np.argsort(-count, kind="stable")] = np.arange(len(start))
        return cls(rows, start, count, table.select(rows[_earliest(table.time[rows], start, count)]), rank)

    def of(self, report: int) -> np.ndarray:
        """Its rows of the table."""
        return self.rows[self.start[report] : self.start[report] + self.count[report]]


def _earliest(time: np.ndarray, start: np.ndarray, count: np.ndarray) -> np.ndarray:
    """(nreport,) the first of the earliest rows of each report."""
    if not len(start):
        return start
    earliest = np.flatnonzero(time == np.repeat(np.minimum.reduceat(time, start), count))
    return earliest[np.searchsorted(earliest, start)]


def _pairs(reports: _Reports) -> Iterator[tuple[int, int]]:
    """Reports of one named station and message type that are near in time and place, the fuller one first."""
    heads = reports.heads
    kinds = list(RULES)
    kind = np.select([heads.message_type == name for name in kinds], range(len(kinds)), -1)
    seconds, metres = (np.array([rule[i] for rule in RULES.values()])[kind] for i in (0, 1))
    station = heads.station.view(np.uint64)
    order = np.lexsort((heads.time, kind, station))
    order = order[station[order] != 0]
    first = np.arange(len(order))  # of pairs so many steps apart; what is not soon in a step is not in the next
    for step in range(1, len(order)):
        first = first[: np.searchsorted(first, len(order) - step)]
        a, b = order[first], order[first + step]
        soon = (station[a] == station[b]) & (kind[a] == kind[b]) & (heads.time[b] - heads.time[a] <= seconds[a])
        if not soon.any():
            return
        first, a, b = first[soon], a[soon], b[soon]
        near = EARTH_RADIUS * sphere.arc(heads.lat[a], heads.lon[a], heads.lat[b], heads.lon[b]) <= metres[a]
        for one, other in zip(a[near], b[near], strict=True):
            if not any(letter.isalnum() for letter in heads.station[one].decode("latin-1")):
                continue
            yield (one, other) if reports.rank[one] < reports.rank[other] else (other, one)


def _agree(table: Observations, fuller: np.ndarray, other: np.ndarray) -> bool:
    """Whether enough numbers in the rows of one report stand in those of the fuller one as well."""
    ours, theirs = table.select(other), table.select(fuller)
    place = _place(theirs)
    by_place = np.argsort(place, kind="stable")
    ladder, sought = place[by_place], _place(ours)
    above = np.minimum(np.searchsorted(ladder, sought), len(ladder) - 1)
    below = np.maximum(above - 1, 0)
    partner = np.where(np.abs(ladder[below] - sought) <= np.abs(ladder[above] - sought), below, above)
    found = np.abs(ladder[partner] - sought) <= SAME_PRESSURE
    levels = len(np.unique(ours.pressure[found]))
    if found.sum() < SHARE_IN_BOTH * len(found) or levels < RULES[ours.message_type[0]].levels:
        return False
    expected = theirs.value[by_place][partner[found]]
    quantity = ours.quantity[found]
    allowed = _ABSOLUTE[quantity] + _RELATIVE[quantity] * np.abs(expected)
    return bool((np.abs(ours.value[found] - expected) <= allowed).mean() >= SHARE_EQUAL)


def _place(rows: Observations) -> np.ndarray:
    """(nrow,) numbers that are near for the same quantity at nearly the same pressure only; the surface has none."""
    return rows.quantity * _FURTHEST + np.nan_to_num(np.where(rows.at_surface, 0.0, rows.pressure))
