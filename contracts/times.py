"""Valid times: UTC, to the second, named YYYYMMDDHH in folders and on command lines.

Files hold int64 seconds since 1970-01-01 (the posix time, without leap seconds).
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from contracts.errors import UserError

UNITS = "seconds since 1970-01-01 00:00:00 UTC"
CALENDAR = "standard"


def parse(text: str) -> datetime:
    """`2016010106` -> 2016-01-01 06:00 UTC; raises UserError on anything else."""
    try:
        if len(text) != 10:
            raise ValueError
        return datetime.strptime(text, "%Y%m%d%H").replace(tzinfo=UTC)
    except ValueError:
        raise UserError(f"{text!r} is not a time: expected YYYYMMDDHH in UTC, such as 2016010106") from None


def name(time: datetime) -> str:
    """2016-01-01 06:00 UTC -> `2016010106`."""
    return time.astimezone(UTC).strftime("%Y%m%d%H")


def to_seconds(time: datetime) -> int:
    """Seconds since 1970-01-01 UTC."""
    return int(time.timestamp())


def to_seed(time: datetime) -> int:
    """The same as a number from which randomness may start: never negative, also before 1970."""
    return to_seconds(time) % 2**64


def from_seconds(seconds: int) -> datetime:
    """Inverse of `to_seconds`."""
    return datetime.fromtimestamp(int(seconds), UTC)


def every(start: datetime, end: datetime, step: timedelta) -> Iterator[datetime]:
    """start, start + step, … up to and including end."""
    time = start
    while time <= end:
        yield time
        time += step
