"""Energy by scale: spectra over the total wavenumber n of spherical harmonics, the monitor of small-scale noise.

With harmonics normalised to mean square 1 over the sphere, f = Σ a_nm P_n^m(sin φ) e^{imλ} has

    variance by degree     E_n = Σ_m |a_nm|²,                  Σ_n E_n = mean of f²     (Parseval)

and a wind, written by the divergent and the rotational part of its potentials (vector harmonics of degree n ≥ 1),

    (u, v) = Σ [ a_nm ∇Y_nm + b_nm k × ∇Y_nm ] / √(n (n + 1)),     ∇ on the unit sphere,
    kinetic energy         E_n = ½ Σ_m (|a_nm|² + |b_nm|²),    Σ_n E_n = mean of ½(u² + v²)

as in Lambert (1984, Mon. Wea. Rev. 112, 2471).  The rows of the grid do not stand at Gaussian latitudes, so the
coefficients are those of a least-squares fit in each zonal wavenumber m, weighted by area: exact for fields that hold
nothing beyond the truncation, min(nlat, nlon / 2) − 1.
"""

from functools import lru_cache

import numpy as np
from scipy.linalg import solve_triangular

from contracts.grid import Grid

MOST_ROWS = 192  # of a grid; fits of finer ones take minutes


def truncation(grid: Grid) -> int:
    """The highest degree that the grid tells apart from others."""
    nlat, nlon = grid.shape
    return min(nlat, nlon // 2) - 1


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
    for m, (fit, wave) in enumerate(zip(fits, waves, strict=True)):
        squares = np.abs(np.tensordot(fit, wave, axes=1)) ** 2
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
        P, slope, steepness = _legendre(grid.lat, m, most)
        scalars.append(_fit(P, root))
        rising = 0 if m else 1  # degree 0 has no wind
        D, Q = slope[:, rising:], steepness[:, rising:]
        winds.append(_fit(np.block([[Q, -D], [D, -Q]]), np.tile(np.where(on_pole, 0.0, root), 2)))
    return tuple(scalars), tuple(winds)


def _fit(basis: np.ndarray, root: np.ndarray) -> np.ndarray:
    """The matrix (coefficient, row) of the least-squares fit with weights `root`²."""
    q, r = np.linalg.qr(root[:, None] * basis)
    return solve_triangular(r, q.T * root)


def _legendre(lat: np.ndarray, m: int, most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """P_n^m, and (dP_n^m/dφ) and (m P_n^m / cos φ) over √(n (n + 1)), each (lat, n) for n = m … most.

    By the recurrence that ascends in n, which is stable:  ε_n P_n = sin φ P_{n−1} − ε_{n−1} P_{n−2},
    cos φ dP_n/dφ = (n + 1) ε_n P_{n−1} − n ε_{n+1} P_{n+1},  ε_n = √((n² − m²) / (4n² − 1)).
    """
    sine, cosine = np.sin(np.deg2rad(lat)), np.cos(np.deg2rad(lat))
    n = np.arange(m, most + 2)
    epsilon = np.sqrt((n**2 - m**2) / (4.0 * n**2 - 1.0))
    P = np.zeros((lat.size, n.size))
    P[:, 0] = np.prod([np.sqrt((2 * j + 1) / (2 * j)) for j in range(1, m + 1)]) * cosine**m
    for i in range(1, n.size):
        before = epsilon[i - 1] * P[:, i - 2] if i > 1 else 0.0
        P[:, i] = (sine * P[:, i - 1] - before) / epsilon[i]
    lower = np.concatenate([np.zeros((lat.size, 1)), P[:, :-2]], axis=1)
    slope = ((n[:-1] + 1) * epsilon[:-1] * lower - n[:-1] * epsilon[1:] * P[:, 1:]) / cosine[:, None]
    scale = np.sqrt(np.maximum(n[:-1] * (n[:-1] + 1), 1))
    return P[:, :-1], slope / scale, m * P[:, :-1] / cosine[:, None] / scale
