"""Which members stay on the disk, and how much room an experiment needs.

Of what a cycle writes nearly all is members: 20 of them on 64 x 32 points are 15 MB, means and spreads 1.5 MB,
observations, departures and scores 2.4 MB.  Once a cycle is finished nothing that follows reads its members, so a
long experiment may let them go; `run/cycle.sh` does, and leaves the mark `EnsembleFolder.tidied`.  Only the background
of the first time stays: the free ensemble begins with it.
"""

import math
import shutil
from datetime import datetime, timedelta

from contracts.config import Experiment, NotNegative, Section
from contracts.errors import UserError
from contracts.paths import ExperimentFolder

MIB, GIB = 2**20, 2**30
OTHERS = 3e6  # bytes of a time's other files: 8000 observations, their departures, fields and scores


class Retention(Section, frozen=True):
    """[retention] Means, spreads, observations, departures and scores stay; members as long as this says."""

    members_hours: NotNegative | None = None  # older members are removed; default: all stay
    monthly: bool = True  # but those of 00 UTC on the first of each month stay
    check_disk: bool = True  # refuse to start without room for the experiment, and a cycle without room for it

    def keeps(self, time: datetime, now: datetime) -> bool:
        """Whether the members of `time` stay once the cycle of `now` is finished."""
        if self.members_hours is None or now - time <= timedelta(hours=self.members_hours):
            return True
        return self.monthly and (time.day, time.hour) == (1, 0)


def need(experiment: Experiment, retention: Retention) -> float:
    """Bytes that the times without scores will need; 0 where no ensemble is there yet to be measured."""
    folder, times = experiment.folder, experiment.times()
    member, ensemble = _sizes(experiment)
    left = [time for time in times if not folder.at(time).scores.exists()]
    kept = sum(retention.keeps(time, times[-1]) for time in left)
    in_hand = min(2, len(left))  # a time's members are there until its cycle is finished, and the next background
    return max(kept, in_hand) * (ensemble + experiment.members * member) + len(left) * (4 * member + OTHERS)


def cycle_kib(experiment: Experiment, retention: Retention) -> int:
    """KiB that one more cycle will need; 0 where no ensemble is there yet, or where the disk is not to be looked at."""
    member, ensemble = _sizes(experiment)
    if not (retention.check_disk and member):
        return 0
    return math.ceil((ensemble + (experiment.members + 4) * member + OTHERS) / 1024)


def _sizes(experiment: Experiment) -> tuple[float, float]:
    """Bytes of one member, and of a background with what is kept for the model.

    The newest tells: the first has no slots yet, and no members of a step earlier.
    """
    folder: ExperimentFolder = experiment.folder
    for time in reversed([*experiment.times(), experiment.times()[-1] + experiment.step]):
        background = folder.at(time).background
        files = [path for path in background.folder.rglob("*") if path.is_file()]
        for path, members in ((background.member(1), 1), (background.together, experiment.members)):
            if path in files:
                return path.stat().st_size / members, sum(each.stat().st_size for each in files)
    return 0.0, 0.0


def check_disk(experiment: Experiment, retention: Retention) -> str:
    """A sentence on the room needed and free; raises UserError where it does not suffice."""
    folder = experiment.folder.folder
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    needed, free = need(experiment, retention), shutil.disk_usage(there).free
    if retention.check_disk and needed > free:
        raise UserError(f"{folder}: the experiment needs about {_size(needed)} more and the disk has {_size(free)} "
                        "free; make room, keep fewer members ([retention] members_hours), or set [retention] "
                        "check_disk = false")
    return f"about {_size(needed)} more on the disk, {_size(free)} free"


def _size(size: float) -> str:
    """`size` in bytes as people say it."""
    return f"{size / GIB:.1f} GiB" if size >= GIB else f"{size / MIB:.1f} MiB"
