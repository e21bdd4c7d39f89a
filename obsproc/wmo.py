"""WMO BUFR, read by ecCodes, as the same reports that PREPBUFR files hold.

    TEMP, PILOT (category 2)   -> ADPUPA 120 / 220, 221 without any temperature; drift where each level has it
    dropsonde, descent         -> ADPUPA 132 / 232; its lowest level is one aloft like the others
    SYNOP (0)                  -> ADPSFC 181 / 281, 183 / 284 where the station pressure is missing
    METAR (0, with ICAO name)  -> ADPSFC 181 / 281, 187 / 287 where the station pressure is missing
    ship, buoy (1)             -> SFCSHP 180 / 280; the pressure reduced to sea level stands for one at 0 m
    AMDAR, AIREP (4)           -> AIRCFT 131 / 231, with all levels of a profile

Report types are NCEP's, so that errors, thinning and verification treat both formats alike. What `prepbufr` does with
levels, surface and units holds here too (`undivided`). A message has no quality marks: all are 2, "neutral or not
checked". Winds that a pilot balloon or profiler gives by height stand at the pressure of their height (`atmosphere`),
with the mark 3, suspect. A METAR's altimeter setting tells the pressure at its station.

Templates: WMO-No. 306, Manual on Codes, Vol. I.2, categories 307, 308, 309, 311.
"""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import eccodes
import numpy as np

from contracts import times
from contracts.constants import GRAVITY
from obsproc import atmosphere, elements, undivided
from obsproc.bufr import envelope
from obsproc.bufr.files import DecodedFile
from obsproc.bufr.messages import DX_CATEGORY, BufrError
from obsproc.bufr.reports import Reports
from obsproc.elements import Report, first
from obsproc.undivided import MASS, NOT_CHECKED, SINGLE, SURFACE, SUSPECT, WIND, Undivided

log = logging.getLogger(__name__)

LAND, SEA, SOUNDING, AIRCRAFT = 0, 1, 2, 4  # data categories, BUFR table A
DROP_SUBCATEGORY, DOWNWARD = 7, {309053, 309056}  # templates of dropsondes and descents
SIGNIFICANCE_BITS = {"verticalSoundingSignificance": 7, "extendedVerticalSoundingSignificance": 18}
OF_LEVELS = (7004, 7009, 10009, 11001, 11002, 12001, 12101)  # descriptors: pressure, height, wind, temperature
REPLICATION_COUNTS = {31000: "shortDelayedDescriptorReplicationFactor", 31001: "delayedDescriptorReplicationFactor",
                      31002: "extendedDelayedDescriptorReplicationFactor"}
# An element and the ones that stood for it in older templates.
TEMPERATURE, DEW_POINT = ("airTemperature", "airTemperatureAt2M"), ("dewpointTemperature", "dewpointTemperatureAt2M")
DIRECTION, SPEED = ("windDirection", "windDirectionAt10M"), ("windSpeed", "windSpeedAt10M")


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
    _refuse_prepbufr(path)
    found, skipped = [], Counter[str]()
    refused: list[BufrError] = []
    for number, handle in elements.messages(path, accept_truncated, refused if tolerant else None):
        try:
            found += [made for report in elements.reports(handle) if (made := _report(report, skipped))]
        except eccodes.CodesInternalError as error:
            refused.append(BufrError(path, f"ecCodes cannot read it ({error}); set [observations] damaged = 'skip' to "
                                     "go on without it", number))
            if not tolerant:
                raise refused[0] from error
        finally:
            eccodes.codes_release(handle)
    for reason, count in skipped.items():
        log.warning("%s: %d %s", path, count, reason)
    kinds = dict.fromkeys(report.message_type for report in found)
    parts = {kind: _reports([report for report in found if report.message_type == kind], kind, cycle) for kind in kinds}
    return DecodedFile(path, sha256(path.read_bytes()).hexdigest(), (), parts, tuple(refused))


def _refuse_prepbufr(path: Path) -> None:
    """Raises BufrError for a file that begins with tables of its own."""
    data = envelope.unpacked(path.read_bytes(), path)
    envelope.refuse_other(data, path)
    start = data.find(b"BUFR")
    category = start + (18 if data[start + 7 : start + 8] == b"\x04" else 16)
    if start >= 0 and data[category : category + 1] == bytes([DX_CATEGORY]):
        raise BufrError(path, "brings its own tables, so it is PREPBUFR or another file of NCEP's; set [observations] "
                        "source = 'prepbufr'")


def _report(report: Report, skipped: Counter[str]) -> _Report | None:
    makers = {LAND: _surface, SEA: _surface, SOUNDING: _sounding, AIRCRAFT: _aircraft}
    if report.category not in makers:
        skipped[f"reports of data category {report.category} skipped, this reader knows 0, 1, 2 and 4"] += 1
        return None
    time = _time(report)
    if not np.isfinite(time):
        skipped["reports without a time skipped"] += 1
        return None
    made = makers[report.category](report, time, skipped)
    if not _holds_anything(made.levels):
        skipped["reports skipped that hold nothing of what is observed here"] += 1
        return None
    return made


def _time(report: Report) -> float:
    year, month, day, hour = (first(report, key) for key in ("year", "month", "day", "hour"))
    minute, second = (float(np.nan_to_num(first(report, key))) for key in ("minute", "second"))
    if not np.isfinite([year, month, day, hour]).all():
        return np.nan
    try:
        whole = datetime(int(year), int(month), int(day), int(hour), int(minute), tzinfo=UTC)
    except ValueError:
        return np.nan
    return times.to_seconds(whole) + second


def _station(report: Report) -> str:
    """Block and station number, else a call sign, flight or airport, else the number or text that a nation gave."""
    block, number = first(report, "blockNumber"), first(report, "stationNumber")
    if np.isfinite(block) and np.isfinite(number):
        return f"{int(block):02d}{int(number):03d}"
    for key in ("shipOrMobileLandStationIdentifier", "aircraftFlightNumber",
                "aircraftRegistrationNumberOrOtherIdentification", "aircraftTailNumber", "icaoLocationIndicator"):
        if text := report.text(key):
            return text
    if text := report.text("wigosLocalIdentifierCharacter"):
        return text[-8:]  # the end tells stations apart
    for key in ("marineObservingPlatformIdentifier", "buoyOrPlatformIdentifier",
                "stationaryBuoyPlatformIdentifierEGCMANBuoys", "nationalStationNumber"):
        if np.isfinite(value := first(report, key)):
            return f"{int(value)}"[-8:]
    return ""


def _height(report: Report) -> float:
    return first(report, "heightOfBarometerAboveMeanSeaLevel", "heightOfStationGroundAboveMeanSeaLevel",
                 "heightOfStation")


def _sounding(report: Report, time: float, skipped: Counter[str]) -> _Report:
    """The levels are the replicated block with the first pressure; wind shears and quality information follow."""
    n = _level_count(report)

    def level(*keys: str) -> np.ndarray:
        values = report.all(*keys)
        if 0 < values.size < n:
            skipped["elements of soundings skipped, fewer values than levels"] += 1
        return values[:n] if values.size >= n else np.full(n, np.nan)

    significance = next((key for key in SIGNIFICANCE_BITS if report.all(key).size), "")
    codes = level(significance) if significance else np.full(n, np.nan)
    downward = report.subcategory == DROP_SUBCATEGORY or bool(DOWNWARD & set(report.template))
    height = level("nonCoordinateGeopotentialHeight", "geopotentialHeight")
    if not np.isfinite(height).any():
        height = level("nonCoordinateGeopotential", "geopotential") / GRAVITY
    pressure, by_height = atmosphere.at_heights(height, level("pressure"))
    if by_height.any():
        skipped["levels of soundings placed by their height, no pressure beside it"] += int(by_height.sum())
    levels = _state(pressure, level(*TEMPERATURE), level(*DEW_POINT), np.full(n, np.nan), np.full(n, np.nan),
                    level(*DIRECTION), level(*SPEED), skipped)
    by_wind = ~np.isfinite(levels["temperature"])
    lat, lon = first(report, "latitude"), first(report, "longitude")
    levels |= {"height": np.where(by_height, np.nan, height), "lat": lat + level("latitudeDisplacement"),
               "lon": lon + level("longitudeDisplacement"), "time": time + level("timePeriod"),
               "place_mark": np.where(by_height, SUSPECT, NOT_CHECKED),
               "category": undivided.categories(codes, SIGNIFICANCE_BITS.get(significance, 7), by_wind, downward)}
    mass, wind = (132, 232) if downward else (120, 221 if by_wind.all() else 220)
    return _Report("ADPUPA", mass, wind, _station(report), lat, lon, _height(report), time, levels)


def _level_count(report: Report) -> int:
    """The count of the replication that stands last before the first element of a level."""
    descriptors = report.descriptors
    starts = [descriptors.index(item) for item in OF_LEVELS if item in descriptors]
    counts = [item for item in descriptors[: min(starts, default=0)] if item in REPLICATION_COUNTS]
    if not counts:
        return 1
    return int(report.all(REPLICATION_COUNTS[counts[-1]])[counts.count(counts[-1]) - 1])


def _surface(report: Report, time: float, skipped: Counter[str]) -> _Report:
    pressure, elevation = first(report, "nonCoordinatePressure"), _height(report)
    if report.category == SEA:
        at_sea_level = first(report, "pressureReducedToMeanSeaLevel")
        if not np.isfinite(pressure) and np.isfinite(at_sea_level):
            pressure, elevation = at_sea_level, 0.0
        message_type, mass, wind = "SFCSHP", 180, 280
        elevation = elevation if np.isfinite(elevation) else 0.0
    else:
        message_type, mass, wind = "ADPSFC", 181, 281
        if not np.isfinite(pressure):
            mass, wind = (187, 287) if report.text("icaoLocationIndicator") else (183, 284)
            pressure = float(atmosphere.station_pressure(*np.array([first(report, "altimeterSettingQnh"), elevation])))
    temperature, dew_point, relative, mixing, direction, speed = (np.array([first(report, *keys)]) for keys in (
        TEMPERATURE, DEW_POINT, ("relativeHumidity",), ("mixingRatio",), DIRECTION, SPEED))
    levels = _state(np.array([pressure]), temperature, dew_point, relative, mixing, direction, speed, skipped)
    return _Report(message_type, mass, wind, _station(report), first(report, "latitude"), first(report, "longitude"),
                   elevation, time, levels | {"category": np.array([SURFACE])})


def _aircraft(report: Report, time: float, skipped: Counter[str]) -> _Report:
    """One level, or those of a profile: a place that is told once belongs to all, a measurement to the first."""
    n = max(report.all(*keys).size for keys in (TEMPERATURE, SPEED))
    n = max(n, 1)

    def measured(*keys: str) -> np.ndarray:
        values = report.all(*keys)[:n]
        return np.append(values, np.full(n - len(values), np.nan))

    def placed(*keys: str) -> np.ndarray:
        """Told for each level, for all but the first (which stands before a replicated block), or once."""
        values = report.all(*keys)[:n]
        if len(values) == 1:
            return np.full(n, values[0])
        return np.append(np.full(n - len(values), np.nan), values)

    pressure = placed("pressure")
    for key in ("height", "flightLevel", "indicatedAircraftAltitude"):
        pressure = np.where(np.isfinite(pressure), pressure, atmosphere.standard_pressure(placed(key)))
    levels = _state(pressure, measured(*TEMPERATURE), measured(*DEW_POINT), measured("relativeHumidity"),
                    measured("mixingRatio"), measured(*DIRECTION), measured(*SPEED), skipped)
    lat, lon = placed("latitude"), placed("longitude")
    levels |= {"category": np.full(n, SINGLE), "lat": lat, "lon": lon}
    alone = n == 1  # the places of a profile are those of its levels
    return _Report("AIRCFT", 131, 231, _station(report), float(lat[0]) if alone else np.nan,
                   float(lon[0]) if alone else np.nan, np.nan, time, levels)


def _state(pressure: np.ndarray, temperature: np.ndarray, dew_point: np.ndarray, relative: np.ndarray,
           mixing_ratio: np.ndarray, direction: np.ndarray, speed: np.ndarray,
           skipped: Counter[str]) -> dict[str, np.ndarray]:
    """`undivided.state`, and humidities that it cannot tell counted."""
    found = undivided.state(pressure, temperature, dew_point, relative, mixing_ratio, direction, speed)
    without = (np.isfinite(dew_point) | np.isfinite(relative)) & ~np.isfinite(found["humidity"])
    if without.any():
        skipped["humidities skipped, no pressure or temperature beside them to convert them"] += int(without.sum())
    return found


def _holds_anything(levels: dict[str, np.ndarray]) -> bool:
    at_ground = (levels["category"] == SURFACE) & np.isfinite(levels["pressure"])
    observed = [levels[name] for name in (*MASS.values(), *WIND.values()) if name in levels]
    return bool(at_ground.any() or np.isfinite(observed).any())


def _reports(found: Sequence[_Report], message_type: str, cycle: datetime) -> Reports:
    """The reports of one message type as PREPBUFR's."""
    sizes = [len(report.levels["pressure"]) for report in found]
    names = dict.fromkeys(name for report in found for name in report.levels)
    otherwise = {"place_mark": float(NOT_CHECKED)}
    levels = {name: np.concatenate([report.levels.get(name, np.full(size, otherwise.get(name, np.nan)))
                                    for report, size in zip(found, sizes, strict=True)]) for name in names}
    heads = {name: np.array([getattr(report, name) for report in found], float)
             for name in ("lat", "lon", "elevation", "time", "mass_type", "wind_type")}
    station = np.array([report.station[:8].encode() for report in found], "S8")
    whole = Undivided(station=station, **heads, level_start=np.cumsum([0, *sizes]), levels=levels)
    return undivided.divided(whole, message_type, cycle)
