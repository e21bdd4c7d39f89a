"""What is told of the analysis of the whole grid in a few numbers, for the last look before anything is written.

A sum over columns has one value however they are shared out: its terms are whole numbers of a unit, 2⁻³⁶ of the largest
of them, whose sums are exact.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from letkf_mpi.local.update import Diagnostics

if TYPE_CHECKING:
    from letkf_mpi.ranks.parallel import World  # who reads an analysis' files needs no MPI

_DIGITS = 36  # binary; 2²⁶ columns then sum to less than 2⁶³


@dataclass(frozen=True)
class Totals:
    """(channel,) spread of background and analysis, mean over the globe, `least` and `most` of all members and columns;
    in how many columns each array of `Diagnostics` is `lost`, not finite; how many humidities were `clipped`."""

    background_spread: np.ndarray
    spread: np.ndarray
    least: np.ndarray
    most: np.ndarray
    lost: dict[str, int]
    clipped: int

    @classmethod
    def of(cls, world: "World", told: Diagnostics, weights: np.ndarray) -> "Totals":
        """From what is told of my columns and their `weights` (column,), 1 in sum over the grid; on all ranks."""
        names = (*Diagnostics.BY_CHANNEL, *Diagnostics.BY_LEVEL)
        lost = [np.count_nonzero(~np.isfinite(getattr(told, name)).all(axis=0)) for name in names]
        counts = world.total(np.array([*lost, told.clipped.sum()], np.int64)).tolist()
        most, negative = (world.largest(part.max(axis=1, initial=-np.inf)) for part in (told.most, -told.least))
        before, after = (_total(world, np.nan_to_num(part) * weights) for part in (told.background_spread, told.spread))
        return cls(before, after, -negative, most, dict(zip(names, counts, strict=False)), counts[-1])


def _total(world: "World", terms: np.ndarray) -> np.ndarray:
    """(row,) sums over the columns of all ranks of their `terms` (row, my columns)."""
    unit = np.ldexp(1.0, np.frexp(world.largest(np.abs(terms).max(axis=1, initial=0.0)))[1] - _DIGITS)
    return unit * world.total(np.rint(terms / unit[:, None]).astype(np.int64).sum(axis=1))
