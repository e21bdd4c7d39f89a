"""Where and when the levels of a report stand.

*Drift.* A sonde's XDR, YDR, HRDR place each level where and when it was measured; without them the report's XOB, YOB,
DHR do. A drift is not believed blindly: a place more than 10 degrees of arc from the launch, or given by half, falls
back to the launch, so does a time more than 4 h from it (GSI, `read_prepbufr`).

*Window.* The time of the report decides whether it belongs to the analysis, not that of each level: a sounding is not
cut off halfway up.

*What is no place.* A latitude beyond the poles, a longitude beyond a circle, be it of the drift (a bit has flipped), a
pressure of zero: NaN, and the rows are flagged `missing_position`. No station on this planet stands below -500 m or
above 6000 m (9999 is a filler in the older files). What measures the sea's surface, and has no height or an impossible
one, stands at sea level.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from contracts import sphere
from contracts.constants import HOUR
from obsproc import convert

LONGEST_DRIFT = np.deg2rad(10.0)
NEAR = 9.0  # degrees
LONGEST_FLIGHT = 4.0  # h
POLE = 90.0 + 1e-6  # degrees, as decoded numbers write it
LOWEST_STATION, HIGHEST_STATION = -500.0, 6000.0  # m
COLUMNS = ("XOB", "YOB", "DHR", "XDR", "YDR", "HRDR")
SEA_MESSAGES = frozenset(("SFCSHP", "SPSSMI", "ERS1DA", "QKSWND", "WDSATR", "ASCATW"))


@dataclass(frozen=True)
class Places:
    """Of each level (nlevel,): `lat`, `lon` degrees in [0, 360), NaN where unknown; `time` and `report_time` int64
    seconds since 1970, meaningless where not `has_time`."""

    lat: np.ndarray
    lon: np.ndarray
    time: np.ndarray
    report_time: np.ndarray
    has_time: np.ndarray


def of_levels(columns: Mapping[str, np.ndarray], cycle: np.ndarray) -> Places:
    """From decoded columns (nlevel,) of `COLUMNS`, those of the report spread over its levels; hours count from `cycle`
    (nlevel,) int64 seconds since 1970."""
    launch_lon, launch_lat, launch_hours, lon, lat, hours = (columns[name] for name in COLUMNS)
    drifted = np.isfinite(lat) & np.isfinite(lon)
    # No arc is longer than the way along a meridian and a parallel: few have to be computed.
    far = np.flatnonzero(drifted & ~(np.abs(lat - launch_lat) + np.abs(lon - launch_lon) < NEAR))
    drifted[far] = ~(sphere.arc(*(values[far] for values in (launch_lat, launch_lon, lat, lon))) > LONGEST_DRIFT)
    flying = ~(np.abs(hours - launch_hours) > LONGEST_FLIGHT) & np.isfinite(hours)
    hours = np.where(flying, hours, launch_hours)
    has_time = np.isfinite(hours)
    launch_hours = np.where(np.isfinite(launch_hours), launch_hours, hours)
    time, report_time = (cycle + np.rint(np.where(has_time, since, 0.0) * HOUR).astype(np.int64)
                         for since in (hours, launch_hours))
    on_globe = ~((np.abs(lat) > POLE) | (np.abs(lon) > 360.0))
    lat, lon = np.where(drifted | ~on_globe, lat, launch_lat), np.where(drifted | ~on_globe, lon, launch_lon)
    return Places(np.clip(np.where(np.abs(lat) <= POLE, lat, np.nan), -90.0, 90.0),
                  convert.longitude(np.where(np.abs(lon) <= 360.0, lon, np.nan)), time, report_time, has_time)


def elevation(metres: np.ndarray, at_sea: np.ndarray | bool) -> np.ndarray:
    """Height (m) of stations; NaN where it is unknown or no station can stand, but 0 at sea."""
    known = np.where((metres >= LOWEST_STATION) & (metres <= HIGHEST_STATION), metres, np.nan)
    return np.where(np.isnan(known) & at_sea, 0.0, known)


def pressure(hectopascal: np.ndarray) -> np.ndarray:
    """Pa; NaN where it is none."""
    return np.where(hectopascal > 0, convert.pascal(hectopascal), np.nan)
