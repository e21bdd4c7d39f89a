"""Interpolation as a sparse matrix: H x of every quantity that is linear in the state.

Bilinear in latitude and longitude, linear in ln p between two levels, inclusive at the highest and the lowest
one; one row of eight (on levels) or four (at the surface) weights per observation.  A matrix is a differentiable map
with its adjoint at hand, and its row sums are taken in the same order on every rank.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from contracts.grid import Stencil
from contracts.state import StateSpace
from contracts.variables import VARIABLES, WIND_COMPONENTS, Flag


@dataclass(frozen=True)
class Bracket:
    """Two neighbouring levels of each point: `level` (n, 2) numbers, `weight` (n, 2), `flag` (n,)."""

    level: np.ndarray
    weight: np.ndarray
    flag: np.ndarray


def bracket(levels: np.ndarray, pressure: np.ndarray) -> Bracket:
    """Neighbours of `pressure` (n,) among `levels` (ascending, both Pa); beyond them the weights are clipped and
    the flag says `out_of_domain` (above the top) or `below_ground` (below the lowest level)."""
    flag = np.where(pressure < levels[0], Flag.out_of_domain,
                    np.where(pressure > levels[-1], Flag.below_ground, Flag.passed))  # fmt: skip
    flag = np.where(np.isfinite(pressure) & (pressure > 0), flag, Flag.missing_position)
    inside = np.log(np.where(flag == Flag.passed, pressure, levels[0]))
    if levels.size == 1:
        both = np.zeros((pressure.size, 2), dtype=np.intp)
        return Bracket(both, np.tile([1.0, 0.0], (pressure.size, 1)), flag.astype(np.int8))
    ln_levels = np.log(levels)
    upper = np.clip(np.searchsorted(ln_levels, inside, side="right") - 1, 0, levels.size - 2)
    lower_weight = (inside - ln_levels[upper]) / (ln_levels[upper + 1] - ln_levels[upper])
    level = np.stack([upper, upper + 1], axis=1)
    return Bracket(level, np.stack([1.0 - lower_weight, lower_weight], axis=1), flag.astype(np.int8))


def on_levels(space: StateSpace, variable: str, stencil: Stencil, between: Bracket) -> csr_array:
    """(n, channel * column) matrix that interpolates a variable on levels."""
    return _matrix(space, variable, stencil, space.index(variable)[between.level], between.weight)


def at_surface(space: StateSpace, variable: str, stencil: Stencil) -> csr_array:
    """(n, channel * column) matrix that interpolates a surface variable."""
    if VARIABLES[variable].on_levels:
        raise ValueError(f"{variable} stands on levels")
    points = stencil.column.shape[0]
    channel = np.repeat(space.index(variable)[None], points, axis=0)
    return _matrix(space, variable, stencil, channel, np.ones((points, 1)))


def _matrix(space: StateSpace, variable: str, stencil: Stencil, channel: np.ndarray, weight: np.ndarray) -> csr_array:
    """Rows from `channel` (n, m) with vertical `weight` (n, m) and the four horizontal neighbours."""
    horizontal = stencil.weight
    if variable in WIND_COMPONENTS:  # a vector's components change sign across a pole
        horizontal = np.where(stencil.turned, -horizontal, horizontal)
    column = channel[:, :, None] * space.grid.size + stencil.column[:, None, :]  # (n, m, 4)
    values = weight[:, :, None] * horizontal[:, None, :]
    points, entries = column.shape[0], column.shape[1] * column.shape[2]
    pointer = np.arange(points + 1) * entries
    return csr_array((values.reshape(-1), column.reshape(-1), pointer),
                     shape=(points, len(space.channels) * space.grid.size))  # fmt: skip
