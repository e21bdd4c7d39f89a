"""Reports of other formats as PREPBUFR's: a mass and a wind part of each, with the levels that hold anything.

Whatever the format, what `prepbufr` does with levels, surface and units then holds, and all checks after it. The report
types are NCEP's, so that errors, thinning and verification treat all formats alike.

    q = q_s(Td, p)                        specific humidity is that at saturation at the dew point (`convert`)
    e = RH e_s(T) without a dew point, so q = ε e / (p − (1 − ε) e); q = r / (1 + r) from a mixing ratio r
    (u, v) = −V (sin φ, cos φ)            wind from the direction φ

What no one has marked is 2, "neutral or not checked".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from contracts import times
from contracts.constants import HECTOPASCAL, HOUR, ZERO_CELSIUS
from obsproc import convert
from obsproc.bufr.reports import Reports

NOT_CHECKED, SUSPECT = 2, 3  # NCEP's marks
SURFACE, STANDARD, SIGNIFICANT, BY_WIND, TROPOPAUSE, SINGLE = 0, 1, 2, 3, 5, 6  # level categories of PREPBUFR
MASS = {"TOB": "temperature", "QOB": "humidity", "ZOB": "height"}
WIND = {"UOB": "u", "VOB": "v"}
MARKS = {"PQM": "place_mark", "TQM": "temperature_mark", "QQM": "humidity_mark", "ZQM": "height_mark",
         "WQM": "wind_mark"}


@dataclass(frozen=True)
class Undivided:
    """Some reports of one message type of PREPBUFR, in SI, NaN where missing.

    Of each report (nreport,): `station` (S8), `lat`, `lon`, `elevation`, `time` (seconds since 1970), `mass_type` and
    `wind_type`; the levels of report i are rows `level_start[i]` to `level_start[i + 1]` of `levels`, columns
    (nlevel,): `pressure`, `temperature`, `humidity`, `u`, `v`, `category`, and where they differ from those of the
    report or are known at all `lat`, `lon`, `time`, `height` and the marks of `MARKS`.
    """

    station: np.ndarray
    lat: np.ndarray
    lon: np.ndarray
    elevation: np.ndarray
    time: np.ndarray
    mass_type: np.ndarray
    wind_type: np.ndarray
    level_start: np.ndarray
    levels: Mapping[str, np.ndarray]

    def get(self, name: str, otherwise: float = np.nan) -> np.ndarray:
        """A column of the levels."""
        return self.levels.get(name, np.full(int(self.level_start[-1]), otherwise))


def divided(reports: Undivided, message_type: str, cycle: datetime) -> Reports:
    """The mass and wind parts, hours counted from `cycle`; both parts of a report have its number as SQN."""
    owner = np.repeat(np.arange(len(reports.station)), np.diff(reports.level_start))
    pressure, marked = reports.get("pressure"), reports.get("place_mark", NOT_CHECKED)
    at_ground = (reports.get("category") == SURFACE) & np.isfinite(pressure) & (marked == NOT_CHECKED)
    has_mass = at_ground | np.isfinite([reports.get(name) for name in MASS.values()]).any(axis=0)
    has_wind = np.isfinite([reports.get(name) for name in WIND.values()]).any(axis=0)
    row = np.concatenate([np.flatnonzero(has_mass), np.flatnonzero(has_wind)])
    is_wind = np.arange(len(row)) >= has_mass.sum()
    part = 2 * owner[row] + is_wind
    order = np.argsort(part, kind="stable")
    row, is_wind = row[order], is_wind[order]
    parts, start = np.unique(part[order], return_index=True)
    return Reports(message_type, len(reports.station), np.arange(1, len(parts) + 1), _header(reports, parts, cycle),
                   np.append(start, len(row)).astype(np.int64), _level(reports, owner, row, is_wind, cycle), {}, {})


def _header(reports: Undivided, parts: np.ndarray, cycle: datetime) -> dict[str, np.ndarray]:
    number = parts // 2
    kind = np.where(parts % 2 == 1, reports.wind_type[number], reports.mass_type[number])
    return {"SID": reports.station[number], "XOB": reports.lon[number], "YOB": reports.lat[number],
            "DHR": (reports.time[number] - times.to_seconds(cycle)) / HOUR, "ELV": reports.elevation[number],
            "TYP": kind.astype(float), "SQN": number.astype(float)}


def _level(reports: Undivided, owner: np.ndarray, row: np.ndarray, is_wind: np.ndarray,
           cycle: datetime) -> dict[str, np.ndarray]:
    time = reports.get("time")
    columns = {"CAT": reports.get("category"), "POB": reports.get("pressure") / HECTOPASCAL,
               "XDR": reports.get("lon"), "YDR": reports.get("lat"),
               "HRDR": (np.where(np.isfinite(time), time, reports.time[owner]) - times.to_seconds(cycle)) / HOUR}
    columns |= {name: reports.get(key, NOT_CHECKED) for name, key in MARKS.items()}
    found = {name: values[row].astype(float) for name, values in columns.items()}
    for names, of_part in ((MASS, ~is_wind), (WIND, is_wind)):
        found |= {name: np.where(of_part, reports.get(key)[row], np.nan) for name, key in names.items()}
    return found | {"TOB": found["TOB"] - ZERO_CELSIUS, "QOB": found["QOB"] / convert.MILLIGRAM_PER_KILOGRAM}


def state(pressure: np.ndarray, temperature: np.ndarray, dew_point: np.ndarray, relative: np.ndarray,
          mixing_ratio: np.ndarray, direction: np.ndarray, speed: np.ndarray) -> dict[str, np.ndarray]:
    """Columns in SI from what is measured; `relative` humidity in percent, over water."""
    vapour = relative / 100.0 * convert.saturation_vapour_pressure(temperature)
    humidity = np.where(np.isfinite(dew_point), convert.saturation_humidity(dew_point, pressure),
                        convert.specific_humidity(vapour, pressure))
    humidity = np.where(np.isfinite(humidity), humidity, mixing_ratio / (1.0 + mixing_ratio))
    angle = np.deg2rad(direction)
    calm = speed == 0.0  # has no direction, but is an observation
    return {"pressure": pressure, "temperature": temperature, "humidity": humidity,
            "u": np.where(calm, 0.0, -speed * np.sin(angle)), "v": np.where(calm, 0.0, -speed * np.cos(angle))}


def categories(significance: np.ndarray, bits: int, by_wind: np.ndarray, downward: np.ndarray | bool) -> np.ndarray:
    """Level categories (nlevel,) from the vertical significance, a flag table of so many bits (WMO 008001, 008042):
    counted from the highest, 1 surface, 2 standard level, 3 tropopause. What comes down has no level of the surface."""
    known = np.where(np.isfinite(significance), significance, 0).astype(np.int64)
    surface, standard, tropopause = ((known >> (bits - bit) & 1).astype(bool) for bit in (1, 2, 3))
    return np.select([surface & ~np.asarray(downward), tropopause & ~standard, standard, by_wind],
                     [SURFACE, TROPOPAUSE, STANDARD, BY_WIND], SIGNIFICANT)
