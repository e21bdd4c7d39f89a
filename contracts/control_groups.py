"""What a batch system or a container lets this process have: the limits of its control groups, version 1 and 2.

A limit holds for all processes of a group and of the groups in it, so the least of those around this process counts.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path

GROUP = Path("/sys/fs/cgroup")  # of this process, as a container sees it, or the root of all groups
GROUPS = Path("/proc/self/cgroup")  # where below that it is: a batch system gives each job one


def processors() -> int:
    """How many this process may keep busy: those that it is bound to, and no more than its quota; at least one.

    More threads than a quota holds are all stopped together for the rest of each period.
    """
    quota = min(_quota(folder) for folder in folders("cpu"))
    return max(1, min(len(os.sched_getaffinity(0)), int(min(quota, 1e9))))


def folders(controller: str) -> Iterator[Path]:
    """The folders whose limits of `controller`, such as memory, hold: this process's group and those around it."""
    yield GROUP
    try:
        lines = GROUPS.read_text().splitlines()
    except OSError:
        return
    for line in lines:  # 0::/a/b in version 2, 4:memory:/a/b in version 1
        _, controllers, place = line.split(":", 2)
        if controllers == "" or controller in controllers.split(","):
            root = GROUP / controller if controllers else GROUP
            own = root / place.lstrip("/")
            yield from (folder for folder in (own, *own.parents) if folder.is_relative_to(root))


def _quota(folder: Path) -> float:
    """Processors that a group may keep busy; infinite without a limit."""
    for read in (_quota_of_version_2, _quota_of_version_1):
        try:
            quota, period = read(folder)
            return float(quota) / float(period) if quota not in ("max", "-1") else math.inf
        except (OSError, ValueError, ZeroDivisionError):
            continue
    return math.inf


def _quota_of_version_2(folder: Path) -> tuple[str, str]:
    quota, period = (folder / "cpu.max").read_text().split()
    return quota, period


def _quota_of_version_1(folder: Path) -> tuple[str, str]:
    quota, period = ((folder / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
    return quota, period
