"""High-resolution soundings with about as many levels as others: each two seconds says no more than each minute.

Where a sounding offers more than `most` values of a quantity, the range of its pressures is divided into `most` equal
steps of ln p, and in each the value nearest to the middle stays; a mandatory level goes before all others. Both wind
components stand at the same levels and so share their fate. The rest is flagged `thinned`.
"""

import numpy as np

from contracts.constants import HECTOPASCAL
from contracts.observations import Observations
from contracts.variables import Flag, Quantity
from obsproc.config import MANDATORY_LEVELS_HPA
from obsproc.prepbufr import SOUNDING_MESSAGES
from obsproc.quality import is_one_of, reject


def thin(table: Observations, most: int) -> Observations:
    """At most `most` levels of each quantity of each sounding."""
    rows = np.flatnonzero((table.flag == Flag.passed) & np.isfinite(table.pressure) & ~table.at_surface
                          & is_one_of(table.message_type, SOUNDING_MESSAGES))
    key = table.report[rows].astype(np.int64) * (max(Quantity) + 1) + table.quantity[rows]
    thinned = np.zeros(len(table), dtype=bool)
    for group in np.flatnonzero(np.bincount(key) > most):
        of_group = rows[key == group]
        thinned[of_group] = ~spread(table.pressure[of_group], most)
    return reject(table, thinned, Flag.thinned)


def spread(pressure: np.ndarray, most: int) -> np.ndarray:
    """Which of some pressures (n,) Pa stay: one in each of `most` equal steps of ln p that has any, (n,) bool."""
    height = np.log(pressure)
    step = (height - height.min()) / max(height.max() - height.min(), np.finfo(float).tiny) * most
    number = np.minimum(step.astype(int), most - 1)
    mandatory = np.isin(pressure, np.array(MANDATORY_LEVELS_HPA) * HECTOPASCAL)
    order = np.lexsort((pressure, np.abs(step - number - 0.5), ~mandatory, number))
    stays = np.zeros(len(pressure), dtype=bool)
    stays[order[np.flatnonzero(np.diff(number[order], prepend=-1))]] = True
    return stays
