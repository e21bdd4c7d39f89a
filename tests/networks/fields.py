"""Single spherical harmonics by SciPy."""

import numpy as np
from scipy.special import sph_harm_y

from contracts.grid import Grid


def harmonic(grid: Grid, n: int, m: int, phase: float = 0.3) -> np.ndarray:
    """A real harmonic (lat, lon) of degree n and order m, by SciPy."""
    lat, lon = np.meshgrid(np.deg2rad(grid.lat), np.deg2rad(grid.lon), indexing="ij")
    return (sph_harm_y(n, m, np.pi / 2 - lat, lon) * np.exp(1j * phase)).real
