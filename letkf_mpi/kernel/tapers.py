"""A taper of great-circle distance as polynomials of what a chord gives without an arcsine.

    u = |a − b|² of unit vectors,   t = √u / (2 + √(4 − u)) = tan(θ/4),   θ = distance / radius of the Earth

h is smooth in t from no distance to the antipodes, but for half the cut-off, where the taper of Gaspari and Cohn
changes its formula: one polynomial on either side, by Chebyshev interpolation.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import chebyshev

from contracts.sphere import EARTH_RADIUS_KM

_MOST = 48  # coefficients
_ERROR = 1e-14  # what coefficients are left out for


@dataclass(frozen=True)
class Fit:
    """h(t) = Σ_j coefficient[side, j] z^j with z = slope[side] t + shift[side] in [−1, 1]; `side` 0 below the `knot`.

    It is 0 from the squared chord `cut` on, which is infinite where the whole globe is within reach.
    """

    cut: float
    knot: float
    slope: np.ndarray
    shift: np.ndarray
    coefficient: np.ndarray  # (2, order)

    @property
    def packed(self) -> tuple[float | np.ndarray, ...]:
        """As the kernel takes it."""
        return self.cut, self.knot, self.slope, self.shift, np.ascontiguousarray(self.coefficient)

    def __call__(self, u: np.ndarray) -> np.ndarray:
        """h of squared chords of any shape: what the kernel computes."""
        t = np.sqrt(u) / (2.0 + np.sqrt(np.maximum(4.0 - u, 0.0)))
        side = (t >= self.knot).astype(int)
        z, h = self.slope[side] * t + self.shift[side], np.zeros_like(t)
        for coefficient in self.coefficient.T[::-1]:
            h = h * z + coefficient[side]
        return np.where(u < self.cut, np.maximum(h, 0.0), 0.0)


def fit(taper: Callable[[np.ndarray], np.ndarray], scale_km: float, cutoff: float) -> Fit:
    """Of `taper`, a function of distance / `scale_km` that is 0 from `cutoff` on."""
    reach = cutoff * scale_km / EARTH_RADIUS_KM
    end = min(reach, np.pi)
    middle = reach / 2.0 if reach / 2.0 < end else end / 2.0
    ends = np.tan(np.array([[0.0, middle], [middle, end]]) / 4.0)
    sides = [_side(taper, scale_km, low, high) for low, high in ends]
    order = max(side.size for side in sides)
    width = ends[:, 1] - ends[:, 0]
    return Fit(cut=np.inf if reach >= np.pi else 4.0 * np.sin(reach / 2.0) ** 2, knot=float(ends[0, 1]),
               slope=2.0 / width, shift=-ends.sum(axis=1) / width,
               coefficient=np.stack([np.pad(side, (0, order - side.size)) for side in sides]))


def _side(taper: Callable[[np.ndarray], np.ndarray], scale_km: float, low: float, high: float) -> np.ndarray:
    """Coefficients of powers of z between two values of t."""
    z = chebyshev.chebpts1(_MOST)
    distance = 4.0 * np.arctan(low + (high - low) * (z + 1.0) / 2.0) * EARTH_RADIUS_KM
    series = 2.0 / _MOST * (taper(distance / scale_km)[:, None] * chebyshev.chebvander(z, _MOST - 1)).sum(axis=0)
    series[0] /= 2.0
    needed = np.flatnonzero(np.abs(series) > _ERROR)
    return chebyshev.cheb2poly(series[: 1 + needed.max(initial=0)])
