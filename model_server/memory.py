"""How many members fit into the memory of this computer together."""

import os
from math import prod
from pathlib import Path

COPIES = 16  # of a member's float32 fields: as read, normalised, stepped, in float64 for mean and spread, a restart
SHARE = 0.5  # of what is free; the rest is for the other programs of the cycle


def members_that_fit(shape: tuple[int, ...]) -> int:
    """Members of `shape` (channel, lat, lon) that half of the free memory holds, at least one."""
    return max(1, int(SHARE * free() / (COPIES * 4 * prod(shape))))


def free() -> int:
    """Bytes that can be had without swapping; all of the memory where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
