"""What still goes together among numbers that a diagonal covariance takes to be independent.

Each number has a closest partner among others, those of the same patch, of the next one to the east or of the next one
to the north: the one with which it is correlated most in one half of the errors.  How strongly it is correlated with it
in the other half is told, as the mean over numbers, so that chance does not make it larger.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Dependence:
    """Mean correlation with the closest partner: of the same patch, of the next to the east, to the north; and mean of
    the absolute one with the same number of the next patch to the east."""

    within: float
    east: float
    north: float
    east_same: float


def of(rows: Sequence[np.ndarray]) -> Dependence:
    """Of one (error, patch, k) for each row of patches from south to north."""
    scaled = [row / np.sqrt((row**2).mean(axis=(0, 1))) for row in rows]
    around = [np.roll(row, -1, axis=1) for row in scaled]
    same = np.concatenate([np.abs((a * b).mean(axis=(0, 1))) for a, b in zip(scaled, around, strict=True)])
    return Dependence(
        within=float(np.concatenate([closest(row, row, others=True) for row in scaled]).mean()),
        east=float(np.concatenate([closest(a, b) for a, b in zip(scaled, around, strict=True)]).mean()),
        north=float(np.concatenate([closest(a, b) for a, b in zip(scaled, scaled[1:], strict=False)]).mean()),
        east_same=float(same.mean()))


def closest(a: np.ndarray, b: np.ndarray, others: bool = False) -> np.ndarray:
    """(k,) correlation of each number of `a` (error, patch, k) with its closest one of `b`, not with itself where only
    `others` are meant; both of variance one."""
    half = len(a) // 2
    first, second = (np.einsum("npk,npl->kl", x, y, optimize=True) / (x.shape[0] * x.shape[1])
                     for x, y in ((a[:half], b[:half]), (a[half:], b[half:])))
    if others:
        np.fill_diagonal(first, 0.0)
    partner = np.abs(first).argmax(axis=1)[:, None]
    chosen = [np.take_along_axis(each, partner, axis=1)[:, 0] for each in (first, second)]
    return np.sign(chosen[0]) * chosen[1]
