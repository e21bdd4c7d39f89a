"""The Gaussian climate of many states: mean, scale and correlation, and how large what its modes leave out really is.

    m     mean and harmonics of the year of each channel and place
    s²    half the local variance about it, half its mean on the circle of latitude; at least (0.15 sd of the channel)²
    C_k   of ẑ_k over all states and the neighbouring wavenumbers k - w … k + w, each brought to the power of k: years
          of states are few samples of the longest waves
    λ, E  its leading eigenvalues and eigenvectors
    r_k   0.75 x the power of the second half of the states outside the modes of the first half, by direction: outside
          the modes of the same states there is too little by far.  0.75, because all states give better modes than half
"""

import logging
from dataclasses import dataclass

import numpy as np
from scipy import linalg

from contracts import progress
from contracts.state import StateSpace
from networks import season
from networks.climate.gaussian import Climate, Correlation

log = logging.getLogger("networks.climate")
LOCAL_SHARE = 0.5  # of the variance; the rest is that of the whole circle of latitude
FLOOR = 0.15  # of the channel's standard deviation
REST_OF_HALF = 0.75  # of what the modes of half the states leave out


def fit(space: StateSpace, states: np.ndarray, seconds: np.ndarray, modes: int,
        harmonics: int = 1) -> tuple[Climate, np.ndarray]:
    """The climate of `states` float32 (time, channel, lat, lon) at times `seconds` (time,), with at most `modes` modes
    of each wavenumber, and the local variance (channel, lat, lon) about its mean.

    The states become z, in place: there may be room for them once only.
    """
    seasons = _seasons(states, seconds, 2 * harmonics + 1)
    variance = np.zeros(space.shape)
    basis = season.basis(seconds, len(seasons))
    for part in _pieces(len(states)):
        states[part] -= np.tensordot(basis[part], seasons, axes=1)
        variance += np.square(states[part], dtype=np.float64).sum(axis=0) / len(states)
    scale = _scale(space, variance)
    np.divide(states, scale, out=states, where=scale > 0, casting="same_kind")
    found = correlation(states, modes)
    return Climate(space, seasons.astype(np.float32), scale.astype(np.float32), found, seconds), variance


def _seasons(states: np.ndarray, seconds: np.ndarray, size: int) -> np.ndarray:
    """(size, channel, lat, lon) by least squares, about the first state, so that geopotential keeps its digits."""
    solver = np.linalg.pinv(season.basis(seconds, size))  # (size, time)
    shift = states[0].astype(np.float64)
    found = np.zeros((size, *shift.shape))
    found[0] = shift
    for part in _pieces(len(states)):
        found += np.tensordot(solver[:, part], states[part] - shift, axes=1)
    return found


def _pieces(count: int) -> list[slice]:
    """Of `count` states, a few at a time: the precision of sums takes room."""
    return [slice(first, first + 64) for first in range(0, count, 64)]


def _scale(space: StateSpace, variance: np.ndarray) -> np.ndarray:
    """s (channel, lat, lon) from the local variance."""
    share = LOCAL_SHARE * variance + (1 - LOCAL_SHARE) * variance.mean(axis=2, keepdims=True)
    weights = space.grid.area_weights / space.grid.size
    of_channel = np.einsum("cyx,yx->c", variance, weights)[:, None, None]
    return np.sqrt(np.maximum(share, FLOOR**2 * of_channel))


@dataclass(frozen=True)
class _Wave:
    """Covariances (row, row) of one wavenumber over the first and the second half of the states, sums over states."""

    first: np.ndarray
    second: np.ndarray

    @property
    def whole(self) -> np.ndarray:
        return self.first + self.second


def correlation(z: np.ndarray, modes: int) -> Correlation:
    """C of the fields `z` float32 (time, channel, lat, lon), at most `modes` modes of each wavenumber."""
    count, channels, nlat, nlon = z.shape
    rows = channels * nlat
    modes = min(modes, rows - 1)
    spectra = _spectra(z.reshape(count, rows, nlon))
    waves: dict[int, _Wave] = {}
    found = []
    for k in progress.reported(range(len(spectra)), "wavenumbers", log):
        near = neighbours(k, nlon)
        waves = {j: waves[j] if j in waves else _wave(spectra[j]) for j in sorted({k, *near})}
        found.append(_modes(waves[k], [waves[j] for j in near], modes, count))
    E, variance, rest = (np.stack(part) for part in zip(*found, strict=True))
    return Correlation(nlon, E, variance, rest)


def neighbours(k: int, nlon: int) -> range:
    """Wavenumbers whose states stand in for those of `k`: none but itself where the coefficients are real."""
    if 2 * k % nlon == 0:
        return range(k, k + 1)
    width = 1 if k < 6 else 2
    return range(max(1, k - width), min((nlon - 1) // 2, k + width) + 1)


def _spectra(z: np.ndarray) -> np.ndarray:
    """(wavenumber, time, row) complex64 of `z` (time, row, lon), a few states at a time."""
    count, rows, nlon = z.shape
    spectra = np.empty((nlon // 2 + 1, count, rows), np.complex64)
    for part in _pieces(count):
        spectra[:, part] = np.fft.rfft(z[part], norm="ortho").transpose(2, 0, 1)
    return spectra


def _wave(spectrum: np.ndarray) -> _Wave:
    half = len(spectrum) // 2
    return _Wave(*(part.T @ part.conj() for part in (spectrum[:half], spectrum[half:])))


def _modes(own: _Wave, near: list[_Wave], modes: int, count: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Modes (mode, row), variances (mode,) and the rest () of one wavenumber."""
    rows = len(own.first)
    _, half = _leading(_pooled(own.first, [wave.first for wave in near]), modes)
    outside = _trace(own.second) - np.einsum("mi,ij,mj->", half.conj(), own.second, half, optimize=True).real
    rest = REST_OF_HALF * max(outside, 0.0) / (rows - modes) / (count - count // 2)
    variance, E = _leading(_pooled(own.whole, [wave.whole for wave in near]), modes)
    return E, np.maximum(variance / count, rest), rest


def _pooled(own: np.ndarray, near: list[np.ndarray]) -> np.ndarray:
    """The mean of covariances, each brought to the trace of `own`."""
    shares = [_trace(own) / max(_trace(one), np.finfo(float).tiny) / len(near) for one in near]
    return np.add.reduce([np.float32(share) * one for share, one in zip(shares, near, strict=True)])


def _trace(matrix: np.ndarray) -> float:
    return float(np.trace(matrix, dtype=np.complex128).real)


def _leading(matrix: np.ndarray, modes: int) -> tuple[np.ndarray, np.ndarray]:
    """Largest eigenvalues (mode,) float64 and their eigenvectors (mode, row)."""
    rows = len(matrix)
    values, vectors = linalg.eigh(matrix, subset_by_index=[rows - modes, rows - 1], driver="evr", check_finite=False)
    return values[::-1].astype(np.float64), np.ascontiguousarray(vectors[:, ::-1].T)
