"""WMO BUFR, read by ecCodes, as the same reports that PREPBUFR files hold.

    TEMP, PILOT (category 2) -> ADPUPA 120 / 220, 221 without any temperature; drift where each level has it
    SYNOP (0)                -> ADPSFC 181 / 281, 187 / 287 where the station pressure is missing
    ship, buoy (1)           -> SFCSHP 180 / 280
    AMDAR, AIREP (4)         -> AIRCFT 131 / 231

Report types are NCEP's, so that errors, thinning and verification treat both formats alike. What `prepbufr` does with
levels, surface and units holds here too. A message has no quality marks: all are 2, "neutral or not checked".

    q = q_s(Td, p)                        specific humidity is that at saturation at the dew point (`convert`)
    e = RH e_s(T) without a dew point, so q = ε e / (p − (1 − ε) e)
    (u, v) = −V (sin φ, cos φ)            wind from the direction φ
    p = p0 (1 − L z / T0)^(g / R L)       flight level z <= 11 km in the standard atmosphere (ICAO Doc 7488), above
    p = p11 exp(−g (z − 11 km) / R T11)   that isothermal

Templates: WMO-No. 306, Manual on Codes, Vol. I.2, categories 307, 308, 309, 311.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import eccodes
import numpy as np

from contracts import times
from contracts.constants import GAS_CONSTANT_DRY, GRAVITY, HECTOPASCAL, HOUR, LAPSE_RATE, ZERO_CELSIUS
from obsproc import convert
from obsproc.bufr.files import DecodedFile
from obsproc.bufr.messages import BufrError
from obsproc.bufr.reports import Reports

log = logging.getLogger(__name__)

LAND, SEA, SOUNDING, AIRCRAFT = 0, 1, 2, 4  # data categories, BUFR table A
NOT_CHECKED = 2  # NCEP's mark
MISSING = eccodes.CODES_MISSING_DOUBLE
# Bits of the vertical significance, counted from the highest: 1 surface, 2 standard level, 3 tropopause.
SIGNIFICANCE_BITS = {"verticalSoundingSignificance": 7, "extendedVerticalSoundingSignificance": 18}
PRESSURE = 7004  # descriptor
REPLICATION_COUNTS = {31000: "shortDelayedDescriptorReplicationFactor", 31001: "delayedDescriptorReplicationFactor",
                      31002: "extendedDelayedDescriptorReplicationFactor"}
SURFACE, STANDARD, SIGNIFICANT, BY_WIND, TROPOPAUSE, SINGLE = 0, 1, 2, 3, 5, 6  # level categories of PREPBUFR
SEA_LEVEL_PRESSURE, SEA_LEVEL_TEMPERATURE, TROPOPAUSE_HEIGHT = 101_325.0, 288.15, 11_000.0  # ICAO Doc 7488


@dataclass(frozen=True)
class _Report:
    """One report in SI; `levels` are columns (nlevel,), NaN where missing."""

    message_type: str
    mass_type: int
    wind_type: int
    station: str
    lat: float
    lon: float
    elevation: float
    time: float  # seconds since 1970
    levels: dict[str, np.ndarray]


def read_file(path: str | Path, cycle: datetime, accept_truncated: bool = False, *,
              tolerant: bool = False) -> DecodedFile:
    """All reports of a file of WMO BUFR messages, hours counted from `cycle`.

    Messages of other categories, and levels whose layout is not understood, are counted in the log. Raises BufrError
    naming file and message where ecCodes cannot read on; with `accept_truncated` a last message that is cut short is
    left out, if `tolerant` every message that cannot be read is, and stands in `refused`.
    """
    path = Path(path)
    found, skipped = [], Counter[str]()
    refused: list[BufrError] = []
    for number, handle in _messages(path, accept_truncated, refused if tolerant else None):
        try:
            found += [report for subset in _subsets(handle) if (report := _report(subset, skipped))]
        except eccodes.CodesInternalError as error:
            refused.append(BufrError(path, f"ecCodes cannot read it ({error})", number))
            if not tolerant:
                raise refused[0] from error
        finally:
            eccodes.codes_release(handle)
    for reason, count in skipped.items():
        log.warning("%s: %d %s", path, count, reason)
    kinds = dict.fromkeys(report.message_type for report in found)
    parts = {kind: _reports([report for report in found if report.message_type == kind], kind, cycle) for kind in kinds}
    return DecodedFile(path, sha256(path.read_bytes()).hexdigest(), (), parts, tuple(refused))


def _messages(path: Path, accept_truncated: bool, refused: list[BufrError] | None) -> Iterator[tuple[int, Any]]:
    """Number, from 1, and handle of each message; where the file cannot be read on, that goes into a list `refused`."""
    number = 0
    with path.open("rb") as file:
        while True:
            number += 1
            try:
                handle = eccodes.codes_bufr_new_from_file(file)
            except eccodes.CodesInternalError as error:
                if refused is not None:
                    refused.append(BufrError(path, f"ecCodes cannot read on ({error})", number))
                    return
                if accept_truncated:
                    log.warning("%s; the messages before it are used", BufrError(path, str(error), number))
                    return
                raise BufrError(path, f"ecCodes cannot read it ({error}); fetch the file again, or set [observations] "
                                "truncated = 'accept' to use the messages before it", number) from error
            if handle is None:
                break
            yield number, handle
    if number == 1:
        raise BufrError(path, "there is no BUFR message in this file")


def _subsets(handle: Any) -> Iterator[Any]:
    """Handles of the single reports of a message, unpacked."""
    count = eccodes.codes_get(handle, "numberOfSubsets")
    eccodes.codes_set(handle, "skipExtraKeyAttributes", 1)
    eccodes.codes_set(handle, "unpack", 1)
    if count == 1:
        yield handle
        return
    for number in range(1, count + 1):
        eccodes.codes_set(handle, "extractSubset", number)
        eccodes.codes_set(handle, "doExtractSubsets", 1)
        single = eccodes.codes_clone(handle)
        try:
            eccodes.codes_set(single, "skipExtraKeyAttributes", 1)
            eccodes.codes_set(single, "unpack", 1)
            yield single
        finally:
            eccodes.codes_release(single)


def _values(handle: Any, *keys: str) -> np.ndarray:
    """All values (n,) of the first of some elements that occurs, in the order of the message, missing NaN."""
    for key in keys:
        if eccodes.codes_is_defined(handle, key):
            values = np.atleast_1d(eccodes.codes_get_double_array(handle, key))
            return np.where(values == MISSING, np.nan, values)
    return np.empty(0)


def _first(handle: Any, *keys: str) -> float:
    """The first value of the first of some elements that has one."""
    for key in keys:
        values = _values(handle, key)
        if values.size and np.isfinite(values[0]):
            return float(values[0])
    return np.nan


def _report(handle: Any, skipped: Counter[str]) -> _Report | None:
    category = eccodes.codes_get(handle, "dataCategory")
    makers = {LAND: _surface, SEA: _surface, SOUNDING: _sounding, AIRCRAFT: _aircraft}
    if category not in makers:
        skipped[f"reports of data category {category} skipped, this reader knows 0, 1, 2 and 4"] += 1
        return None
    time = _time(handle)
    if not np.isfinite(time):
        skipped["reports without a time skipped"] += 1
        return None
    message_type, mass, wind, levels = makers[category](handle, category, skipped)
    height = _first(handle, "heightOfBarometerAboveMeanSeaLevel", "heightOfStationGroundAboveMeanSeaLevel",
                    "heightOfStation")
    if category == SEA and not np.isfinite(height):
        height = 0.0
    return _Report(message_type, mass, wind, _station(handle), _first(handle, "latitude"), _first(handle, "longitude"),
                   height, time, levels)


def _time(handle: Any) -> float:
    parts = [_first(handle, key) for key in ("year", "month", "day", "hour", "minute")]
    if not np.isfinite(parts).all():
        return np.nan
    year, month, day, hour, minute = map(int, parts)
    try:
        whole = datetime(year, month, day, hour, minute, tzinfo=UTC)
    except ValueError:
        return np.nan
    return times.to_seconds(whole) + float(np.nan_to_num(_first(handle, "second")))


def _station(handle: Any) -> str:
    """Block and station number, else a call sign or flight, else the WIGOS local identifier."""
    block, number = _first(handle, "blockNumber"), _first(handle, "stationNumber")
    if np.isfinite(block) and np.isfinite(number):
        return f"{int(block):02d}{int(number):03d}"
    for key in ("shipOrMobileLandStationIdentifier", "aircraftFlightNumber",
                "aircraftRegistrationNumberOrOtherIdentification", "wigosLocalIdentifierCharacter"):
        if eccodes.codes_is_defined(handle, key):
            text = eccodes.codes_get_string(handle, f"#1#{key}").strip().strip("\xff")
            if text and text.isascii():
                return text
    buoy = _first(handle, "marineObservingPlatformIdentifier", "buoyOrPlatformIdentifier")
    return f"{int(buoy)}" if np.isfinite(buoy) else ""


_Made = tuple[str, int, int, dict[str, np.ndarray]]


def _sounding(handle: Any, category: int, skipped: Counter[str]) -> _Made:
    """The levels are the replicated block with the first pressure; wind shears and quality information follow."""
    n = _level_count(handle)

    def level(*keys: str) -> np.ndarray:
        values = _values(handle, *keys)
        if 0 < values.size < n:
            skipped["elements of soundings skipped, fewer values than levels"] += 1
        return values[:n] if values.size >= n else np.full(n, np.nan)

    significance = next((key for key in SIGNIFICANCE_BITS if eccodes.codes_is_defined(handle, key)), "")
    codes = level(significance) if significance else np.full(n, np.nan)
    known = np.where(np.isfinite(codes), codes, 0).astype(np.int64)
    surface, standard, tropopause = (
        (known >> (SIGNIFICANCE_BITS.get(significance, 7) - bit) & 1).astype(bool) for bit in (1, 2, 3))
    height = level("nonCoordinateGeopotentialHeight", "geopotentialHeight")
    if not np.isfinite(height).any():
        height = level("nonCoordinateGeopotential", "geopotential") / GRAVITY
    levels = _state(level("pressure"), level("airTemperature"), level("dewpointTemperature"), np.full(n, np.nan),
                    level("windDirection"), level("windSpeed"), skipped)
    by_wind = ~np.isfinite(levels["temperature"])
    levels |= {"height": height, "latitude_drift": level("latitudeDisplacement"),
               "longitude_drift": level("longitudeDisplacement"), "seconds": level("timePeriod"),
               "category": np.select([surface, tropopause & ~standard, standard, by_wind],
                                     [SURFACE, TROPOPAUSE, STANDARD, BY_WIND], SIGNIFICANT)}
    return "ADPUPA", 120, 221 if by_wind.all() else 220, levels


def _level_count(handle: Any) -> int:
    """The count of the replication that stands last before the first pressure."""
    descriptors = eccodes.codes_get_array(handle, "expandedDescriptors").tolist()
    before = descriptors[: descriptors.index(PRESSURE)] if PRESSURE in descriptors else descriptors
    counts = [item for item in before if item in REPLICATION_COUNTS]
    if not counts:
        return 1
    return int(_values(handle, REPLICATION_COUNTS[counts[-1]])[counts.count(counts[-1]) - 1])


def _surface(handle: Any, category: int, skipped: Counter[str]) -> _Made:
    pressure = np.array([_first(handle, "nonCoordinatePressure")])
    levels = _single_level(handle, pressure, SURFACE, skipped)
    if category == SEA:
        return "SFCSHP", 180, 280, levels
    return ("ADPSFC", 181, 281, levels) if np.isfinite(pressure[0]) else ("ADPSFC", 187, 287, levels)


def _aircraft(handle: Any, category: int, skipped: Counter[str]) -> _Made:
    if _values(handle, "airTemperature").size > 1:
        skipped["aircraft reports with several levels, only the first is read"] += 1
    pressure = _first(handle, "pressure")
    if not np.isfinite(pressure):
        altitude = _first(handle, "flightLevel", "indicatedAircraftAltitude", "height")
        pressure = float(standard_pressure(np.array(altitude)))
    return "AIRCFT", 131, 231, _single_level(handle, np.array([pressure]), SINGLE, skipped)


def _single_level(handle: Any, pressure: np.ndarray, category: int, skipped: Counter[str]) -> dict[str, np.ndarray]:
    temperature, dew_point, relative, direction, speed = (np.array([_first(handle, key)]) for key in (
        "airTemperature", "dewpointTemperature", "relativeHumidity", "windDirection", "windSpeed"))
    levels = _state(pressure, temperature, dew_point, relative, direction, speed, skipped)
    return levels | {"category": np.array([category])}


def _state(pressure: np.ndarray, temperature: np.ndarray, dew_point: np.ndarray, relative: np.ndarray,
           direction: np.ndarray, speed: np.ndarray, skipped: Counter[str]) -> dict[str, np.ndarray]:
    """Columns in SI from what is measured; `relative` humidity in percent."""
    at_dew_point = convert.saturation_humidity(dew_point, pressure)
    humidity = np.where(np.isfinite(dew_point), at_dew_point, _from_relative(relative, temperature, pressure))
    without = (np.isfinite(dew_point) | np.isfinite(relative)) & ~np.isfinite(humidity)
    if without.any():
        skipped["humidities skipped, no pressure or temperature beside them to convert them"] += int(without.sum())
    angle = np.deg2rad(direction)
    calm = speed == 0.0  # has no direction, but is an observation
    return {"pressure": pressure, "temperature": temperature, "humidity": humidity,
            "u": np.where(calm, 0.0, -speed * np.sin(angle)), "v": np.where(calm, 0.0, -speed * np.cos(angle))}


def _from_relative(percent: np.ndarray, temperature: np.ndarray, pressure: np.ndarray) -> np.ndarray:
    """q (kg/kg) from relative humidity over water: e = RH e_s, and e_s from q_s."""
    return convert.specific_humidity(percent / 100.0 * convert.saturation_vapour_pressure(temperature), pressure)


def standard_pressure(altitude: np.ndarray) -> np.ndarray:
    """Pressure (Pa) of the standard atmosphere at a pressure altitude (m)."""
    temperature = SEA_LEVEL_TEMPERATURE - LAPSE_RATE * np.minimum(altitude, TROPOPAUSE_HEIGHT)
    below = SEA_LEVEL_PRESSURE * (temperature / SEA_LEVEL_TEMPERATURE) ** (GRAVITY / GAS_CONSTANT_DRY / LAPSE_RATE)
    above = np.maximum(altitude - TROPOPAUSE_HEIGHT, 0.0)
    return below * np.exp(-GRAVITY * above / GAS_CONSTANT_DRY / temperature)


def _reports(found: Sequence[_Report], message_type: str, cycle: datetime) -> Reports:
    """PREPBUFR's view of some reports: mass and wind part of each, with the same SQN."""
    parts = [part for number, report in enumerate(found) for part in _parts(report, number, cycle)]
    header = {name: np.array([head[name] for head, _ in parts], dtype="S8" if name == "SID" else float)
              for name in ("SID", "XOB", "YOB", "DHR", "ELV", "TYP", "SQN")}
    names = dict.fromkeys(name for _, level in parts for name in level)
    sizes = [len(level["CAT"]) for _, level in parts]
    columns = {name: np.concatenate([level.get(name, np.full(size, np.nan))
                                     for (_, level), size in zip(parts, sizes, strict=True)] or [np.empty(0)])
               for name in names}
    start = np.concatenate(([0], np.cumsum(sizes, dtype=np.int64))).astype(np.int64)
    return Reports(message_type, len(found), np.arange(1, len(parts) + 1), header, start, columns, {}, {})


def _parts(report: _Report, number: int, cycle: datetime) -> Iterator[tuple[dict[str, Any], dict[str, np.ndarray]]]:
    """Header and level columns of the parts that hold anything."""
    given, n = report.levels, len(report.levels["pressure"])
    missing = np.full(n, np.nan)
    start = (report.time - times.to_seconds(cycle)) / HOUR
    place = {"CAT": given["category"].astype(float), "POB": given["pressure"] / HECTOPASCAL,
             "XDR": report.lon + given.get("longitude_drift", missing),
             "YDR": report.lat + given.get("latitude_drift", missing),
             "HRDR": start + given.get("seconds", missing) / HOUR, "PQM": np.full(n, float(NOT_CHECKED))}
    mass = {"TOB": given["temperature"] - ZERO_CELSIUS, "QOB": given["humidity"] / convert.MILLIGRAM_PER_KILOGRAM,
            "ZOB": given.get("height", missing)}
    wind = {"UOB": given["u"], "VOB": given["v"]}
    at_ground = (given["category"] == SURFACE) & np.isfinite(given["pressure"])
    for kind, columns, extra in ((report.mass_type, mass, at_ground), (report.wind_type, wind, np.zeros(n, bool))):
        there = np.isfinite(list(columns.values())).any(axis=0) | extra
        if there.any():
            header = {"SID": report.station[:8].encode(), "XOB": report.lon, "YOB": report.lat, "DHR": start,
                      "ELV": report.elevation, "TYP": float(kind), "SQN": float(number)}
            marks = {name: np.full(n, float(NOT_CHECKED)) for name in ("TQM", "QQM", "ZQM", "WQM")}
            yield header, {name: values[there] for name, values in (place | columns | marks).items()}
