"""Real observations with one command: the files that [observations] names, from the archives that [fetch] names.

    [observations]
    files = ["$DATA/gdas.%Y%m%d.t%Hz.prepbufr.nr"]      # where they shall lie
    [fetch]
    archives = ["nnja"]                                 # for each of them an archive, or a URL pattern

    python -m obsproc fetch EXPERIMENT.toml             # of all times; what is there already is left alone
    python -m obsproc fetch --list                      # which archives are known

With `[realtime] fetch = true` a file is asked for as soon as it is due, as the first step of a time's observations, and
again every `every_seconds` until it is there or the cut-off has come. When it was asked for last tells the part that is
kept of it, so that it does not matter which process asks.
"""

import logging
import math
import time as real_clock
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from contracts import config, program, times
from contracts.clock import Clock
from contracts.errors import UserError
from obsproc import archives
from obsproc.bufr import envelope, messages
from obsproc.config import Settings
from obsproc.download import Busy, NotThere, download, part_of

log = logging.getLogger(__name__)
OF_MESSAGES = ("prepbufr", "dump", "wmo")  # sources whose files are BUFR


@dataclass(frozen=True)
class Wanted:
    """A file that is not there, and where it can be had."""

    url: str
    path: Path


def fetch(arguments: Sequence[str]) -> None:
    """Fetch the files of one time, or of all."""
    parser = program.parser(
        "python -m obsproc fetch",
        "Fetch the files that [observations] names for all times of an experiment, or for one, from the archives that\n"
        "[fetch] names. What is there already is left alone; what was cut off goes on where it stopped.",
        "python -m obsproc fetch experiment.toml 2024010100")
    program.add_experiment(parser, optional=True)
    parser.add_argument("time", type=times.parse, metavar="TIME", nargs="?", help="analysis time, YYYYMMDDHH in UTC")
    parser.add_argument("--list", action="store_true", help="instead: print the archives that are known, and exit")
    given = parser.parse_args(arguments)
    if given.list:
        print(archives.told(config.load(given.experiment, Settings).fetch.more if given.experiment.exists() else ""))
        return
    settings = config.load(given.experiment, Settings)
    if given.time is not None:
        settings.experiment.refuse_other(given.time)
    refused = fetch_all(settings, [given.time] if given.time else settings.experiment.times())
    if refused:
        raise UserError("\n".join([f"{len(refused)} file(s) could not be fetched:", *refused]))


def fetch_all(settings: Settings, some_times: Sequence[datetime]) -> list[str]:
    """Fetch what is missing of some times; returns a sentence on each file that could not be fetched."""
    if not settings.fetch.archives:
        raise UserError("[fetch] archives: names no archive; python -m obsproc fetch --list tells which there are")
    missing = list(dict.fromkeys(each for time in some_times for each in wanted(settings, time)))
    with ThreadPoolExecutor(settings.fetch.connections) as connections:
        return [said for said in connections.map(partial(_fetch_one, settings), missing) if said]


def wanted(settings: Settings, time: datetime) -> Iterator[Wanted]:
    """The files of `time` that are not there; raises UserError where an archive does not have that time."""
    for name, pattern in zip(settings.fetch.archives, settings.observations.files, strict=True):
        path = config.file_of(pattern, time)
        if not path.exists():
            yield Wanted(archives.named(name, settings.fetch.more).at(time), path)


def ask(settings: Settings, time: datetime, clock: Clock) -> None:
    """In real time: one try for each file of `time` that is missing and was not asked for a moment ago, while the
    cut-off has not come."""
    for one in wanted(settings, time):
        part = part_of(one.path)
        if part.exists() and real_clock.time() - part.stat().st_mtime < settings.fetch.every_seconds:
            continue
        left = clock.real(settings.realtime.cutoff(time) - clock.now())
        try:
            _fetch(settings, one, tries=1, seconds=left.total_seconds())
        except (NotThere, Busy) as error:
            log.debug("%s", error)
        except UserError as error:
            log.warning("%s; it is asked for again in %g s", error, settings.fetch.every_seconds)


def _fetch_one(settings: Settings, one: Wanted) -> str:
    try:
        _fetch(settings, one)
    except UserError as error:
        return str(error)
    return ""


def _fetch(settings: Settings, one: Wanted, tries: int | None = None, seconds: float = math.inf) -> None:
    began, check = real_clock.monotonic(), partial(_check, settings.observations.source)
    size = download(one.url, one.path, settings.fetch, check, tries, seconds)
    log.info("%s: %.1f MB in %.1f s from %s", one.path, size / 1e6, real_clock.monotonic() - began, one.url)


def _check(source: str, path: Path) -> None:
    """Raises UserError where a file is known to be something else, or is no whole chain of BUFR messages."""
    raw = path.read_bytes()
    if not raw:
        raise UserError("it is empty")
    if source in OF_MESSAGES:
        data = envelope.unpacked(raw, path)
        envelope.refuse_other(data, path)
        messages.scan(data, path)
    else:
        envelope.refuse_page(raw, path)
