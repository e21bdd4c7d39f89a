"""Real time: when observations are waited for, by the clock of the experiment.

The clock is the real one, or for trials a simulated one.  That shows the experiment's first time when it is started
and then runs `speed` times as fast:

    shown(t) = start + speed · (t - began)          t, began: seconds of the real clock since 1970

When it began is kept in `clock.json` in the experiment's folder, so that all programs read the same time, and one that
is started again finds the time gone on meanwhile, as after a real outage.
"""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import time
from typing import Annotated

import msgspec

from contracts import paths
from contracts.config import Experiment, NotNegativeFloat, Section
from contracts.errors import UserError

Speed = Annotated[float, msgspec.Meta(gt=0, le=1e6)]
Moment = Annotated[float, msgspec.Meta(ge=-5.5e9, le=7.3e9)]  # seconds since 1970, in the years 1796 to 2201


class Realtime(Section, frozen=True):
    """[realtime] When observations are waited for, with `[experiment] mode = "realtime"`.

    A file is whole when nothing about it has changed for `settled_seconds`, or, where the provider tells it by a second
    file, when that of its own name and `status_suffix` is there.  Times count on the experiment's clock.
    """

    due_hours: float = 0.0  # after the analysis time: nothing is made earlier
    cutoff_hours: float = 3.0  # after the analysis time: from here on nothing is waited for
    settled_seconds: NotNegativeFloat = 30.0  # 0: files appear by rename
    status_suffix: str = ""  # such as ".done"
    late_hours: NotNegativeFloat = 48.0  # so far back files that came too late are told
    fetch: bool = False  # ask the archives of [fetch] for files that are due; these come by rename, whole
    speed: Speed | None = None  # of a simulated clock that begins at [experiment] start; default: the real one

    def __post_init__(self):
        if self.due_hours > self.cutoff_hours:
            raise ValueError(f"observations are due before the cut-off, got due_hours {self.due_hours:g}, "
                             f"cutoff_hours {self.cutoff_hours:g}")

    def due(self, time: datetime) -> datetime:
        return time + timedelta(hours=self.due_hours)

    def cutoff(self, time: datetime) -> datetime:
        return time + timedelta(hours=self.cutoff_hours)


class Clock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`start` is what it showed when the real clock showed `began`, both in seconds since 1970; as it stands: the real
    clock."""

    speed: Speed = 1.0
    began: Moment = 0.0
    start: Moment = 0.0

    def now(self) -> datetime:
        """What it shows."""
        return self.at(time())

    def at(self, moment: float) -> datetime:
        """What it shows when the real clock shows `moment`, in seconds since 1970, such as a file's time of change."""
        return datetime.fromtimestamp(self.start + self.speed * (moment - self.began), UTC)

    def real(self, duration: timedelta) -> timedelta:
        """How long a duration on this clock takes in reality."""
        return duration / self.speed


def read(experiment: Experiment) -> Clock:
    """The simulated clock of the experiment where one was started, else the real one; raises UserError if damaged."""
    path = experiment.folder.clock
    try:
        return msgspec.json.decode(path.read_bytes(), type=Clock)
    except FileNotFoundError:
        return Clock()
    except (msgspec.DecodeError, OSError) as error:
        raise UserError(f"{path}: is no clock ({error}); remove it to start the clock anew") from None


def of(experiment: Experiment, speed: float | None) -> Clock:
    """The clock; where `speed` asks for a simulated one and there is none it is started now.

    Raises UserError where one was started with another speed.
    """
    path = experiment.folder.clock
    if speed is not None and not path.exists():
        _start(path, Clock(speed, time(), experiment.start.timestamp()))
    clock = read(experiment)
    if speed is not None and clock.speed != speed:
        raise UserError(f"{path}: the clock of this experiment runs at {clock.speed:g} times the real one, asked for "
                        f"is {speed:g}; ask for the same, or remove the file to start the clock anew")
    return clock


def _start(path: Path, clock: Clock) -> None:
    """Write the file unless another program has just done so: the first clock counts."""
    paths.folder(path.parent)
    own = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        own.write_bytes(msgspec.json.encode(clock))
        os.link(own, path)
    except FileExistsError:
        pass
    except OSError as error:
        raise UserError(f"{path}: the clock cannot be started ({error.strerror}); check whether the folder may be "
                        "written to") from None
    finally:
        own.unlink(missing_ok=True)
