"""What is known of any time and place without a forecast: the sun, the time of day, the season, the place itself.

    insolation                        W m-2 on a level surface at the top of the atmosphere
    cosine_of_solar_zenith            the same as a number: max(cos Z, 0)
    sine_of_time_of_day, cosine_…     of 2π UTC / 24 h, the same everywhere
    sine_of_local_time, cosine_…      of 2π (UTC + λ / 15°) / 24 h, mean solar time
    sine_of_year, cosine_…            of 2π d / 365.25, d the days since the year began
    sine_of_latitude, cosine_…, sine_of_longitude, cosine_…

These are names of inputs, like those of channels, that a network or a model of others may ask for.

The sun, by the low-precision formulas of the Astronomical Almanac (page C5; Michalsky 1988, Solar Energy 40, 227),
right to 0.01° from 1950 to 2050; n days since 2000-01-01 12 UTC:

    L = 280.460 + 0.9856474 n        g = 357.528 + 0.9856003 n         mean longitude and anomaly, degrees
    l = L + 1.915 sin g + 0.020 sin 2g        ε = 23.439 - 0.0000004 n     ecliptic longitude, obliquity
    tan α = cos ε tan l        sin δ = sin ε sin l        r = 1.00014 - 0.01671 cos g - 0.00014 cos 2g
    H = 15° (6.697375 + 0.0657098242 n + UTC) + λ - α                 hour angle; UTC in hours
    cos Z = sin φ sin δ + cos φ cos δ cos H        insolation = S max(cos Z, 0) / r²
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from contracts import times
from contracts.constants import HOUR, SOLAR_CONSTANT
from contracts.grid import Grid

DAY = 24 * HOUR  # s
J2000 = 946_728_000  # 2000-01-01 12 UTC, s since 1970


@dataclass(frozen=True)
class Sun:
    """Where the sun stands at `seconds` (time,) since 1970, UTC."""

    seconds: np.ndarray

    @cached_property
    def days(self) -> np.ndarray:
        """n (time,)"""
        return (self.seconds - J2000) / DAY

    @cached_property
    def anomaly(self) -> np.ndarray:
        """g (time,), radians"""
        return np.deg2rad(357.528 + 0.9856003 * self.days)

    @cached_property
    def _ecliptic(self) -> tuple[np.ndarray, np.ndarray]:
        """l and ε (time,), radians"""
        mean = 280.460 + 0.9856474 * self.days
        longitude = mean + 1.915 * np.sin(self.anomaly) + 0.020 * np.sin(2 * self.anomaly)
        return np.deg2rad(longitude), np.deg2rad(23.439 - 0.0000004 * self.days)

    @cached_property
    def declination(self) -> np.ndarray:
        """δ (time,), radians"""
        longitude, obliquity = self._ecliptic
        return np.arcsin(np.sin(obliquity) * np.sin(longitude))

    @cached_property
    def right_ascension(self) -> np.ndarray:
        """α (time,), radians from -π to π"""
        longitude, obliquity = self._ecliptic
        return np.arctan2(np.cos(obliquity) * np.sin(longitude), np.cos(longitude))

    @cached_property
    def distance(self) -> np.ndarray:
        """r (time,), astronomical units"""
        return 1.00014 - 0.01671 * np.cos(self.anomaly) - 0.00014 * np.cos(2 * self.anomaly)

    def cosine_of_zenith(self, grid: Grid) -> np.ndarray:
        """cos Z (time, lat, lon), negative at night"""
        sidereal = 6.697375 + 0.0657098242 * self.days + self.seconds % DAY / HOUR  # of Greenwich, hours
        hour = np.deg2rad(15 * sidereal)[:, None] + np.deg2rad(grid.lon) - self.right_ascension[:, None]  # (time, lon)
        phi, delta = np.deg2rad(grid.lat)[:, None], self.declination[:, None, None]
        return np.sin(phi) * np.sin(delta) + np.cos(phi) * np.cos(delta) * np.cos(hour)[:, None]


def insolation(seconds: np.ndarray, grid: Grid) -> np.ndarray:
    """W m-2 (time, lat, lon)"""
    sun = Sun(seconds)
    return SOLAR_CONSTANT * np.maximum(sun.cosine_of_zenith(grid), 0) / sun.distance[:, None, None] ** 2


def _year(seconds: np.ndarray) -> np.ndarray:
    """2π d / 365.25 (time,)"""
    begun = [times.to_seconds(times.from_seconds(one).replace(month=1, day=1, hour=0, minute=0, second=0))
             for one in seconds]
    return 2 * np.pi * (seconds - np.array(begun)) / (365.25 * DAY)


def _of_angle(angle: Callable[[np.ndarray, Grid], np.ndarray], wave: Callable[[np.ndarray], np.ndarray]
              ) -> Callable[[np.ndarray, Grid], np.ndarray]:
    return lambda seconds, grid: wave(angle(seconds, grid))


# Radians (time or 1, lat or 1, lon or 1)
_ANGLES: dict[str, Callable[[np.ndarray, Grid], np.ndarray]] = {
    "time_of_day": lambda seconds, grid: (2 * np.pi * (seconds % DAY) / DAY)[:, None, None],
    "local_time": lambda seconds, grid: (2 * np.pi * (seconds % DAY) / DAY)[:, None, None] + np.deg2rad(grid.lon),
    "year": lambda seconds, grid: _year(seconds)[:, None, None],
    "latitude": lambda seconds, grid: np.deg2rad(grid.lat)[None, :, None],
    "longitude": lambda seconds, grid: np.deg2rad(grid.lon)[None, None, :],
}
_FORCINGS: dict[str, Callable[[np.ndarray, Grid], np.ndarray]] = {
    "insolation": insolation,
    "cosine_of_solar_zenith": lambda seconds, grid: np.maximum(Sun(seconds).cosine_of_zenith(grid), 0),
    **{f"{name}_of_{of}": _of_angle(angle, wave) for of, angle in _ANGLES.items()
       for name, wave in (("sine", np.sin), ("cosine", np.cos))},
}
FORCINGS = tuple(_FORCINGS)


def fields(names: Sequence[str], seconds: np.ndarray | int, grid: Grid) -> np.ndarray:
    """float32 (time, name, lat, lon) at the times `seconds` since 1970, one or (time,); KeyError on another name."""
    when = np.atleast_1d(np.asarray(seconds, np.int64))
    found = np.empty((len(when), len(names), *grid.shape), np.float32)
    for number, name in enumerate(names):
        found[:, number] = _FORCINGS[name](when, grid)
    return found
