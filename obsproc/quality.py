"""Which observations are fit for assimilation, and for every other the one reason why not.

Each check takes a table and returns it with reasons written where the flag still says `passed`, so the order of the
calls is the order of precedence. Nothing is removed.

NCEP's quality marks: 0 keep, 1 good, 2 neutral, 3 suspect; 4 to 15 are not to be used (9 no observation error, 12 on
the reject list, 13 failed a check, 14 purged, 15 for other reasons). An observation aloft is only as good as the
pressure that places it, and the pressure of a sounding's station as the height that failed or passed the hydrostatic
check: the worse of both marks counts.

Both components of a wind share one fate: one that is impossible condemns the other.

A station pressure has to fit the station's height. Reduced to sea level in the U.S. Standard Atmosphere (1976),

    p0 = p (1 − L z / T0)^(−g / (R L))          L = 6.5 K/km, T0 = 288.15 K,

it must lie within limits that no weather passes; else the pressure or the height is wrong.

Humidity is impossible beyond some multiple of what the air can hold (`convert.most_humidity`), which only a wrong
humidity, temperature or pressure passes; high up no operational sonde measures it, so there it is monitored.

Stations are withheld for verification by a hash of their name and the seed, so that a station is withheld at all times
or never, on all machines alike.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from hashlib import blake2b

import numpy as np

from contracts import times
from contracts.constants import GAS_CONSTANT_DRY, GRAVITY, LAPSE_RATE
from contracts.observations import Observations
from contracts.variables import Flag, Quantity, of_kind
from obsproc import convert
from obsproc.prepbufr import Candidates

AUXILIARY_LEVEL = 7  # category of levels that NCEP interpolated
STANDARD_TEMPERATURE = 288.15  # K, at sea level (U.S. Standard Atmosphere, 1976)

WIND = of_kind("wind")
HUMIDITIES = of_kind("humidity")


def check(candidates: Candidates, window: tuple[datetime, datetime], max_mark: int) -> Observations:
    """Time of the report, level category, range and quality marks; `window` is closed at both ends."""
    table = candidates.table
    early, late = (times.to_seconds(end) for end in window)
    mark = np.maximum(table.quality, candidates.place_mark)
    table = reject(table, (candidates.report_time < early) | (candidates.report_time > late), Flag.out_of_window)
    table = reject(table, candidates.category == AUXILIARY_LEVEL, Flag.auxiliary_level)
    table = reject(table, _impossible(table, candidates.level), Flag.out_of_range)
    table = reject(table, table.quality < 0, Flag.missing_mark)
    return reject(table, mark > max_mark, Flag.bad_mark)


def check_humidity(candidates: Candidates, table: Observations, limit: float) -> Observations:
    """Humidities beyond `limit` times the most that the air at their level can hold are out of range."""
    relative = table.quantity == Quantity.relative_humidity
    humid = is_among(table.quantity, HUMIDITIES) & ~relative
    most = np.where(relative, limit, np.inf)
    most[humid] = limit * convert.most_humidity(candidates.temperature[humid], table.pressure[humid])
    return reject(table, table.value > most, Flag.out_of_range)


def check_station_pressure(table: Observations, limits: tuple[float, float]) -> Observations:
    """Pressures that at sea level would lie outside `limits` (Pa) are out of range at their station's height."""
    rows = np.flatnonzero(table.quantity == Quantity.surface_pressure)
    warmth = 1.0 - LAPSE_RATE * table.elevation[rows].astype(np.float64) / STANDARD_TEMPERATURE
    at_sea_level = table.value[rows] * warmth ** (-GRAVITY / (GAS_CONSTANT_DRY * LAPSE_RATE))
    wrong = np.zeros(len(table), dtype=bool)
    wrong[rows] = (at_sea_level < limits[0]) | (at_sea_level > limits[1])
    return reject(table, wrong, Flag.out_of_range)


def monitor(table: Observations, use: Collection[Quantity]) -> Observations:
    """Quantities that are not to be assimilated are compared with the model only."""
    return reject(table, ~is_among(table.quantity, use), Flag.monitored)


def monitor_above(table: Observations, humidity_top: float) -> Observations:
    """Humidities at less than `humidity_top` (Pa) are compared with the model only."""
    too_high = is_among(table.quantity, HUMIDITIES) & ~table.at_surface & (table.pressure < humidity_top)
    return reject(table, too_high, Flag.monitored)


def withhold(table: Observations, share: float, message_types: Collection[str], seed: int) -> Observations:
    """Keep a share of the stations of some message types from the analysis."""
    if not share:
        return table
    rows = np.flatnonzero(is_one_of(table.message_type, message_types))
    names = table.station[rows].view(np.uint64)  # eight letters are one number, and sorted faster
    start = np.flatnonzero(np.diff(names, prepend=~names[:1]))  # rows of a station stand together
    stations, place = np.unique(names[start], return_inverse=True)
    chosen = _fractions(stations.view("S8").tolist(), seed) < share
    withheld = np.zeros(len(table), dtype=bool)
    withheld[rows] = np.repeat(chosen[place.ravel()], np.diff(np.append(start, len(names))))
    return reject(table, withheld, Flag.withheld)


def is_among(codes: np.ndarray, chosen: Collection[int]) -> np.ndarray:
    """(n,) bool of codes (n,) int8 from 0: by looking them up, where np.isin would sort."""
    known = np.zeros(128, dtype=bool)
    known[list(chosen)] = True
    return known[codes]


def is_one_of(message_type: np.ndarray, names: Collection[str]) -> np.ndarray:
    """(nobs,) bool; compared as numbers, which is faster than as texts."""
    found = np.zeros(len(message_type), dtype=bool)
    for number in np.array(list(names), "S8").view(np.uint64):
        found |= message_type.view(np.uint64) == number
    return found


def reject(table: Observations, which: np.ndarray, reason: Flag) -> Observations:
    """Give a reason to those rows of `which` that have none yet."""
    if not which.any():
        return table
    return table.with_columns(flag=np.where(which & (table.flag == Flag.passed), np.int8(reason), table.flag))


def _impossible(table: Observations, level: np.ndarray) -> np.ndarray:
    wrong = np.zeros(len(table), dtype=bool)
    for code in np.flatnonzero(np.bincount(table.quantity)):
        low, high = Quantity(int(code)).valid_range
        wrong |= (table.quantity == code) & ((table.value < low) | (table.value > high))
    is_wind = is_among(table.quantity, WIND)
    wrong_wind = wrong & is_wind
    if not wrong_wind.any():
        return wrong
    return wrong | (is_wind & np.isin(level, level[wrong_wind]))


def _fractions(stations: Sequence[bytes], seed: int) -> np.ndarray:
    """(n,) numbers in [0, 1), each of which depends on a station's name and the seed only."""
    salted = blake2b(digest_size=8, salt=seed.to_bytes(16, "little", signed=True))
    found = np.empty(len(stations))
    for i, station in enumerate(stations):
        hashed = salted.copy()
        hashed.update(station)
        found[i] = int.from_bytes(hashed.digest(), "big") / 2**64
    return found
