"""The seam between choosing observations and solving: a local problem goes in, weights come out.

    xᵃ_i = x̄ + X (w̄ + W_i)

A solver is a frozen settings struct with `solve(problem) -> Weights`.  It knows nothing of grids, files or ranks.
What it wants beside the plain problem it says by `needs_noise`, `needs_static`; whether its weights have the degrees of
freedom for signal by `has_signal`.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from contracts.config import Section


class Solver(Section, frozen=True):
    """Settings of a method; what it needs to be given, and tells."""

    needs_noise = False  # draws that belong to the observations
    needs_static = False  # static perturbations
    has_signal = False  # it has a gain, and tells its degrees of freedom for signal


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
    `signal`, of a solver that has it: degrees of freedom for signal tr(H K) of its gain K, how many numbers the
    observations determine (Rodgers 2000, Inverse Methods, Eq. 2.80).  It is Σ γ/(1+γ) over the eigenvalues γ of the
    background covariance in observation space, in units of R/ρ.
    """

    mean: np.ndarray
    perturbations: np.ndarray
    signal: float = 0.0
