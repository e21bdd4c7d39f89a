"""From files (PREPBUFR, raw dumps, WMO BUFR, IODA or a user's list) to the table of observations of one analysis time.

    read_file -> candidates -> quality.check, check_humidity, check_station_pressure -> usage -> errors.assign
              -> all types and files together -> duplicates.reject_rows, reject_reports -> quality.withhold

What crowds is thinned afterwards, whatever the source (`thinning`).

In a research experiment a missing or damaged file stops the run; with `damaged = "skip"` messages that are not sound
are left out and counted. In real time the analysis goes on with what is there: the file, or the messages of it that
are damaged, are named in the log and left out. How long files are waited for stands in `realtime`.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

from contracts import config, estimated_errors, guarded, observations, times
from contracts.constants import HECTOPASCAL
from contracts.errors import UserError
from contracts.observations import Delivery, Fate, Observations, Source
from obsproc import dumps, duplicates, errors, ioda_source, prepbufr, quality, usage
from obsproc import table as lists
from obsproc.bufr.files import read_file
from obsproc.config import Observations as ObservationSettings
from obsproc.config import Settings
from obsproc.prepbufr import Candidates

log = logging.getLogger(__name__)
REFUSALS_TOLD = 5  # one by one; then their number is enough


@dataclass(frozen=True)
class _Found:
    """What a file gave; its reports are numbered from 0."""

    name: str
    sha256: str
    parts: tuple[Candidates, ...]
    sound: bool = True

    @property
    def fate(self) -> Fate:
        return "read" if self.sound else "damaged" if self.parts else "refused"


def observe(settings: Settings, time: datetime,
            left_out: Mapping[Path, Fate] = MappingProxyType({})) -> tuple[Observations, Source]:
    """All observations in the files of `time`, each with its flag; files `left_out` are not looked at.

    Raises UserError for unusable files.
    """
    files, deliveries = [], []
    for path in files_of(settings, time):
        found = None if path in left_out else _read(settings, path, time)
        files += [found] if found else []
        deliveries.append(Delivery(path.name, found.fate if found else left_out.get(path, "refused")))
    parts, reports = [], 0
    for file in files:
        judged = [judge(candidates, settings.observations, time) for candidates in file.parts]
        parts += [table.with_columns(report=table.report + reports) for table in judged]
        reports = max((int(table.report.max(initial=-1)) + 1 for table in parts), default=0)
    table = observations.concatenate(parts) if parts else observations.empty()
    chosen = settings.observations
    if chosen.duplicates == "flag":
        table = duplicates.reject_reports(duplicates.reject_rows(table))
    table = quality.withhold(table, chosen.withhold_share, chosen.withhold_message_types, settings.experiment.seed)
    source = Source(time, chosen.window(time), tuple(file.name for file in files),
                    tuple(file.sha256 for file in files), chosen.slot_seconds, tuple(deliveries))
    return table, source


def files_of(settings: Settings, time: datetime) -> list[Path]:
    """The files of `time`, in the order of the settings; UserError where a variable in a name is not set."""
    return [config.file_of(pattern, time) for pattern in settings.observations.files]


def judge(candidates: Candidates, chosen: ObservationSettings, time: datetime) -> Observations:
    """The rows of one source with their fates and errors, each for itself."""
    table = quality.check(candidates, chosen.window(time), chosen.max_quality_mark)
    if chosen.saturation_limit:
        table = quality.check_humidity(candidates, table, chosen.saturation_limit)
    table = quality.check_station_pressure(table, chosen.sea_level_pressure)
    rules = usage.read(config.file_of(chosen.usage, time)) if chosen.usage else ()
    table = usage.before_errors(table, candidates.report_time, rules, chosen.quantities, times.to_seconds(time))
    table = quality.monitor_above(table, chosen.humidity_below_hpa * HECTOPASCAL)
    name = chosen.errors if chosen.errors in errors.PACKAGED else str(config.file_of(chosen.errors, time))
    if chosen.aircraft_bias:
        biases = estimated_errors.read(config.file_of(chosen.aircraft_bias, time)).biases(table)
        table = table.with_columns(value=table.value - biases)
    known, estimates = errors.chosen(name)
    table = errors.assign(table, candidates.temperature, known, chosen.error_factors, estimates)
    return usage.after_errors(table, rules, candidates.temperature)


def _read(settings: Settings, path: Path, time: datetime) -> _Found | None:
    """What the file gives; in real time None where it gives nothing."""
    realtime = settings.experiment.mode == "realtime"
    try:
        if not path.is_file():
            raise UserError(f"{path}: no such file; check [observations] files in the experiment file")
        return _found(path, settings, time)
    except UserError as error:
        if not realtime:
            raise
        log.warning("%s; going on without it", error)
    except Exception:  # whatever a file does to a decoder, in real time it costs no more than that file
        if not realtime:
            raise
        log.warning("%s: cannot be read; going on without it", path, exc_info=True)
    return None


def _found(path: Path, settings: Settings, time: datetime) -> _Found:
    """Read a file as the source of the experiment says."""
    limits = settings.observations.limits
    guarded.refuse_large(path, limits)
    if settings.observations.source == "table":
        listed = (guarded.read(lists.read_file, path, limits=limits) if lists.is_netcdf(path)
                  else lists.read_file(path))
        return _Found(path.name, listed.sha256, (listed.candidates,))
    if settings.observations.source == "ioda":
        of_others = guarded.read(ioda_source.read_file, path, time, limits=limits)
        return _Found(path.name, of_others.sha256, (of_others.candidates,))
    realtime = settings.experiment.mode == "realtime"
    accept_truncated = realtime or settings.observations.truncated == "accept"
    tolerant = realtime or settings.observations.damaged == "skip"
    if settings.observations.source == "wmo":
        from obsproc import wmo, wmo_ready  # here, because ecCodes takes longer to load than most files to read

        file = guarded.read(wmo.read_file, path, time, accept_truncated, limits=limits, warm_up=wmo_ready.warm_up,
                            tolerant=tolerant)
    elif settings.observations.source == "dump":
        file = dumps.read_file(path, time, accept_truncated, tolerant=tolerant)
    else:
        file = read_file(path, prepbufr.WANTED, accept_truncated, tolerant=tolerant, cycle=time,
                         window=settings.observations.window(time))
    for refusal in file.refused[:REFUSALS_TOLD]:
        log.warning("%s; going on without it", refusal)
    if file.refused:
        log.warning("%s: %d messages were left out", path, len(file.refused))
    if file.elsewhere:
        log.info("%s: %d reports of other cycles than those of the window were left out", path, file.elsewhere)
    parts, reports = [], 0
    for kind in file.reports.values():
        parts.append(prepbufr.candidates(kind, file.cycles(kind, time), reports))
        reports += kind.subsets
    return _Found(path.name, file.sha256, tuple(parts), not file.refused)
