"""NCEP's raw dumps of what came in (message types NC000001, NC002001, NC004003, …), before PREPDATA made PREPBUFR.

Files such as `gdas.adpupa.*.bufr` and `gdas.adpsfc.*.bufr` of NCAR's ds351 and ds461, and NCEP's own *.bufr_d, bring
their tables with them; what stands in them is told by mnemonics, whatever the layout:

    NC000      synoptic reports, METAR          -> ADPSFC 181 / 281, 183 / 284 and 187 / 287 without a station pressure
    NC001      ships, buoys, C-MAN              -> SFCSHP 180 / 280
    NC002      radiosondes, dropsondes, pilot   -> ADPUPA 120 / 220, 132 / 232, 221
               profilers, radar winds           -> PROFLR 223, 227, 229, VADWND 224
    NC004      AIREP, AMDAR, ACARS, TAMDAR …    -> AIRCFT 130 / 230 to 136 / 236, AIRCAR 133 / 233

What PREPDATA does and this does too: report types, specific humidity from dew points, relative humidities and mixing
ratios, wind components, pressures of flight levels and of METAR's altimeter settings, the launch time of a sonde for
its nominal hour, marks of the forecasters at NCEP (QMPR, QMAT, …), and, as for all sources, windows, ranges,
repetitions and errors by table.

What needs NCEP's background, or its lists, is not done: complex quality control of soundings and aircraft (CQCBUFR,
ACQC), radiation correction (RADCOR), the drift of balloons that do not tell it, heights of stations by dictionary,
reject lists, station pressures from those at sea level (type 183 stays without), virtual temperature (VIRTMP, which
would have to be undone here). So these rows are less trustworthy than those of PREPBUFR; the analysis's background
check is what stands between.
"""

import logging
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from contracts.constants import GRAVITY, HOUR
from obsproc import atmosphere, placing, undivided
from obsproc.bufr import files
from obsproc.bufr.files import DecodedFile
from obsproc.bufr.reports import Reports, concatenate
from obsproc.undivided import NOT_CHECKED, SINGLE, SURFACE, SUSPECT, Undivided

log = logging.getLogger(__name__)
PREFIX = "NC"  # of the message types, then category and subcategory by three digits
LONGEST_BEFORE = 3 * HOUR  # of a launch before its nominal hour
STATION = ("RPID", "ACRN", "ACID", "SMID", "WGOSLID")  # after the WMO's block and number
ALTITUDES = ("FLVL", "FLVLST", "PSAL", "IALT", "HMSL", "HEIT")  # by which aircraft tell their pressure
BITS = {"VSIG": 7, "VSIGX": 18}
_OTHERS = ("WMOB", "WMOS", "YEAR", "MNTH", "DAYS", "HOUR", "MINU", "SECO", "UALNHR", "UALNMN", "CLAT", "CLATH", "CLON",
           "CLONH", "LATDH", "LONDH", "LTDS", "SELV", "HBMSL", "HSMSL", "PRLC", "PRES", "PMSL", "ALSE", "GP10", "GP07",
           "TMDB", "TMDBST", "TMDP", "REHU", "RAWHU", "MIXR", "WDIR", "WSPD", "QMPR", "QMAT", "QMDD", "QMGP", "QMWN")
WANTED = frozenset((*STATION, *ALTITUDES, *BITS, *_OTHERS))


class Kind(NamedTuple):
    """What reports of a raw message type are in PREPBUFR."""

    message_type: str
    mass: int
    wind: int


def _numbered(kind: Kind, category: int, *subcategories: int) -> dict[str, Kind]:
    return {f"{PREFIX}{category:03d}{number:03d}": kind for number in subcategories}


KINDS = (
    _numbered(Kind("ADPSFC", 181, 281), 0, 0, 1, 2, 7, 100, 101, 102)
    | _numbered(Kind("SFCSHP", 180, 280), 1, 1, 2, 3, 4, 13, 101, 102, 103, 104, 113)
    | _numbered(Kind("ADPUPA", 120, 220), 2, 1, 2, 3, 101, 102, 103) | _numbered(Kind("ADPUPA", 132, 232), 2, 4, 104)
    | _numbered(Kind("ADPUPA", 120, 221), 2, 5, 105) | _numbered(Kind("PROFLR", 126, 223), 2, 7)
    | _numbered(Kind("PROFLR", 126, 227), 2, 11) | _numbered(Kind("PROFLR", 126, 229), 2, 9, 13, 14, 16)
    | _numbered(Kind("VADWND", 126, 224), 2, 8, 17, 18)
    | _numbered(Kind("AIRCFT", 130, 230), 4, 1, 2) | _numbered(Kind("AIRCFT", 131, 231), 4, 3, 6, 11, 14, 103)
    | _numbered(Kind("AIRCAR", 133, 233), 4, 4, 7) | _numbered(Kind("AIRCFT", 134, 234), 4, 8, 10, 12, 13)
    | _numbered(Kind("AIRCFT", 135, 235), 4, 9) | _numbered(Kind("AIRCFT", 136, 236), 4, 5)
)
METAR = f"{PREFIX}000007"
OF_SHIPS = (f"{PREFIX}002003", f"{PREFIX}002103")  # soundings


def read_file(path: Path, cycle: datetime, accept_truncated: bool = False, *, tolerant: bool = False) -> DecodedFile:
    """All reports of a dump as PREPBUFR's message types, hours counted from `cycle`.

    Reports of types that are not known here are counted in the log. Raises BufrError as `files.read_file` does.
    """
    file = files.read_file(path, WANTED, accept_truncated, tolerant=tolerant)
    parts: dict[str, list[Reports]] = {}
    skipped = Counter[str]()
    first = 0
    for name, reports in file.reports.items():
        if name not in KINDS:
            skipped[f"reports of {name} skipped, this reader knows NC000, NC001, NC002 and NC004 of soundings, surface "
                    "and aircraft"] += reports.subsets
            continue
        kind = KINDS[name]
        found = undivided.divided(_undivided(reports, kind), kind.message_type, cycle)
        number = found.header["SQN"] + first  # so that no two kinds of a message type share one
        first += reports.subsets
        parts.setdefault(kind.message_type, []).append(_with(found, number))
    for reason, count in skipped.items():
        log.warning("%s: %d %s", path, count, reason)
    joined = {name: concatenate(found) for name, found in parts.items()}
    return DecodedFile(path, file.sha256, (), joined, file.refused)


def _with(reports: Reports, number: np.ndarray) -> Reports:
    return Reports(reports.message_type, reports.messages, reports.message, reports.header | {"SQN": number},
                   reports.level_start, reports.level, reports.depth, reports.events)


class _Columns:
    """The elements of a message type by mnemonic, of its reports or spread over its levels."""

    def __init__(self, reports: Reports):
        self.reports, self.owner = reports, reports.level_owner()

    def head(self, *names: str) -> np.ndarray:
        """(nreport,) the first of some elements that a report has, NaN where it has none."""
        found = np.full(self.reports.subsets, np.nan)
        for name in names:
            if name in self.reports.header:
                found = np.where(np.isnan(found), self.reports.header[name], found)
        return found

    def level(self, *names: str) -> np.ndarray:
        """(nlevel,) the same by level; what stands outside of the levels holds for all of a report."""
        found = np.full(self.reports.levels, np.nan)
        for name in names:
            values = self.reports.level.get(name)
            values = self.reports.header[name][self.owner] if values is None and name in self.reports.header else values
            if values is not None:
                found = np.where(np.isnan(found), values, found)
        return found


def _undivided(reports: Reports, kind: Kind) -> Undivided:
    columns = _Columns(reports)
    start = _started(columns)
    of_surface = kind.message_type in ("ADPSFC", "SFCSHP")
    elevation = columns.head("SELV", "HBMSL", "HSMSL")
    mass, wind = np.full(reports.subsets, kind.mass), np.full(reports.subsets, kind.wind)
    if of_surface:
        pressure, elevation = _at_station(columns, elevation, reports.message_type, kind)
        if kind.message_type == "ADPSFC":
            without = np.isnan(columns.head("PRES"))
            others = (187, 287) if reports.message_type == METAR else (183, 284)
            mass, wind = np.where(without, others[0], mass), np.where(without, others[1], wind)
        levels = {"category": np.full(reports.levels, SURFACE), "place_mark": np.full(reports.levels, NOT_CHECKED)}
        levels |= _measured(columns, pressure[columns.owner])
    else:
        levels = _aloft(columns, kind, start)
        elevation = placing.elevation(elevation, reports.message_type in OF_SHIPS)
    return Undivided(_stations(columns), columns.head("CLAT", "CLATH"), columns.head("CLON", "CLONH"), elevation, start,
                     mass, wind, reports.level_start, levels)


def _at_station(columns: _Columns, elevation: np.ndarray, name: str, kind: Kind) -> tuple[np.ndarray, np.ndarray]:
    """(nreport,) station pressure (Pa), and the elevation (m) that it stands at."""
    pressure = columns.head("PRES")
    if name == METAR:
        told = atmosphere.station_pressure(columns.head("ALSE"), elevation)
        return np.where(np.isnan(pressure), told, pressure), elevation
    if kind.message_type == "SFCSHP":
        by_sea_level = np.isnan(pressure) & np.isfinite(columns.head("PMSL"))
        elevation = np.where(by_sea_level, 0.0, elevation)
        pressure = np.where(by_sea_level, columns.head("PMSL"), pressure)
    return pressure, elevation


def _aloft(columns: _Columns, kind: Kind, start: np.ndarray) -> dict[str, np.ndarray]:
    pressure, told = columns.level("PRLC"), columns.level("QMPR")
    if kind.message_type in ("AIRCFT", "AIRCAR"):
        by_height = np.zeros(len(pressure), bool)  # they fly by the standard atmosphere
        pressure = np.where(np.isnan(pressure), atmosphere.standard_pressure(columns.level(*ALTITUDES)), pressure)
        height, category = np.full(len(pressure), np.nan), np.full(len(pressure), SINGLE)
    else:
        height = _height(columns)
        pressure, by_height = _placed(height, pressure, columns.reports.level_start)
        category = _category(columns, kind)
    levels = _measured(columns, pressure)
    levels |= {"height": np.where(by_height, np.nan, height), "category": category,
               "place_mark": np.where(by_height, SUSPECT, np.where(np.isnan(told), NOT_CHECKED, told))}
    levels["lat"] = columns.level("CLAT", "CLATH") + np.nan_to_num(columns.level("LATDH"))
    levels["lon"] = columns.level("CLON", "CLONH") + np.nan_to_num(columns.level("LONDH"))
    levels["time"] = start[columns.owner] + np.nan_to_num(columns.level("LTDS"))
    return levels


def _height(columns: _Columns) -> np.ndarray:
    """(nlevel,) m; profilers tell HEIT, balloons a geopotential."""
    height = columns.level("GP10", "GP07") / GRAVITY
    return np.where(np.isnan(height), columns.reports.level.get("HEIT", np.nan), height)


def _placed(height: np.ndarray, pressure: np.ndarray, level_start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`atmosphere.at_heights` of the soundings that need it."""
    pressure, by_height = pressure.copy(), np.zeros(len(pressure), bool)
    needed = np.isnan(pressure) & np.isfinite(height)
    for report in np.unique(np.searchsorted(level_start, np.flatnonzero(needed), side="right") - 1):
        rows = slice(level_start[report], level_start[report + 1])
        pressure[rows], by_height[rows] = atmosphere.at_heights(height[rows], pressure[rows])
    return pressure, by_height


def _category(columns: _Columns, kind: Kind) -> np.ndarray:
    name = next((name for name in BITS if name in columns.reports.level), "VSIG")
    by_wind = np.isnan(columns.level("TMDB", "TMDBST"))
    return undivided.categories(columns.level(name), BITS[name], by_wind, kind.mass == 132)


def _measured(columns: _Columns, pressure: np.ndarray) -> dict[str, np.ndarray]:
    level = columns.level
    found = undivided.state(pressure, level("TMDB", "TMDBST"), level("TMDP"), level("REHU", "RAWHU"), level("MIXR"),
                            level("WDIR"), level("WSPD"))
    for column, mnemonic in {"temperature_mark": "QMAT", "humidity_mark": "QMDD", "height_mark": "QMGP",
                             "wind_mark": "QMWN"}.items():
        marks = level(mnemonic)
        found[column] = np.where(np.isnan(marks), NOT_CHECKED, marks)
    return found


def _started(columns: _Columns) -> np.ndarray:
    """(nreport,) seconds since 1970 at which a report began, NaN where its date is none."""
    year, month, day, hour = (columns.head(name) for name in ("YEAR", "MNTH", "DAYS", "HOUR"))
    known = np.isfinite(year + month + day + hour) & (year > 0) & (month >= 1) & (month <= 12) & (day >= 1)
    months = np.where(known, 12 * (year - 1970) + month - 1, 0).astype(np.int64)
    midnight = months.astype("datetime64[M]").astype("datetime64[s]").astype(np.int64) + (day - 1) * 24 * HOUR
    nominal = midnight + hour * HOUR + 60 * np.nan_to_num(columns.head("MINU")) + np.nan_to_num(columns.head("SECO"))
    launch = midnight + HOUR * columns.head("UALNHR") + 60 * np.nan_to_num(columns.head("UALNMN"))
    launch = np.where(launch > nominal, launch - 24 * HOUR, launch)  # before midnight
    began = np.where(nominal - launch <= LONGEST_BEFORE, launch, nominal)
    return np.where(known, began, np.nan)


def _stations(columns: _Columns) -> np.ndarray:
    """(nreport,) S8: block and station number, else the first name that a report has."""
    block, number = columns.head("WMOB"), columns.head("WMOS")
    known = np.isfinite(block) & np.isfinite(number)
    numbers = (np.where(known, block, 0) * 1000 + np.where(known, number, 0)).astype(int)
    found = np.where(known, np.char.zfill(numbers.astype("S5"), 5).astype("S8"), b"")
    for name in STATION:
        if name in columns.reports.header:
            text = np.char.strip(columns.reports.header[name].astype("S8"))
            found = np.where(found == b"", text, found)
    return found
