"""Relaxation of the analysis perturbations towards the background's, uninflated ones.

    RTPP   Xᵃ <- α Xᵇ + (1 − α) Xᵃ                       (Zhang, Snyder & Sun 2004, MWR 132, 1238)
    RTPS   Xᵃ <- Xᵃ (1 − α + α σ_b/σ_a)  where σ_a > 0    (Whitaker & Hamill 2012, MWR 140, 3078)

σ is the standard deviation over members (k − 1).  α may exceed 1.  A method is a struct with `start(levels)` -> α
(level,), `relax(Xb, Xa, alpha)` on perturbations (member, channel, column), and `update(alpha, problem, weights)` -> α
at the next time, which here stays; in `adaptive_relaxation` it follows the innovations.
"""

from typing import Annotated

import msgspec
import numpy as np

from contracts.config import Section
from letkf_mpi.solvers import LocalProblem, Weights

Alpha = Annotated[float, msgspec.Meta(ge=0, le=2)]


class _Constant(Section, frozen=True):
    """α is that of the settings everywhere."""

    is_carried = False  # nothing to read from the time before

    def update(self, alpha: float, problem: LocalProblem, weights: Weights) -> float:
        return alpha


class NoRelaxation(_Constant, frozen=True, tag_field="method", tag="none"):
    """[relaxation] method = "none"."""

    def start(self, levels: np.ndarray) -> np.ndarray:
        return np.zeros(levels.shape)

    def relax(self, Xb: np.ndarray, Xa: np.ndarray, alpha: float | np.ndarray) -> np.ndarray:
        return Xa


class Rtpp(_Constant, frozen=True, tag_field="method", tag="rtpp"):
    """[relaxation] method = "rtpp": relaxation to prior perturbations."""

    alpha: Alpha = 0.9

    def start(self, levels: np.ndarray) -> np.ndarray:
        return np.full(levels.shape, self.alpha)

    def relax(self, Xb: np.ndarray, Xa: np.ndarray, alpha: float | np.ndarray) -> np.ndarray:
        return rtpp(Xb, Xa, alpha)


class Rtps(_Constant, frozen=True, tag_field="method", tag="rtps"):
    """[relaxation] method = "rtps": relaxation to prior spread."""

    alpha: Alpha = 1.2

    def start(self, levels: np.ndarray) -> np.ndarray:
        return np.full(levels.shape, self.alpha)

    def relax(self, Xb: np.ndarray, Xa: np.ndarray, alpha: float | np.ndarray) -> np.ndarray:
        return rtps(Xb, Xa, alpha)


def rtpp(Xb: np.ndarray, Xa: np.ndarray, alpha: float | np.ndarray) -> np.ndarray:
    """Relaxation to prior perturbations; `alpha` one number or (channel, column)."""
    return alpha * Xb + (1.0 - alpha) * Xa


def rtps(Xb: np.ndarray, Xa: np.ndarray, alpha: float | np.ndarray) -> np.ndarray:
    """Relaxation to prior spread; `alpha` one number or (channel, column)."""
    prior, posterior = spread(Xb), spread(Xa)
    ratio = np.divide(prior, posterior, out=np.ones_like(prior), where=posterior > 0)
    return Xa * (1.0 - alpha + alpha * ratio)


def spread(X: np.ndarray) -> np.ndarray:
    """Standard deviation over members of perturbations of zero mean, (member, …) -> (…)."""
    return np.sqrt((X * X).sum(axis=0) / (X.shape[0] - 1))
