"""The flow that carries noisy states down to states: of probability, by Heun's rule.

    dz / dsigma = (z - D(z; sigma)) / sigma,        sigma from its first level down to 0

(Song et al. 2021, arXiv 2011.13456; levels and rule after Karras et al. 2022, arXiv 2206.00364.)  States z + sigma n
come out with the distribution of the z, of which D(z; sigma) is the mean given what is noisy.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

LAST = 0.01  # the least level: less noise than a climate leaves in all but its smallest modes
Mean = Callable[[np.ndarray, float], np.ndarray]  # z (m, channel, lat, lon) and sigma -> D(z; sigma)


def levels(first: float, count: int) -> tuple[float, ...]:
    """`count` of them from `first` to LAST, each the same part of the one before, and 0 at the end."""
    return (*np.geomspace(first, LAST, count).tolist(), 0.0)


def carried(mean: Mean, z: np.ndarray, sigmas: Sequence[float]) -> np.ndarray:
    """z (m, channel, lat, lon) at the first of the descending `sigmas` -> at the last one."""
    for sigma, lower in pairwise(sigmas):
        slope = (z - mean(z, sigma)) / sigma
        ahead = z + (lower - sigma) * slope
        if lower:
            slope = (slope + (ahead - mean(ahead, lower)) / lower) / 2
            ahead = z + (lower - sigma) * slope
        z = ahead.astype(z.dtype, copy=False)
    return z
