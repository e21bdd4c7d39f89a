"""Real time: when the observations of a time are made, from which files, and which files came too late.

    time          due                                 cut-off
      |            |── made as soon as all are whole ──|── made at once with what is there; what comes now is late

A file that is still being written has no sign of it. Either the provider puts a second file beside it when it is whole
(`status_suffix`), or it has to be left alone for `settled_seconds`: its time of status change (st_ctime), which nobody
can set back, tells when it was last written to, so that nothing has to be remembered from one look to the next.

After an outage the cut-off of the times that were missed is past and nothing is waited for, until the clock is reached.
A file that came too late is named in the log of a later time, once; `run/cycle.sh EXPERIMENT --redo` takes it in.
"""

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

from contracts import observations, times
from contracts.clock import Clock, Realtime
from contracts.errors import ContractError
from contracts.observations import Delivery, Fate, Observations, Source
from obsproc import pipeline
from obsproc.config import Settings

log = logging.getLogger(__name__)

_WHY = {"missing": "had not come", "arriving": "was not whole yet"}


def is_ready(settings: Settings, time: datetime, clock: Clock) -> bool:
    """Whether the observations of `time` can be made: they are due, and whole or waited for no longer."""
    now, chosen = clock.now(), settings.realtime
    if now < chosen.due(time):
        return False
    return now >= chosen.cutoff(time) or not left_out(settings, time, clock)


def observe(settings: Settings, time: datetime, clock: Clock) -> tuple[Observations, Source]:
    """`pipeline.observe` of the files that are whole; the others, and late ones of earlier times, go to the log."""
    made, without = clock.now(), left_out(settings, time, clock)
    for path, fate in without.items():
        log.warning("%s %s at %s, %s after its time; going on without it", path, _WHY[fate], _shown(made),
                    _hours(made - time))
    late = tuple(_late(settings, time, clock))
    table, source = pipeline.observe(settings, time, without)
    log.info("made at %s, %s after the time%s", _shown(made), _hours(made - time), _behind(settings, time, made))
    return table, replace(source, made=made, deliveries=source.deliveries + late)


def left_out(settings: Settings, time: datetime, clock: Clock) -> dict[Path, Fate]:
    """The files of `time` that are missing or still arriving."""
    found = {path: _arrival(path, settings.realtime, clock) for path in pipeline.files_of(settings, time)}
    return {path: fate for path, fate in found.items() if fate is not None}


def _arrival(path: Path, chosen: Realtime, clock: Clock) -> Fate | None:
    """Why the file cannot be read yet; None where it is whole."""
    changed = _changed(path, clock)
    if changed is None:
        return "missing"
    if chosen.status_suffix:
        return None if path.with_name(path.name + chosen.status_suffix).exists() else "arriving"
    settled = 0.0 if chosen.fetch else chosen.settled_seconds  # what was fetched came by rename
    return None if clock.now() - changed >= timedelta(seconds=settled) else "arriving"


def _changed(path: Path, clock: Clock) -> datetime | None:
    """When something about the file was last changed, None where there is none."""
    try:
        return clock.at(path.stat().st_ctime) if path.is_file() else None
    except OSError:
        return None


def _late(settings: Settings, time: datetime, clock: Clock) -> Iterator[Delivery]:
    """Files of the times before that came, or came anew, when these were made already; each is told once."""
    sources = {earlier: source for earlier in _times_before(settings, time) if (source := _source(settings, earlier))}
    told = {delivery.file for source in sources.values() for delivery in source.deliveries if delivery.fate == "late"}
    for earlier, source in sources.items():
        for path, delivery in zip(pipeline.files_of(settings, earlier), source.deliveries, strict=False):
            if path.name not in told and (came := _came_late(path, delivery, source, settings.realtime, clock)):
                log.warning("%s came at %s: the observations of %s were made without it", path, _shown(came),
                            times.name(earlier))
                yield Delivery(path.name, "late")


def _came_late(path: Path, delivery: Delivery, source: Source, chosen: Realtime, clock: Clock) -> datetime | None:
    """When the file came, None where it is not whole or is the one that was used."""
    changed = _changed(path, clock)
    if changed is None or _arrival(path, chosen, clock) is not None:
        return None
    if delivery.fate in ("missing", "arriving"):
        return changed
    used = dict(zip(source.files, source.sha256, strict=True)).get(delivery.file)
    again = source.made is not None and changed > source.made and used != sha256(path.read_bytes()).hexdigest()
    return changed if again else None


def _times_before(settings: Settings, time: datetime) -> list[datetime]:
    """The times before `time` whose late files are still looked for."""
    earliest = time - timedelta(hours=settings.realtime.late_hours)
    return [earlier for earlier in settings.experiment.times() if earliest <= earlier < time]


def _source(settings: Settings, time: datetime) -> Source | None:
    """Where the observations of `time` came from; None where that is not known any more."""
    try:
        return observations.read_source(settings.experiment.folder.at(time).observations)
    except ContractError:
        return None


def _behind(settings: Settings, time: datetime, made: datetime) -> str:
    """How far behind the clock an experiment is that catches up, for the log."""
    cycles = (made - settings.realtime.cutoff(time)) // settings.experiment.step
    return f"; catching up, cycles behind the clock: {cycles}" if cycles > 0 else ""


def _shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _hours(duration: timedelta) -> str:
    return f"{duration / timedelta(hours=1):.2f} h"
