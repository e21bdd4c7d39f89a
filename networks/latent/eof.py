"""The linear latent `eof`: empirical orthogonal functions of forecast errors, patch by patch, one set for each band.

    xi = (x - c) / t                          c the mean map, t each channel's scale
    z = P f                                   f a patch of xi (`patches`); P (k, n) the leading eigenvectors of its
                                              band's  sum of f f^T  over errors, halves and patches
    reconstruction  R(z) = D z                D = P^T, put back where the patch was taken
    increment       dx = t D(sqrt(b) zeta)    zeta ~ N(0, I);   b_clim the mean z^2 of the errors, by mode, half, band

A covariance that is diagonal in the latent is B = t D diag(b) D^T t, of rank k for each patch, balanced between the
channels because the errors are (Lorenz 1956, MIT Statistical Forecasting Project Report 1; in patches of the state as
in the method notes that this was built after).  With k = n and no truncation D P is the identity.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from contracts.state import StateSpace
from networks.latent import patches
from networks.latent.patches import Band


@dataclass(frozen=True)
class Eof:
    """What was fitted, for states of `space`; of each band from the equator to the pole `basis` (k, n), orthonormal
    rows, and `variance` (half, k), the b_clim of the southern and of the northern half; `scale` t (channel,), `mean` c
    (channel, lat, lon).  Raises ValueError where the shapes do not fit or a variance is not positive."""

    space: StateSpace
    patch: tuple[int, int]
    scale: np.ndarray
    mean: np.ndarray
    basis: tuple[np.ndarray, ...]
    variance: tuple[np.ndarray, ...]

    def __post_init__(self):
        bands = self.bands()
        k = self.basis[0].shape[0] if self.basis else 0
        for what, found, expected in (("bases", [array.shape for array in self.basis], [(k, band.n) for band in bands]),
                                      ("variances", [array.shape for array in self.variance], [(2, k)] * len(bands)),
                                      ("scale", self.scale.shape, (len(self.space.channels),)),
                                      ("mean", self.mean.shape, self.space.shape)):
            if found != expected:
                raise ValueError(f"the {what} must have shape {expected}, got {found}")
        if not all((array > 0).all() for array in (self.scale, *self.variance)):
            raise ValueError("the scale and all variances must be positive")

    @property
    def modes(self) -> int:
        """k, numbers that stand for one patch."""
        return self.basis[0].shape[0]

    def bands(self) -> tuple[Band, ...]:
        """Where the patches of each band lie."""
        return patches.cut(self.space, self.patch)


@dataclass
class Moments:
    """Second moments of the patches of each band and half, from errors one after the other."""

    bands: tuple[Band, ...]
    sums: list[np.ndarray]  # (half, n, n) of each band
    count: int = 0

    @classmethod
    def of(cls, errors: Iterable[np.ndarray], space: StateSpace, patch: tuple[int, int],
           scale: np.ndarray) -> "Moments":
        """Of `errors`, each (channel, lat, lon) in the units of the channels, divided by `scale` (channel,)."""
        bands = patches.cut(space, patch)
        found = cls(bands, [np.zeros((2, band.n, band.n)) for band in bands])
        for error in errors:
            found.add(error / scale[:, None, None])
        return found

    def add(self, error: np.ndarray) -> None:
        self.count += 1
        flat = error.reshape(-1).astype(np.float64)
        for band, total in zip(self.bands, self.sums, strict=True):
            f = flat[band.entry] * band.sign[:, None]
            total += f.transpose(0, 2, 1) @ f

    def mean(self, band: int) -> np.ndarray:
        """(half, n, n) mean of f f^T over errors and patches."""
        return self.sums[band] / (self.count * self.bands[band].entry.shape[1])


def fit(moments: Moments, space: StateSpace, patch: tuple[int, int], scale: np.ndarray, mean: np.ndarray,
        modes: int) -> Eof:
    """The leading `modes` of each band; ValueError where a patch has fewer numbers, or the errors fewer directions."""
    basis, variance = [], []
    for number, band in enumerate(moments.bands):
        if modes > band.n:
            raise ValueError(f"{modes} modes were asked for, and a patch has {band.n} numbers: ask for no more")
        of_halves = moments.mean(number)
        power, vectors = np.linalg.eigh(of_halves.mean(axis=0))
        P = _signed(vectors[:, ::-1][:, :modes].T)
        if power[::-1][modes - 1] <= 1e-12 * power[-1]:
            raise ValueError(f"{modes} modes were asked for, and the errors vary in fewer directions: give more errors "
                             "or ask for fewer modes")
        basis.append(P)
        variance.append(np.einsum("kn,hnm,km->hk", P, of_halves, P, optimize=True))
    return Eof(space, patch, scale, mean, tuple(basis), tuple(variance))


def _signed(P: np.ndarray) -> np.ndarray:
    """Rows whose largest number is positive: an eigenvector has no sign of its own, and a file made twice is the
    same."""
    return P * np.sign(np.take_along_axis(P, np.abs(P).argmax(axis=1)[:, None], axis=1))
