"""Spherical harmonics on the rows of a grid, of mean square 1 over the sphere.

    f = Σ a_nm P_n^m(sin φ) e^{imλ},     n ≤ N = min(nlat, nlon / 2) − 1, the highest degree that a grid tells apart

The rows of a grid do not stand at Gaussian latitudes, and a quadrature on them is exact for products of degree
n + n' < nlat only.  Coefficients are therefore those of a least-squares fit in each zonal wavenumber m, weighted by
area, which is exact for fields that hold nothing beyond N.
"""

import numpy as np

from contracts.grid import Grid


def truncation(grid: Grid) -> int:
    """The highest degree that the grid tells apart from others."""
    nlat, nlon = grid.shape
    return min(nlat, nlon // 2) - 1


def legendre(lat: np.ndarray, m: int, most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
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


def fit(basis: np.ndarray, root: np.ndarray) -> np.ndarray:
    """The matrix (coefficient, row) of the least-squares fit of `basis` (row, coefficient) with weights `root`²."""
    q, r = np.linalg.qr(root[:, None] * basis)
    return np.linalg.solve(r, q.T * root)
