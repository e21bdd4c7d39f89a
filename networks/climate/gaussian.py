"""A Gaussian climate of states: where a state lies when nothing but the date is known.

    x = m(t) + s z,   z ~ N(0, C)        m, s by channel and place, C the same all along a circle of latitude

With the orthonormal Fourier transform along longitude, ẑ_k (channel * lat,) for the wavenumbers k = 0 … nlon / 2, C is
a block for each k, of a few orthonormal modes E_k with variances λ_k and the same rest r_k in all other directions, and
so is every function f of it:

    C_k = E_k diag(λ_k - r_k) E_kᴴ + r_k I             f(C)_k = E_k diag(f(λ_k) - f(r_k)) E_kᴴ + f(r_k) I

One routine gives C itself, its square root (samples), C / (C + σ²) (the Wiener filter of noise σ) and
C σ² / (C + σ²) (what is left unknown after it).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from contracts import times
from contracts.state import StateSpace
from networks import season

Function = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Correlation:
    """C, for fields on `nlon` points of each circle of latitude; raises ValueError where it is none.

    `modes` complex (wavenumber, mode, channel * lat), orthonormal; `variance` (wavenumber, mode), `rest` (wavenumber,).
    """

    nlon: int
    modes: np.ndarray
    variance: np.ndarray
    rest: np.ndarray

    def __post_init__(self):
        waves, modes, _ = self.modes.shape
        if waves != self.nlon // 2 + 1 or self.variance.shape != (waves, modes) or self.rest.shape != (waves,):
            raise ValueError(f"expected modes, variance and rest of {self.nlon // 2 + 1} wavenumbers, got "
                             f"{self.modes.shape}, {self.variance.shape} and {self.rest.shape}")
        if not np.isfinite(self.modes).all():
            raise ValueError("modes must be finite")
        if not ((self.variance >= 0).all() and (self.rest >= 0).all() and np.isfinite(self.variance).all()):
            raise ValueError("variances must be finite and not negative")

    def astype(self, dtype: type) -> "Correlation":
        """The same in the precision of the real `dtype`."""
        return replace(self, modes=self.modes.astype(np.result_type(dtype, np.complex64)),
                       variance=self.variance.astype(dtype), rest=self.rest.astype(dtype))

    def apply(self, function: Function, fields: np.ndarray) -> np.ndarray:
        """f(C) times each of `fields` (..., channel, lat, lon), in their precision.

        Field by field: the bits of one do not depend on what stands beside it.
        """
        dtype = np.result_type(self.modes, fields.dtype).type
        *_, channels, nlat, nlon = fields.shape
        spectra = np.fft.rfft(fields.reshape(-1, channels * nlat, nlon), norm="ortho")
        spectra = np.ascontiguousarray(spectra.transpose(2, 0, 1)).astype(dtype, copy=False)  # (wavenumber, field, row)
        outside = function(self.rest)
        inside = function(self.variance) - outside[:, None]
        for modes, own, factor, rest in zip(self.modes, spectra, inside, outside, strict=True):
            for spectrum in own:  # vectors, not a matrix: a matrix product may sum in another order when it is wider
                coefficients = (modes @ spectrum.conj()).conj()
                spectrum *= rest
                spectrum += (factor * coefficients) @ modes
        result = np.fft.irfft(spectra.transpose(1, 2, 0), n=nlon, norm="ortho")
        return result.reshape(fields.shape).astype(fields.dtype, copy=False)

    def diagonal(self) -> np.ndarray:
        """(channel * lat,) variances of C, the same at every longitude."""
        modes = (self.variance - self.rest[:, None])[:, :, None] * np.abs(self.modes.astype(np.complex128)) ** 2
        return (self._twice[:, None] * (modes.sum(axis=1) + self.rest[:, None])).sum(axis=0) / self.nlon

    def mean_variance(self, function: Function) -> float:
        """The mean of the diagonal of f(C), over channels and places."""
        rows, rest = self.modes.shape[2], function(self.rest)
        power = (function(self.variance) - rest[:, None]).sum(axis=1) + rows * rest
        return float((self._twice * power).sum() / (rows * self.nlon))

    @property
    def _twice(self) -> np.ndarray:
        """(wavenumber,) how often each counts in a real field, whose spectrum has another half."""
        return np.where(_is_real(self.nlon), 1.0, 2.0)


def identity(values: np.ndarray) -> np.ndarray:
    """f of C itself."""
    return values


def wiener(sigma: float) -> Function:
    """f of C / (C + σ²): the best estimate of z given z + σ n is this times z + σ n."""
    return lambda values: values / (values + sigma**2)


def remaining(sigma: float) -> Function:
    """f of C σ² / (C + σ²): the covariance of z about that estimate."""
    return lambda values: values * sigma**2 / (values + sigma**2)


def _is_real(nlon: int) -> np.ndarray:
    """(wavenumber,) bool: whose coefficients of a real field are real, the mean and the shortest wave."""
    wavenumber = np.arange(nlon // 2 + 1)
    return (2 * wavenumber) % nlon == 0


@dataclass(frozen=True)
class Climate:
    """The Gaussian of states of `space`; raises ValueError where its parts do not fit one another.

    `seasons` (basis, channel, lat, lon): coefficients of the mean in `season.basis`; `scale` (channel, lat, lon), s;
    `fitted` int64 (state,): times of the states that it was made from, seconds since 1970.
    """

    space: StateSpace
    seasons: np.ndarray
    scale: np.ndarray
    correlation: Correlation
    fitted: np.ndarray

    def __post_init__(self):
        channels, nlat, nlon = self.space.shape
        if self.seasons.shape[1:] != self.space.shape or self.scale.shape != self.space.shape:
            raise ValueError(f"mean and scale must stand on {self.space.shape}, got {self.seasons.shape[1:]} and "
                             f"{self.scale.shape}")
        if not (np.isfinite(self.seasons).all() and np.isfinite(self.scale).all() and (self.scale >= 0).all()):
            raise ValueError("mean and scale must be finite, and no scale negative")
        if self.correlation.modes.shape[2] != channels * nlat or self.correlation.nlon != nlon:
            raise ValueError(f"the correlation must be of {channels * nlat} rows and {nlon} longitudes, got "
                             f"{self.correlation.modes.shape[2]} and {self.correlation.nlon}")

    def astype(self, dtype: type) -> "Climate":
        """The same with covariances in the precision of the real `dtype`; the mean stays as it is."""
        return replace(self, scale=self.scale.astype(dtype), correlation=self.correlation.astype(dtype))

    def mean(self, time: datetime) -> np.ndarray:
        """m(t) float64 (channel, lat, lon), SI units."""
        return np.tensordot(season.basis(times.to_seconds(time), len(self.seasons))[0], self.seasons, axes=1)

    def covariance(self, fields: np.ndarray, function: Function = identity) -> np.ndarray:
        """s f(C) s times each of `fields` (..., channel, lat, lon)."""
        return self.scale * self.correlation.apply(function, self.scale * fields)

    def variance(self) -> np.ndarray:
        """(channel, lat, lon) the diagonal of s C s."""
        return self.scale.astype(np.float64) ** 2 * self.correlation.diagonal().reshape(*self.space.shape[:2], 1)

    def draw(self, noise: np.ndarray) -> np.ndarray:
        """A draw from N(0, s C s) for each white `noise` (..., channel, lat, lon)."""
        return self.scale * self.correlation.apply(np.sqrt, noise)
