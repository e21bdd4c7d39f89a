"""Relaxation whose α follows the innovations, a field (level, column), as adaptive inflation does.

Kotsuki, Ota & Miyoshi (2017, QJRMS 143, 2001), after Ying & Zhang (2015, QJRMS 141, 2898).  A consistent analysis has,
summed over the local observations (Desroziers et al. 2005, QJRMS 131, 3385),

    t = Σ ρ/R (a − b)(y − a)  =  trace of the spread that the analysis should have,   b = mean H(xᵇ),  a − b = Y w̄

The α_o that gives the relaxed perturbations this spread follows from three traces, with Yᵃ = Y W:

    s_b = Σ ρ/R Y²/(k−1)       s_a = Σ ρ/R Yᵃ²/(k−1)       c = Σ ρ/R Y·Yᵃ/(k−1)

    RTPS   (1 − α + α √(s_b/s_a))² s_a = t
    RTPP   α² s_b + 2α(1 − α) c + (1 − α)² s_a = t
    smoothing in time   α <- α + κ (α_o − α), within bounds

The analysis of a time uses the α that it finds; what it learns is written and used at the next time.  Where
nothing is observed, or the observations leave the spread as it is, α stays.  A method is a struct with
`start(levels)`, `relax(Xb, Xa, alpha)` and `update(alpha, problem, weights)`.
"""

from dataclasses import dataclass
from typing import Annotated

import msgspec
import numpy as np

from contracts.config import Section
from contracts.relaxation import rtpp, rtps
from letkf_mpi.local.relaxation import Alpha
from letkf_mpi.solvers import LocalProblem, Weights


@dataclass(frozen=True)
class Traces:
    """Spread in observation space, in units of R and tapered.

    Of the `background`, of the `analysis` before relaxation, of both together (`cross`), and what the innovations ask
    for (`target`).
    """

    background: float
    analysis: float
    cross: float
    target: float

    @classmethod
    def of(cls, problem: LocalProblem, weights: Weights) -> "Traces":
        """At one point, H taken as linear within the ensemble."""
        Ya, increment = problem.observed @ weights.perturbations, problem.observed @ weights.mean

        def trace(one: np.ndarray, other: np.ndarray) -> float:
            return float(problem.rinv @ (one * other).sum(axis=1)) / (problem.k - 1)

        target = float(problem.rinv @ (increment * (problem.d - increment)))
        return cls(trace(problem.Y, problem.Y), trace(Ya, Ya), trace(problem.Y, Ya), target)

    @property
    def tell(self) -> bool:
        """Whether observations took spread away, so that there is something to relax."""
        return 0.0 < self.analysis < self.background


class _Field(Section, frozen=True):
    """A field of α that is carried from time to time."""

    initial: Alpha = 0.9
    smoothing: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.05  # κ
    minimum: Alpha = 0.0
    maximum: Alpha = 1.0

    is_carried = True

    def __post_init__(self):
        if not self.minimum <= self.initial <= self.maximum:
            got = f"{self.minimum}, {self.initial}, {self.maximum}"
            raise ValueError(f"expected minimum <= initial <= maximum, got {got}")

    def start(self, levels: np.ndarray) -> np.ndarray:
        """(level,) α of the first time."""
        return np.full(levels.shape, self.initial)

    def estimate(self, traces: Traces) -> float:
        """α_o of the method."""
        raise NotImplementedError

    def update(self, alpha: float, problem: LocalProblem, weights: Weights) -> float:
        """α of the next time at one point."""
        traces = Traces.of(problem, weights)
        if not traces.tell:
            return alpha
        smoothed = alpha + self.smoothing * (self.estimate(traces) - alpha)
        return float(np.clip(smoothed, self.minimum, self.maximum))


class AdaptiveRtpp(_Field, frozen=True, tag_field="method", tag="adaptive_rtpp"):
    """[relaxation] method = "adaptive_rtpp"."""

    def relax(self, Xb: np.ndarray, Xa: np.ndarray, alpha: np.ndarray) -> np.ndarray:
        """Perturbations (member, channel, column) with `alpha` (channel, column)."""
        return rtpp(Xb, Xa, alpha)

    def estimate(self, traces: Traces) -> float:
        return rtpp_estimate(traces)


class AdaptiveRtps(_Field, frozen=True, tag_field="method", tag="adaptive_rtps"):
    """[relaxation] method = "adaptive_rtps"."""

    def relax(self, Xb: np.ndarray, Xa: np.ndarray, alpha: np.ndarray) -> np.ndarray:
        """Perturbations (member, channel, column) with `alpha` (channel, column)."""
        return rtps(Xb, Xa, alpha)

    def estimate(self, traces: Traces) -> float:
        return rtps_estimate(traces)


def rtps_estimate(traces: Traces) -> float:
    """α_o of relaxation to prior spread; below 0 where the analysis has too much spread without it."""
    wanted = np.sqrt(max(traces.target, 0.0) / traces.analysis)
    return float((wanted - 1.0) / (np.sqrt(traces.background / traces.analysis) - 1.0))


def rtpp_estimate(traces: Traces) -> float:
    """α_o of relaxation to prior perturbations: the larger root, or the α of least spread where that is too much."""
    q = traces.background - 2.0 * traces.cross + traces.analysis  # of the difference of both: not below 0
    linear = traces.analysis - traces.cross
    root = np.sqrt(max(linear**2 - q * (traces.analysis - traces.target), 0.0))
    return float((linear + root) / q)
