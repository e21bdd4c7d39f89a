"""Relaxation of the analysis perturbations towards the background's, uninflated ones.

The formulas are those of `contracts.relaxation`, RTPP and RTPS.  A method is a struct with `start(levels)` -> α
(level,), `relax(Xb, Xa, alpha)` on perturbations (member, channel, column), and `update(alpha, problem, weights)` -> α
at the next time, which here stays; in `adaptive_relaxation` it follows the innovations.
"""

from typing import Annotated

import msgspec
import numpy as np

from contracts.config import Section
from contracts.relaxation import rtpp, rtps
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
