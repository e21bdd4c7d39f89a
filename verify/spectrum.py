"""Energy by scale: spectra over the total wavenumber n of spherical harmonics, the monitor of small-scale noise.

With harmonics normalised to mean square 1 over the sphere, f = Σ a_nm P_n^m(sin φ) e^{imλ} has

    variance by degree     E_n = Σ_m |a_nm|²,                  Σ_n E_n = mean of f²     (Parseval)

and a wind, written by the divergent and the rotational part of its potentials (vector harmonics of degree n ≥ 1),

    (u, v) = Σ [ a_nm ∇Y_nm + b_nm k × ∇Y_nm ] / √(n (n + 1)),     ∇ on the unit sphere,
    kinetic energy         E_n = ½ Σ_m (|a_nm|² + |b_nm|²),    Σ_n E_n = mean of ½(u² + v²)

as in Lambert (1984, Mon. Wea. Rev. 112, 2471).  Coefficients are those of a fit (`contracts.harmonics`).
"""

from functools import lru_cache

import numpy as np

from contracts.grid import Grid
from contracts.harmonics import fit, legendre, truncation

MOST_ROWS = 192  # of a grid; fits of finer ones take minutes


def variance(grid: Grid, fields: np.ndarray) -> np.ndarray:
    """E_n (…, n) of scalar `fields` (…, lat, lon), n = 0 … truncation, in the square of their units."""
    fits, _ = _fits(grid)
    waves = _zonal(grid, fields)  # (m, lat, …)
    return _by_degree(fits, waves, np.arange(len(fits)))


def kinetic_energy(grid: Grid, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """E_n (…, n) of winds (…, lat, lon) in m s-1, n = 0 … truncation, in m2 s-2; nothing stands at n = 0."""
    _, fits = _fits(grid)
    # With i v for v, and i a for a, the equations are real.
    waves = np.concatenate([_zonal(grid, u), 1j * _zonal(grid, v)], axis=1)  # (m, 2 lat, …)
    return 0.5 * _by_degree(fits, waves, np.maximum(np.arange(len(fits)), 1))


def _zonal(grid: Grid, fields: np.ndarray) -> np.ndarray:
    """Complex amplitudes (m, lat, …) of e^{imλ} of `fields` (…, lat, lon)."""
    waves = np.fft.rfft(np.asarray(fields, np.float64), axis=-1)[..., : truncation(grid) + 1] / grid.lon.size
    return np.moveaxis(waves, (-1, -2), (0, 1))


def _by_degree(fits: tuple[np.ndarray, ...], waves: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Squares of the coefficients (…, n), of both signs of m; `first` (m,) is the lowest degree that m has."""
    energy = np.zeros((len(fits), *waves.shape[2:]))
    for m, (matrix, wave) in enumerate(zip(fits, waves, strict=True)):
        squares = np.abs(np.tensordot(matrix, wave, axes=1)) ** 2
        parts = squares.reshape(-1, len(fits) - first[m], *squares.shape[1:])  # one part of a scalar, two of a wind
        energy[first[m] :] += (1 if m == 0 else 2) * parts.sum(axis=0)
    return np.moveaxis(energy, 0, -1)


@lru_cache(maxsize=2)
def _fits(grid: Grid) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """For each m the matrices from rows to coefficients: (n, lat) of scalars and (2 n, 2 lat) of winds."""
    if grid.lat.size > MOST_ROWS:
        raise ValueError(f"spectra are fitted on grids of at most {MOST_ROWS} rows, got the {grid}")
    most, root = truncation(grid), np.sqrt(grid.area_weights[:, 0])
    on_pole = np.abs(grid.lat) == 90.0  # where a wind has no direction
    scalars, winds = [], []
    for m in range(most + 1):
        P, slope, steepness = legendre(grid.lat, m, most)
        scalars.append(fit(P, root))
        rising = 0 if m else 1  # degree 0 has no wind
        D, Q = slope[:, rising:], steepness[:, rising:]
        winds.append(fit(np.block([[Q, -D], [D, -Q]]), np.tile(np.where(on_pole, 0.0, root), 2)))
    return tuple(scalars), tuple(winds)
