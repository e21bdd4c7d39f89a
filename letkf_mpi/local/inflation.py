"""Multiplicative inflation β of the background covariance, a field (level, column).

The analysis of a time uses the β that it finds; what it learns is written and used at the next time.

Adaptive (Miyoshi 2011, MWR 139, 1519), at each point from its local observations:

    p1 = Σ ρ d²/R        p2 = Σ ρ/R · Y²/(k−1)        p3 = Σ ρ
    β_o = (p1 − p3) / p2                                        the β that explains the innovations
    σ_o² = (2/p3) · ((β_b p2 + p3) / p2)²                       its sampling variance
    K = σ_b² / (σ_o² + σ_b²),    β_a = β_b + K (β_o − β_b)

Without a local observation, or where the ensemble has no spread in observation space, β stays.
A method is a struct with `start(levels)` -> (level,), `update(problem)` -> β at the next time and, where that needs
no more than the sums, `learn(sums, inflation)`, the same for many points at once.
"""

from dataclasses import dataclass

import numpy as np

from contracts.config import PositiveFloat, Section
from contracts.constants import HECTOPASCAL
from contracts.errors import UserError
from letkf_mpi.solvers import LocalProblem
from letkf_mpi.static.additive import Additive


@dataclass(frozen=True)
class Sums:
    """p1, p2 and p3 of points, each an array of one shape or one number."""

    square: np.ndarray
    power: np.ndarray
    weight: np.ndarray

    @classmethod
    def of(cls, problem: LocalProblem) -> "Sums":
        """At one point."""
        power = np.einsum("pk,pk->p", problem.Y, problem.Y) / (problem.k - 1)
        return cls(problem.rinv @ problem.d**2, problem.rinv @ power, problem.taper.sum())


class Constant(Section, frozen=True, tag_field="method", tag="constant"):
    """[inflation] method = "constant": one β, or one for each analysis level in ascending order of pressure."""

    factor: PositiveFloat | tuple[PositiveFloat, ...] = 1.0
    additive: Additive | None = None

    is_carried = False  # nothing to read from the time before

    def start(self, levels: np.ndarray) -> np.ndarray:
        """(level,) β; raises UserError where the number of factors is not that of the levels (Pa)."""
        if isinstance(self.factor, tuple) and len(self.factor) != levels.size:
            names = ", ".join(f"{p / HECTOPASCAL:g}" for p in levels)
            raise UserError(f"[inflation] factor: expected one number or {levels.size} for the analysis levels "
                            f"{names} hPa, got {len(self.factor)}")
        return np.broadcast_to(np.asarray(self.factor, dtype=np.float64), levels.shape)

    def update(self, problem: LocalProblem) -> float:
        return problem.inflation

    def learn(self, sums: Sums, inflation: np.ndarray) -> np.ndarray:
        return inflation


class Adaptive(Section, frozen=True, tag_field="method", tag="adaptive"):
    """[inflation] method = "adaptive": β follows the innovations in every column and level."""

    initial: PositiveFloat = 1.01
    prior_sd: PositiveFloat = 0.04  # σ_b
    minimum: PositiveFloat = 0.9
    maximum: PositiveFloat = 10.0
    additive: Additive | None = None

    is_carried = True

    def __post_init__(self):
        if not self.minimum <= self.initial <= self.maximum:
            got = f"{self.minimum}, {self.initial}, {self.maximum}"
            raise ValueError(f"expected minimum <= initial <= maximum, got {got}")

    def start(self, levels: np.ndarray) -> np.ndarray:
        """(level,) β of the first time."""
        return np.full(levels.shape, self.initial)

    def update(self, problem: LocalProblem) -> float:
        """β of the next time at one point."""
        return float(self.learn(Sums.of(problem), np.asarray(problem.inflation)))

    def learn(self, sums: Sums, inflation: np.ndarray) -> np.ndarray:
        """β of the next time at points that use `inflation` now."""
        tell = (sums.power > 0) & (sums.weight > 0)
        p2, p3 = np.where(tell, sums.power, 1.0), np.where(tell, sums.weight, 1.0)
        observed = (sums.square - p3) / p2
        observed_variance = (2.0 / p3) * ((inflation * p2 + p3) / p2) ** 2
        gain = self.prior_sd**2 / (observed_variance + self.prior_sd**2)
        updated = inflation + gain * (observed - inflation)
        return np.where(tell, np.clip(updated, self.minimum, self.maximum), inflation)
