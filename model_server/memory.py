"""How many members fit into the memory of this computer together."""

import math
import os
from pathlib import Path

from contracts import control_groups

COPIES = 16  # of a member's float32 fields: as read, normalised, stepped, in float64 for mean and spread, a restart
SHARE = 0.5  # of what is free; the rest is for the other programs of the cycle


def members_that_fit(shape: tuple[int, ...]) -> int:
    """Members of `shape` (channel, lat, lon) that half of the free memory holds, at least one."""
    return max(1, int(SHARE * free() / (COPIES * 4 * math.prod(shape))))


def free() -> float:
    """Bytes that can be had without swapping, within the limit of a container."""
    return min(_of_the_computer(), *(_of_the_group(folder) for folder in control_groups.folders("memory")))


def _of_the_group(folder: Path) -> float:
    """Bytes left of the limit of a control group, whose cached files can be given up; infinite without one."""
    for limit, used, cached in (("max", "current", "inactive_file"),
                                ("limit_in_bytes", "usage_in_bytes", "total_inactive_file")):  # versions 2 and 1
        try:
            most, taken = ((folder / f"memory.{name}").read_text().strip() for name in (limit, used))
            counts = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            return max(0, int(most) - int(taken) + int(counts[cached])) if most != "max" else math.inf
        except (OSError, ValueError, KeyError):
            continue
    return math.inf


def _of_the_computer() -> int:
    """Bytes; all of the memory where the system does not say what is available."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
