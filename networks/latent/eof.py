"""The linear latent `eof`: empirical orthogonal functions of forecast errors, patch by patch, one set for each band.

    xi = (x - c) / t                          c the mean map, t each channel's scale
    z = P f                                   f a patch of xi (`patches`); P (k, n) the leading eigenvectors of its
                                              band's  sum of f f^T  over errors, halves and patches
    reconstruction  R(z) = D z                D = P^T, put back where the patch was taken
    increment       dx = t D(sqrt(b) zeta)    zeta ~ N(0, I);   b_clim the mean z^2 of the errors, by mode, half, band

Of S patch grids that overlap each has functions of its own, z_s = P_s f_s, R is the mean of what they put back and dx
S^(-1/2) times the sum (`operator`).  A patch at a pole, which has half the rows of the others, has half the modes; one
astride the equator is fitted from itself and its mirror image, so that each of its functions is its own mirror image or
the negative of it.

A covariance that is diagonal in the latent is B = 1/S sum_s t D_s diag(b_s) D_s^T t, of rank k for each patch, balanced
between the channels because the errors are (Lorenz 1956, MIT Statistical Forecasting Project Report 1; in patches of
the state as in the method notes that this was built after).  With k = n and no truncation D P is the identity.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from math import prod

import numpy as np

from contracts.state import StateSpace
from networks.latent import patches
from networks.latent.patches import Band


@dataclass(frozen=True)
class Eof:
    """What was fitted, for states of `space`; of each band from the equator to the pole, of one patch grid after the
    other, `basis` (k, n), orthonormal rows, and `variance` (half, k), the b_clim of the southern and of the northern
    half; `scale` t (channel,), `mean` c (channel, lat, lon); `overlap` whether there are four patch grids or one.
    Raises ValueError where the shapes do not fit or a variance is not positive."""

    space: StateSpace
    patch: tuple[int, int]
    scale: np.ndarray
    mean: np.ndarray
    basis: tuple[np.ndarray, ...]
    variance: tuple[np.ndarray, ...]
    overlap: bool = False

    def __post_init__(self):
        bands, whole = self.bands(), self.basis[0].shape[0] if self.basis else 0
        k = [modes_of(band, self.patch, self.space, whole) for band in bands]
        shapes = list(zip(k, (band.n for band in bands), strict=True))
        halves = list(zip((len(band.entry) for band in bands), k, strict=True))
        for what, found, expected in (("bases", [array.shape for array in self.basis], shapes),
                                      ("variances", [array.shape for array in self.variance], halves),
                                      ("scale", self.scale.shape, (len(self.space.channels),)),
                                      ("mean", self.mean.shape, self.space.shape)):
            if found != expected:
                raise ValueError(f"the {what} must have shape {expected}, got {found}")
        if not all((array > 0).all() for array in (self.scale, *self.variance)):
            raise ValueError("the scale and all variances must be positive")

    @property
    def modes(self) -> int:
        """k, numbers that stand for one whole patch."""
        return self.basis[0].shape[0]

    def grids(self) -> tuple[tuple[Band, ...], ...]:
        """Of each patch grid where the patches of its bands lie."""
        return grids(self.space, self.patch, self.overlap)

    def bands(self) -> tuple[Band, ...]:
        """The bands of all patch grids, one after the other."""
        return tuple(chain.from_iterable(self.grids()))


def grids(space: StateSpace, patch: tuple[int, int], overlap: bool) -> tuple[tuple[Band, ...], ...]:
    """The patch grids of a latent; ValueError where patches do not fit."""
    return tuple(patches.cut(space, patch, shift) for shift in patches.shifts(patch, overlap))


def modes_of(band: Band, patch: tuple[int, int], space: StateSpace, modes: int) -> int:
    """Numbers that stand for a patch of the band where so many stand for a whole one: in proportion to its rows."""
    return max(1, modes * band.n // (prod(patch) * len(space.channels)))


@dataclass
class Moments:
    """Second moments of the patches of each band and half, from errors one after the other."""

    bands: tuple[Band, ...]  # of one patch grid after the other
    sums: list[np.ndarray]  # (half, n, n) of each band
    count: int = 0

    @classmethod
    def of(cls, errors: Iterable[np.ndarray], space: StateSpace, patch: tuple[int, int], scale: np.ndarray,
           overlap: bool = False) -> "Moments":
        """Of `errors`, each (channel, lat, lon) in the units of the channels, divided by `scale` (channel,)."""
        bands = tuple(chain.from_iterable(grids(space, patch, overlap)))
        found = cls(bands, [np.zeros((len(band.entry), band.n, band.n)) for band in bands])
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
        """(half, n, n) mean of f f^T over errors and patches, and astride the equator over their mirror images."""
        of_band = self.bands[band]
        return of_band.folded(self.sums[band] / (self.count * of_band.entry.shape[1]))


def fit(moments: Moments, space: StateSpace, patch: tuple[int, int], scale: np.ndarray, mean: np.ndarray,
        modes: int, overlap: bool = False) -> Eof:
    """The leading `modes` of each band; ValueError where a patch has fewer numbers, or the errors fewer directions."""
    basis, variance = [], []
    for number, band in enumerate(moments.bands):
        k = modes_of(band, patch, space, modes)
        if k > band.n:
            raise ValueError(f"{modes} modes were asked for, and a patch has {band.n} numbers: ask for no more")
        of_halves = moments.mean(number)
        power, vectors = np.linalg.eigh(of_halves.mean(axis=0))
        P = _signed(vectors[:, ::-1][:, :k].T)
        if power[::-1][k - 1] <= 1e-12 * power[-1]:
            raise ValueError(f"{modes} modes were asked for, and the errors vary in fewer directions: give more errors "
                             "or ask for fewer modes")
        basis.append(P)
        variance.append(np.einsum("kn,hnm,km->hk", P, of_halves, P, optimize=True))
    return Eof(space, patch, scale, mean, tuple(basis), tuple(variance), overlap)


def _signed(P: np.ndarray) -> np.ndarray:
    """Rows whose largest number is positive: an eigenvector has no sign of its own, and a file made twice is the
    same."""
    return P * np.sign(np.take_along_axis(P, np.abs(P).argmax(axis=1)[:, None], axis=1))
