"""The seam between choosing observations and solving: a local problem goes in, weights come out.

    xᵃ_i = x̄ + X (w̄ + W_i)

A solver is a frozen settings struct with `solve(problem) -> Weights`.  It knows nothing of grids, files or ranks.
What it wants beside the plain problem it says by `needs_noise`, `needs_static`.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from contracts.config import Section


class Solver(Section, frozen=True):
    """Settings of a method; what it needs to be given."""

    needs_noise = False  # draws that belong to the observations
    needs_static = False  # static perturbations


@dataclass(frozen=True)
class LocalProblem:
    """What one analysis point sees: `p` observations, `k` members.

    `Y` (p, k) observed background perturbations, rows of zero mean; `d` (p,) innovations; `variance` (p,) of the
    observation errors; `taper` (p,) in (0, 1]; `inflation` β of the background covariance.
    For the methods that ask for them: `noise` (p, k) standard normal draws that belong to the observations and
    `seed` of further draws, so that both are the same at every point; `static` (p, m) observed static perturbations.
    """

    Y: np.ndarray
    d: np.ndarray
    variance: np.ndarray
    taper: np.ndarray
    inflation: float
    noise: np.ndarray | None = None
    seed: tuple[int, ...] = ()
    static: np.ndarray | None = None

    @cached_property
    def rinv(self) -> np.ndarray:
        """(p,) tapered precision R⁻¹ρ."""
        return self.taper / self.variance

    @property
    def degrees_of_freedom_for_signal(self) -> float:
        """tr(H K) of the Kalman gain K of the inflated ensemble: how many numbers the observations determine.

        With A = (k−1)/β I + Yᵀ (R⁻¹ρ) Y it is k − (k−1)/β tr A⁻¹ (Rodgers 2000, Inverse Methods, Eq. 2.80).
        """
        scaled = np.sqrt(self.inflation / (self.k - 1) * self.rinv)[:, None] * self.Y
        eigenvalues = np.linalg.eigvalsh(scaled.T @ scaled)
        return float((eigenvalues / (1.0 + eigenvalues)).sum())

    def select(self, which: np.ndarray) -> "LocalProblem":
        """The same problem with some of its observations, by mask (p,)."""
        rows = {name: part[which] for name in _ROWS if (part := getattr(self, name)) is not None}
        return replace(self, **rows)

    @property
    def observed(self) -> np.ndarray:
        """(p, k) or (p, k + m): what stands in observation space for the rows of the weights."""
        return self.Y if self.static is None else np.hstack([self.Y, self.static])

    @property
    def k(self) -> int:
        return self.Y.shape[1]

    @property
    def p(self) -> int:
        return self.Y.shape[0]


_ROWS = ("Y", "d", "variance", "taper", "noise", "static")


@dataclass(frozen=True)
class Weights:
    """`mean` w̄ (k,); `perturbations` W (k, k), of which member i uses column i.

    With m static perturbations, k + m rows: of the ensemble's perturbations first, then of the static ones.
    """

    mean: np.ndarray
    perturbations: np.ndarray
