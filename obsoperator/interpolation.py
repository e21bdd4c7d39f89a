"""Interpolation as a sparse linear map: H x of every quantity that is linear in the state.

Bilinear in latitude and longitude, linear in ln p between two levels, inclusive at the highest and the lowest
one; eight (on levels) or four (at the surface) weights per observation.

    (H x)_i = Σ_e weight_ei x[entry_ei]        summed in the order of e
"""

from dataclasses import dataclass

import numpy as np

from contracts.grid import Stencil
from contracts.state import StateSpace
from contracts.variables import VARIABLES, WIND_COMPONENTS, Flag
from obsoperator.part import Formula


@dataclass(frozen=True)
class Weighted(Formula):
    """Σ weight_e x_e with `weight` (m, n)."""

    weight: np.ndarray

    def __call__(self, x):
        total = x[0] * self.weight[0]
        for e in range(1, len(self.weight)):
            total = total + x[e] * self.weight[e]
        return total


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
                    np.where(pressure > levels[-1], Flag.below_ground, Flag.passed))
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


def on_levels(space: StateSpace, variable: str, stencil: Stencil, between: Bracket,
              factor: float = 1.0) -> tuple[np.ndarray, Weighted]:
    """Entries of and formula to a variable on levels, times `factor`."""
    return _map(space, variable, stencil, space.index(variable)[between.level], factor * between.weight)


def at_surface(space: StateSpace, variable: str, stencil: Stencil) -> tuple[np.ndarray, Weighted]:
    """Entries of and formula to a surface variable."""
    if VARIABLES[variable].on_levels:
        raise ValueError(f"{variable} stands on levels")
    points = stencil.column.shape[0]
    channel = np.repeat(space.index(variable)[None], points, axis=0)
    return _map(space, variable, stencil, channel, np.ones((points, 1)))


def _map(space: StateSpace, variable: str, stencil: Stencil, channel: np.ndarray,
         weight: np.ndarray) -> tuple[np.ndarray, Weighted]:
    """Entries from `channel` (n, levels) with vertical `weight` (n, levels) and the four horizontal neighbours."""
    horizontal, points = stencil.weight, channel.shape[0]
    if variable in WIND_COMPONENTS:  # a vector's components change sign across a pole
        horizontal = np.where(stencil.turned, -horizontal, horizontal)
    entry = channel.T[:, None, :] * space.grid.size + stencil.column.T  # (levels, 4, n)
    values = weight.T[:, None, :] * horizontal.T
    return entry.reshape(-1, points), Weighted(values.reshape(-1, points))
