r"""The climate as stations know it: what a network that learns from observations alone is told of the mean.

    x_c(t, lat) = Σ_j Σ_l b_j(t) P_l(sin lat) c_jl          b of `networks.season`, P Legendre polynomials, each channel
    minimise  Σ (y - A x)² + small c²                       over the observations of many times, in their errors

Its scale is what the observations deviate from it, beside their own errors:  s² = Σ a (d² - 1) / Σ a³ over those that
see most of the channel, a the sum of absolute values of their row there.  Nothing here has seen a field.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import legendre
from scipy.sparse import csr_array

from contracts.grid import Grid
from networks import season
from networks.o2f.stations import Known

DEGREES = 7  # of Legendre polynomials
RIDGE = 1e-6  # of the diagonal
LEAST = 0.01  # of a variance beside that of errors, in units of that


@dataclass(frozen=True)
class ObservedClimate:
    """`coefficients` (season, degree, channel) in SI units, on the rows of `grid`."""

    grid: Grid
    coefficients: np.ndarray

    @property
    def rows(self) -> np.ndarray:
        """(season, channel, lat): the functions of the date, row by row."""
        return np.einsum("jlc,yl->jcy", self.coefficients, polynomials(self.grid.lat))

    def at(self, seconds: np.ndarray) -> np.ndarray:
        """(time, channel, lat, lon)"""
        rows = np.tensordot(season.basis(seconds, len(self.coefficients)), self.rows, axes=1)
        return np.broadcast_to(rows[..., None], (*rows.shape, self.grid.shape[1]))


def polynomials(lat: np.ndarray) -> np.ndarray:
    """(lat, degree)"""
    return legendre.legvander(np.sin(np.deg2rad(lat)), DEGREES - 1)


def fit(grid: Grid, channels: int, rows: csr_array, observations: Iterable[tuple[int, np.ndarray]],
        seasons: int) -> ObservedClimate:
    """From `observations`, a time in seconds since 1970 and the values (n,) in errors, of what `rows` (n, channel *
    column) sees."""
    size = DEGREES * channels
    on_grid = np.repeat(polynomials(grid.lat), grid.shape[1], axis=0)  # (column, degree)
    seen = np.einsum("ncl->nlc", (rows @ np.kron(np.eye(channels), on_grid)).reshape(-1, channels, DEGREES))
    seen = seen.reshape(-1, size)
    gram, square = seen.T @ seen, np.zeros((seasons, seasons))
    right = np.zeros((seasons, size))
    for seconds, values in observations:
        (basis,) = season.basis(seconds, seasons)
        square += np.outer(basis, basis)
        right += np.outer(basis, seen.T @ values)
    system = np.kron(square, gram)
    system[np.diag_indices_from(system)] *= 1 + RIDGE
    return ObservedClimate(grid, np.linalg.solve(system, right.ravel()).reshape(seasons, DEGREES, channels))


def scale(of: Known, variance: np.ndarray) -> np.ndarray:
    """s (channel,) from the `variance` (n,) of departures from the climate, in errors."""
    channel, count = of.channel, len(of.channels)
    reach = of.reach[np.arange(len(channel)), channel]
    told, wanted = (np.bincount(channel, weights, count)
                    for weights in (reach * np.maximum(variance - 1, LEAST), reach**3))
    return np.sqrt(told / wanted)
