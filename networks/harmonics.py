"""A filter on the sphere, by spherical harmonics, for fields on an equiangular grid.

    f = Σ_nm a_nm Y_nm   ->   Σ_nm σ_n a_nm Y_nm,   n <= N,      σ_n = exp(-α (n/N)^p)

Harmonics up to N pass with σ_n (the exponential filter of spectral methods: Gottlieb & Hesthaven 2001, J. Comput. Appl.
Math. 128, 83), what lies beyond is taken out.  The coefficients are those of a fit (`contracts.harmonics`):

    f_m(φ) = Σ_n a_nm P_nm(sin φ),      F_m = P_m diag(σ) P_m⁺      (lat, lat), once for each grid

The components of a wind turn with the meridian and are no smooth functions at the poles; the same wind in Cartesian
components (x, y, z) is.  These are filtered, and the part along the sphere is kept.
"""

from dataclasses import dataclass

import numpy as np

from contracts import harmonics
from contracts.grid import Grid
from contracts.state import StateSpace

WINDS = tuple((f"{height}u_component_of_wind", f"{height}v_component_of_wind") for height in ("", "10m_", "100m_"))


def response(truncation: int, order: int, strength: float) -> np.ndarray:
    """σ_n for n = 0 … truncation."""
    return np.exp(-strength * (np.arange(truncation + 1) / truncation) ** order)


def diffusion(grid: Grid, truncation: int) -> np.ndarray:
    """exp(-n(n+1) / N(N+1)), what diffusion leaves of each degree n that the grid tells apart, N the `truncation`."""
    n = np.arange(harmonics.truncation(grid) + 1)
    return np.exp(-n * (n + 1) / (truncation * (truncation + 1)))


def operators(grid: Grid, sigma: np.ndarray) -> np.ndarray:
    """F_m (m, lat, lat) for `sigma` (n,) from degree 0 on."""
    return np.stack([_operator(grid, m, sigma) for m in range(len(sigma))])


@dataclass(frozen=True)
class Filter:
    """The filter for states of `space`; `operators` (m, lat, lat) are the F_m."""

    space: StateSpace
    operators: np.ndarray

    @classmethod
    def of(cls, space: StateSpace, sigma: np.ndarray) -> "Filter":
        """With `sigma` (n,) from degree 0 on; raises ValueError where the grid cannot tell its harmonics apart."""
        most = harmonics.truncation(space.grid)
        if len(sigma) - 1 > most:
            raise ValueError(f"a truncation of {len(sigma) - 1} is more than the {space.grid} resolves, {most}")
        return cls(space, operators(space.grid, sigma))

    def state(self, data: np.ndarray) -> np.ndarray:
        """`data` (channel, lat, lon) filtered, float64, winds as vectors."""
        filtered = self.scalars(data)
        for pair in WINDS:
            if all(name in self.space for name in pair):
                u, v = (self.space.index(name) for name in pair)
                filtered[u], filtered[v] = self.winds(data[u], data[v])
        return filtered

    def scalars(self, fields: np.ndarray) -> np.ndarray:
        """`fields` (field, lat, lon) filtered, float64."""
        nlon = self.space.grid.shape[1]
        spectrum = np.fft.rfft(np.asarray(fields, np.float64), axis=-1)[..., : len(self.operators)]
        passed = self.operators @ spectrum.transpose(2, 1, 0)  # (m, lat, field)
        return np.fft.irfft(passed.transpose(2, 1, 0), n=nlon, axis=-1)

    def winds(self, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Eastward and northward components (level, lat, lon) of the filtered vectors."""
        east, north = _directions(self.space.grid)  # (3, lat, lon)
        cartesian = [self.scalars(u * east[i] + v * north[i]) for i in range(3)]
        return (sum(part * east[i] for i, part in enumerate(cartesian)),
                sum(part * north[i] for i, part in enumerate(cartesian)))


def _operator(grid: Grid, m: int, sigma: np.ndarray) -> np.ndarray:
    """F_m (lat, lat)."""
    P, _, _ = harmonics.legendre(grid.lat, m, len(sigma) - 1)
    return (P * sigma[m:]) @ harmonics.fit(P, np.sqrt(grid.area_weights[:, 0]))


def _directions(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors to the east and to the north, (3, lat, lon)."""
    lat, lon = np.meshgrid(np.deg2rad(grid.lat), np.deg2rad(grid.lon), indexing="ij")
    east = np.stack([-np.sin(lon), np.cos(lon), np.zeros_like(lon)])
    north = np.stack([-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)])
    return east, north
