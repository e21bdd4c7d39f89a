"""The seam between choosing observations and solving: a local problem goes in, weights come out.

    xᵃ_i = x̄ + X (w̄ + W_i)

A solver is a frozen settings struct with `solve(problem) -> Weights`.  It knows nothing of grids, files or ranks.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class LocalProblem:
    """What one analysis point sees: `p` observations, `k` members.

    `Y` (p, k) observed background perturbations, rows of zero mean; `d` (p,) innovations; `variance` (p,) of the
    observation errors; `taper` (p,) in (0, 1]; `inflation` β of the background covariance.
    """

    Y: np.ndarray
    d: np.ndarray
    variance: np.ndarray
    taper: np.ndarray
    inflation: float

    @cached_property
    def rinv(self) -> np.ndarray:
        """(p,) tapered precision R⁻¹ρ."""
        return self.taper / self.variance

    def select(self, which: np.ndarray) -> "LocalProblem":
        """The same problem with some of its observations, by mask (p,)."""
        return LocalProblem(self.Y[which], self.d[which], self.variance[which], self.taper[which], self.inflation)

    @property
    def k(self) -> int:
        return self.Y.shape[1]

    @property
    def p(self) -> int:
        return self.Y.shape[0]


@dataclass(frozen=True)
class Weights:
    """`mean` w̄ (k,); `perturbations` W (k, k), of which member i uses column i."""

    mean: np.ndarray
    perturbations: np.ndarray
