"""Analyses of the same stations one after the other: the first about the climate, the others about a forecast from the
one before.

    z_b = (M(m + s z_a) - m) / s                   M a network that steps in time
    d = A (z - z_b) + e
    α² = max(small, (mean of dᵀd - n) / tr(A C Aᵀ))           as `neural_da.amplitude`, over all states of the group
    z_a = z_b + α² C Aᵀ (α² A C Aᵀ + I)⁻¹ d
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from networks.climate.gaussian import Climate
from networks.o2a import deviation
from networks.o2a.optimal import Optimal

LEAST = 1e-3  # of α²
Forward = Callable[[np.ndarray, np.ndarray], np.ndarray]  # z (m, channel, lat, lon) at seconds (m,) -> z_b a step later


@dataclass(frozen=True)
class Analysed:
    """`analysis` z_a float32 (m, channel, lat, lon), what it leaves of the observations, `left` (m, n), and its
    `deviation` float32 (channel, lat, lon)."""

    analysis: np.ndarray
    left: np.ndarray
    deviation: np.ndarray


@dataclass(frozen=True)
class Chains:
    """Stations that see `A` (n, size) of states of a `prior`, `seen` A C Aᵀ, and how many `draws` tell a deviation."""

    prior: Climate
    A: csr_array
    seen: np.ndarray
    draws: int

    def analysed(self, truth: np.ndarray, seconds: np.ndarray, forward: Forward | None,
                 random: np.random.Generator) -> Iterator[Analysed]:
        """Of the states z `truth` (time, m, channel, lat, lon) at `seconds` (time, m), time by time."""
        background = np.zeros_like(truth[0])
        for number, (z, when) in enumerate(zip(truth, seconds, strict=True)):
            d = observed(self.A, z - background, random)
            optimal = self.optimal(self.alpha_squared(d) if number else 1.0)
            increment = optimal.analyses(d)
            found = Analysed(background + increment, d - seen_by(self.A, increment), self.deviation(optimal, random))
            yield found
            if number < len(truth) - 1:
                assert forward is not None
                background = forward(found.analysis, when)

    def alpha_squared(self, d: np.ndarray) -> float:
        """Of departures (m, n) from a forecast."""
        missed = float(np.square(d).sum(axis=1).mean()) - d.shape[1]
        return max(LEAST, missed / float(np.trace(self.seen)))

    def optimal(self, alpha_squared: float) -> Optimal:
        return Optimal.of(self.prior.correlation, self.prior.space.shape, self.A, self.seen, alpha_squared)

    def deviation(self, optimal: Optimal, random: np.random.Generator) -> np.ndarray:
        """From draws of errors of the background, each analysed as the states are."""
        dtype = self.prior.correlation.variance.dtype
        white = random.standard_normal((self.draws, *self.prior.space.shape)).astype(dtype)
        drawn = np.sqrt(optimal.alpha_squared).astype(dtype) * self.prior.correlation.apply(np.sqrt, white)
        return deviation.of(drawn - optimal.analyses(observed(self.A, drawn, random)))


def observed(A: csr_array, z: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """d = A z + e (m, n), in errors of the observations."""
    seen = seen_by(A, z)
    return seen + random.standard_normal(seen.shape)


def seen_by(A: csr_array, z: np.ndarray) -> np.ndarray:
    """A z (m, n), of `z` (m, channel, lat, lon)."""
    return (A @ z.reshape(len(z), -1).T.astype(np.float64)).T
