"""From one latitude-longitude grid to another, and between pressure levels.

*Conservative* (first order; Jones 1999, MWR 127, 2204): a target cell has the mean of what the source cells hold in it.
Cells lie halfway between rows and columns, so their overlap is a product of one in sin φ and one in λ, and so is the
whole map:

    y = R x Cᵀ        R_ij = |row i ∩ row j| / |row i| in sin φ        C_kl = |col k ∩ col l| / |col k| in λ

The mean over the globe is kept, to rounding. *Bilinear* (`contracts.grid`): for grids finer than the source.

Between levels linear in ln p; nothing is said above the highest or below the lowest level.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from contracts.constants import HECTOPASCAL
from contracts.errors import UserError
from contracts.grid import Grid
from contracts.state import StateSpace
from contracts.variables import VARIABLES

Method = Literal["conservative", "bilinear"]


@dataclass(frozen=True)
class Regridding:
    """The map from `source` to `target`; fields are (..., lat, lon)."""

    source: Grid
    target: Grid
    method: Method = "conservative"

    def __call__(self, fields: np.ndarray, is_wind: bool = False) -> np.ndarray:
        """`fields` on the target grid, float64; components of a wind turn where a neighbour lies across a pole."""
        if self.source == self.target:
            return fields.astype(np.float64)
        if self.method == "conservative":
            return np.einsum("ij,...jl,kl->...ik", self.rows, fields, self.columns, optimize=True)
        stencil = self.source.bilinear(self.target.column_lat, self.target.column_lon)
        flat = fields.reshape(*fields.shape[:-2], self.source.size).astype(np.float64)
        found = (stencil.vector if is_wind else stencil.scalar)(flat)
        return found.reshape(*fields.shape[:-2], *self.target.shape)

    @property
    def rows(self) -> np.ndarray:
        """R (nlat, nlat of the source)"""
        return _shares(_row_edges(self.target), _row_edges(self.source))

    @property
    def columns(self) -> np.ndarray:
        """C (nlon, nlon of the source)"""
        return _columns(self.target, self.source)


def _shares(target: np.ndarray, source: np.ndarray) -> np.ndarray:
    """(n, m) which share of each target interval lies in each source interval; ascending edges (n + 1,), (m + 1,)."""
    low, high = np.maximum(target[:-1, None], source[None, :-1]), np.minimum(target[1:, None], source[None, 1:])
    overlap = np.clip(high - low, 0.0, None)
    return overlap / overlap.sum(axis=1, keepdims=True)


def _row_edges(grid: Grid) -> np.ndarray:
    """Edges of the rows' cells, as sin φ."""
    return np.sin(np.deg2rad(np.concatenate([[-90.0], (grid.lat[1:] + grid.lat[:-1]) / 2, [90.0]])))


def _columns(target: Grid, source: Grid) -> np.ndarray:
    """(nlon, nlon of the source): cells may lie across the meridian of Greenwich, so the source is laid out thrice."""
    edges = _column_edges(source)
    thrice = np.concatenate([edges[:-1] - 360.0, edges[:-1], edges + 360.0])
    return _shares(_column_edges(target), thrice).reshape(target.lon.size, 3, source.lon.size).sum(axis=1)


def _column_edges(grid: Grid) -> np.ndarray:
    lon = np.concatenate([[grid.lon[-1] - 360.0], grid.lon, [grid.lon[0] + 360.0]])
    return (lon[1:] + lon[:-1]) / 2


def between(levels: np.ndarray, wanted: np.ndarray, whose: str) -> np.ndarray:
    """(n, m) weights of `levels` (m,) Pa, ascending, for the `wanted` (n,); UserError where they lie outside."""
    outside = (wanted < levels[0] * (1 - 1e-6)) | (wanted > levels[-1] * (1 + 1e-6))
    if outside.any():
        raise UserError(f"{whose}: has {levels[0] / HECTOPASCAL:g} to {levels[-1] / HECTOPASCAL:g} hPa, expected "
                        f"levels around {wanted[outside][0] / HECTOPASCAL:g} hPa too; check [state] levels_hpa")
    if levels.size == 1:
        return np.ones((wanted.size, 1))
    height, at = np.log(levels), np.log(np.clip(wanted, levels[0], levels[-1]))
    upper = np.clip(np.searchsorted(height, at, side="right") - 1, 0, levels.size - 2)
    weight = (at - height[upper]) / (height[upper + 1] - height[upper])
    weight = np.where(np.isclose(weight, np.rint(weight), atol=1e-9), np.rint(weight), weight)
    rows, found = np.arange(wanted.size), np.zeros((wanted.size, levels.size))
    found[rows, upper], found[rows, upper + 1] = 1.0 - weight, weight
    return found


def onto(space: StateSpace, grid: Grid, levels: Callable[[str], np.ndarray],
         read: Callable[[str, np.ndarray], np.ndarray], method: Method, whose: str) -> np.ndarray:
    """float32 (channel, lat, lon) in `space`: of each variable what `read` gives at those of its `levels` (Pa,
    ascending) that the space's lie between, (level, lat, lon) on `grid`."""
    regridding, found = Regridding(grid, space.grid, method), np.empty(space.shape, np.float32)
    for variable in space.variables:
        weights = np.ones((1, 1))
        there = np.empty(0)
        if VARIABLES[variable].on_levels:
            there = levels(variable)
            weights = between(there, space.levels(variable), f"{whose}: {variable}")
            needed = np.flatnonzero(weights.any(axis=0))
            there, weights = there[needed], weights[:, needed]
        fields = np.einsum("nm,m...->n...", weights, read(variable, there).astype(np.float64))
        channel = space.channels[space.index(variable)[0]]
        found[space.index(variable)] = regridding(fields, channel.is_wind)
    return found
