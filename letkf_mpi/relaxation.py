"""Relaxation of the analysis perturbations towards the background's, uninflated ones.

    RTPP   Xᵃ <- α Xᵇ + (1 − α) Xᵃ                       (Zhang, Snyder & Sun 2004, MWR 132, 1238)
    RTPS   Xᵃ <- Xᵃ (1 − α + α σ_b/σ_a)  where σ_a > 0    (Whitaker & Hamill 2012, MWR 140, 3078)

σ is the standard deviation over members (k − 1).  α may exceed 1.  A method is a struct with
`relax(Xb, Xa) -> Xa` on perturbations (member, channel, column).
"""

from typing import Annotated

import msgspec
import numpy as np

from contracts.config import Section

Alpha = Annotated[float, msgspec.Meta(ge=0, le=2)]


class NoRelaxation(Section, frozen=True, tag_field="method", tag="none"):
    """[relaxation] method = "none"."""

    def relax(self, Xb: np.ndarray, Xa: np.ndarray) -> np.ndarray:
        return Xa


class Rtpp(Section, frozen=True, tag_field="method", tag="rtpp"):
    """[relaxation] method = "rtpp": relaxation to prior perturbations."""

    alpha: Alpha = 0.9

    def relax(self, Xb: np.ndarray, Xa: np.ndarray) -> np.ndarray:
        return self.alpha * Xb + (1.0 - self.alpha) * Xa


class Rtps(Section, frozen=True, tag_field="method", tag="rtps"):
    """[relaxation] method = "rtps": relaxation to prior spread."""

    alpha: Alpha = 1.2

    def relax(self, Xb: np.ndarray, Xa: np.ndarray) -> np.ndarray:
        prior, posterior = spread(Xb), spread(Xa)
        ratio = np.divide(prior, posterior, out=np.ones_like(prior), where=posterior > 0)
        return Xa * (1.0 - self.alpha + self.alpha * ratio)


def spread(X: np.ndarray) -> np.ndarray:
    """Standard deviation over members of perturbations of zero mean, (member, …) -> (…)."""
    return np.sqrt((X * X).sum(axis=0) / (X.shape[0] - 1))
