"""The local particle filter and its Gaussian mixture extension (Kotsuki et al. 2022, GMD 15, 8325), in ensemble space.

Members are particles; a particle's weight is its likelihood, with kernels of covariance γP around each particle

    w_i ∝ exp{−½ (d − Y_i)ᵀ (R/ρ + γ Y Yᵀ/(k−1))⁻¹ (d − Y_i)}              kernels = "weighed"
    w_i ∝ exp{−½ (d − Y_i)ᵀ (R⁻¹ρ) (d − Y_i)}                               kernels = "points", or γ = 0
    w_i <- (1 − τ) w_i + τ/k                                              least τ ≥ 0 with 1/Σw² ≥ least_effective

The forgetting factor τ keeps some particles alive; N_eff = 1/Σw² follows from (1−τ)² (Σw² − 1/k) = 1/N_eff − 1/k.
Each kernel is moved as the Kalman filter would, then particles are drawn (`resampling`):

    S = I + A⁻¹ Yᵀ (R⁻¹ρ) (d 1ᵀ − Y),   A = (k−1)/γ I + Yᵀ (R⁻¹ρ) Y         the identity at γ = 0
    xᵃ_j = x̄ + X (S T)_j

The first form of the weights is the mixture's own: with it the mean tends to the Kalman filter's of covariance
(1+γ)P for many Gaussian particles; the authors' code has the second.  γ = 0 is the local particle filter.  Weights
are not carried from one time to the next: every analysis starts from equal ones and ends with a resampling.
Both filters need relaxation, for the kernels' own spread is not drawn.

Draws come from the seed of the time and are the same at every point, so that neighbours resample alike.
"""

from typing import Annotated, Literal

import msgspec
import numpy as np

from contracts.config import NotNegativeFloat, Positive, PositiveFloat
from letkf_mpi.solvers import resampling
from letkf_mpi.solvers.base import LocalProblem, Solver, Weights

_STREAM = 3  # tells these draws from others of the same seed and time


class ParticleFilter(Solver, frozen=True, tag_field="method", tag="particle_filter"):
    """[analysis.solver] method = "particle_filter"."""

    kernel: NotNegativeFloat = 1.0  # γ; 0: no mixture
    kernels: Literal["weighed", "points"] = "weighed"
    resampling: Literal["sinkhorn", "monte_carlo"] = "sinkhorn"
    regularization: PositiveFloat = 0.05  # ε of sinkhorn, of the mean cost
    repeats: Positive = 200  # of monte_carlo
    least_effective: Annotated[float, msgspec.Meta(ge=1)] = 2.0  # members

    def solve(self, problem: LocalProblem) -> Weights:
        """Weights of one local problem."""
        k, root = problem.k, np.sqrt(problem.inflation)
        if problem.p == 0:
            return Weights(np.zeros(k), root * np.eye(k))
        Y = root * problem.Y
        w = self.weights(problem)
        transform = self._shift(Y, problem) @ self._resample(w, Y, problem)
        mean = transform.mean(axis=1)
        return Weights(root * mean, root * (transform - mean[:, None]))

    def weights(self, problem: LocalProblem) -> np.ndarray:
        """(k,) of the particles, of sum 1."""
        Y = np.sqrt(problem.inflation) * problem.Y
        departures = problem.d[:, None] - Y  # (p, k)
        tapered = problem.rinv[:, None] * departures
        distance = (departures * tapered).sum(axis=0)
        if self.kernel > 0 and self.kernels == "weighed":  # Woodbury
            projected = Y.T @ tapered  # (k, k)
            distance -= (projected * np.linalg.solve(self._precision(Y, problem), projected)).sum(axis=0)
        w = np.exp(-0.5 * (distance - distance.min()))
        return forget(w / w.sum(), min(self.least_effective, problem.k))

    def _precision(self, Y: np.ndarray, problem: LocalProblem) -> np.ndarray:
        """A (k, k) of the kernels."""
        A = Y.T @ (problem.rinv[:, None] * Y)
        A.flat[:: problem.k + 1] += (problem.k - 1) / self.kernel
        return A

    def _shift(self, Y: np.ndarray, problem: LocalProblem) -> np.ndarray:
        """S (k, k)."""
        identity = np.eye(problem.k)
        if self.kernel == 0:
            return identity
        innovations = Y.T @ (problem.rinv[:, None] * (problem.d[:, None] - Y))
        return identity + np.linalg.solve(self._precision(Y, problem), innovations)

    def _resample(self, w: np.ndarray, Y: np.ndarray, problem: LocalProblem) -> np.ndarray:
        """T (k, k)."""
        if self.resampling == "monte_carlo":
            return resampling.monte_carlo(w, (*problem.seed, _STREAM), self.repeats)
        scaled = np.sqrt(problem.rinv)[:, None] * Y
        squares = (scaled * scaled).sum(axis=0)
        cost = np.maximum(squares[:, None] + squares - 2.0 * scaled.T @ scaled, 0.0)
        np.fill_diagonal(cost, 0.0)
        return resampling.sinkhorn(w, cost, self.regularization)


def forget(w: np.ndarray, least_effective: float) -> np.ndarray:
    """Weights (k,) of sum 1, brought towards equal ones until `least_effective` ≤ k particles are effective."""
    equal, squares = 1.0 / w.size, w @ w
    wanted = 1.0 / least_effective
    if squares <= wanted:
        return w
    kept = np.sqrt(max(wanted - equal, 0.0) / (squares - equal))  # 1 − τ
    return kept * w + (1.0 - kept) * equal
