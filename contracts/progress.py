"""A line now and then: how far a long step is and how long it will take."""

import logging
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

Item = TypeVar("Item")
SECONDS_BETWEEN_LINES = 10.0


def reported(items: Iterable[Item], what: str, log: logging.Logger) -> Iterator[Item]:
    """Pass `items` (of known length) through; log "what 120/480, 2 min 5 s left" every ten seconds."""
    total = len(items) if isinstance(items, Sized) else 0
    began = last = time.monotonic()
    for done, item in enumerate(items):
        now = time.monotonic()
        if done and now - last >= SECONDS_BETWEEN_LINES:
            log.info("%s %d/%d, %s left", what, done, total, duration((now - began) / done * (total - done)))
            last = now
        yield item


def duration(seconds: float) -> str:
    """125.4 -> "2 min 5 s"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
