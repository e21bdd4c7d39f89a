"""From PREPBUFR files to the table of observations of one analysis time.

    read_file -> candidates -> quality.check -> quality.monitor -> errors.assign -> quality.withhold

In a research experiment a missing or damaged file stops the run. In real time the analysis goes on with what is there:
the file is named in the log and left out.
"""

from __future__ import annotations

import logging
from datetime import datetime

from contracts import observations, times
from contracts.errors import UserError
from contracts.observations import Observations, Source
from obsproc import errors, prepbufr, quality
from obsproc.bufr.files import DecodedFile, read_file
from obsproc.config import Settings, path_at

log = logging.getLogger(__name__)


def observe(settings: Settings, time: datetime) -> tuple[Observations, Source]:
    """All observations in the files of `time`, each with its flag. Raises UserError for unusable files."""
    decoded = [file for pattern in settings.observations.files if (file := _read(settings, pattern, time))]
    parts, reports = [], 0
    for file in decoded:
        for kind in file.reports.values():
            candidates = prepbufr.candidates(kind, time, reports)
            parts.append(_judge(candidates, settings, time))
            reports += kind.subsets
    table = observations.concatenate(parts) if parts else observations.empty()
    source = Source(time, settings.observations.window(time), tuple(file.path.name for file in decoded),
                    tuple(file.sha256 for file in decoded))
    return table, source


def _judge(candidates: prepbufr.Candidates, settings: Settings, time: datetime) -> Observations:
    chosen = settings.observations
    table = quality.check(candidates, chosen.window(time), chosen.max_quality_mark)
    table = quality.monitor(table, chosen.quantities)
    table = errors.assign(table, candidates.saturation, errors.cdas(), chosen.error_factors)
    return quality.withhold(table, chosen.withhold_share, chosen.withhold_message_types, settings.experiment.seed)


def _read(settings: Settings, pattern: str, time: datetime) -> DecodedFile | None:
    realtime = settings.experiment.mode == "realtime"
    try:
        path = path_at(pattern, time)
        if not path.is_file():
            raise UserError(f"{path}: no such file; check [observations] files in the experiment file")
        file = read_file(path, prepbufr.WANTED, realtime or settings.observations.truncated == "accept")
        _check_time(file, time)
    except UserError as error:
        if not realtime:
            raise
        log.error("%s; going on without it", error)
        return None
    return file


def _check_time(file: DecodedFile, time: datetime) -> None:
    """A file for another cycle would be misplaced in time as a whole: refuse it."""
    for message in file.messages:
        if message.is_table or not message.subsets:
            continue
        year, month, day, hour, minute = message.reference
        if (year % 100, month, day, hour, minute) != (time.year % 100, time.month, time.day, time.hour, 0):
            raise UserError(f"{file.path}: holds the reports of {year % 100:02d}-{month:02d}-{day:02d} {hour:02d}:"
                            f"{minute:02d} (message {message.number}), expected {times.name(time)}; "
                            "check [observations] files")
