"""Pressure at a given height near the model's ground: what the analysis compares a station with, and what a made
observation of a known truth is.  Two programs would disagree over terrain if each had a formula of its own.

In an atmosphere whose temperature falls by Γ = 6.5 K/km, hydrostatics gives exactly

    p(z) = p₀ [1 − Γ (z − z₀) / T₀]^(g / R Γ)                                         (U.S. Standard Atmosphere, 1976)

with T the virtual temperature.  The reference (p₀, T₀, z₀) is, at each of the four surrounding columns,

    the model's own ground, where it carries surface pressure:  p₀ = p_s, z₀ = orography and T₀ taken from the
    lowest level above ground, p_l, down the same lapse rate:    T₀ = T_l (p₀ / p_l)^(R Γ / g)
    otherwise that level itself:                                 p₀ = p_l, z₀ = Φ_l / g, T₀ = T_l

Each column's pressure is brought to the height asked for before the four are averaged: pressure is far from
linear over steep terrain, where averaging first would be wrong by ten hPa and more.  The level is chosen once from the
orography with the standard atmosphere, the same for all members, so that the operator is smooth in the state.
"""

from dataclasses import dataclass

import numpy as np

from contracts.constants import GAS_CONSTANT_DRY, GRAVITY, LAPSE_RATE, VIRTUAL_FACTOR
from contracts.grid import Stencil
from contracts.state import StateSpace
from obsoperator.part import Formula

EXPONENT = GRAVITY / (GAS_CONSTANT_DRY * LAPSE_RATE)
STANDARD_PRESSURE, STANDARD_TEMPERATURE = 101_325.0, 288.15  # Pa, K at sea level (USSA 1976)


def is_possible(space: StateSpace) -> bool:
    """Whether the state holds what the operator needs."""
    return "temperature" in space and ("surface_pressure" in space or "geopotential" in space)


def at_height(space: StateSpace, stencil: Stencil, orography: np.ndarray,
              height: np.ndarray) -> tuple[np.ndarray, Formula]:
    """Entries of and formula to the pressure at `height` (n,) m; `orography` (column,) m; KeyError where the state
    cannot give it."""
    column = stencil.column.T  # (4, n)
    levels = space.levels("temperature")
    chosen = _lowest_above_ground(levels, stencil.scalar(orography))  # (n,)
    own = "surface_pressure" in space
    channels = [space.index("surface_pressure")[[0]] if own else space.index("geopotential")[chosen],
                *(space.index(name)[chosen] for name in ("temperature", "specific_humidity") if name in space)]
    entry = np.concatenate([channel * space.grid.size + column for channel in channels])
    weight, pressure = stencil.weight.T, levels[chosen]
    return entry, (FromGround(weight, height - orography[column], pressure) if own else
                   FromLevel(weight, height, pressure))


@dataclass(frozen=True)
class FromGround(Formula):
    """From pressure at the ground, then temperature and, where the state has it, humidity at a level, each of four
    columns.  `weight` of the columns (4, n), `rise` of the height asked for above their ground (4, n) m, `level` (n,)
    Pa."""

    weight: np.ndarray
    rise: np.ndarray
    level: np.ndarray

    def __call__(self, x):
        def at(corner):
            p = x[corner]
            temperature = _virtual_temperature(x[4:], corner) * (p / self.level) ** (1.0 / EXPONENT)
            return self.weight[corner] * _risen(p, temperature, self.rise[corner])

        return at(0) + at(1) + at(2) + at(3)


@dataclass(frozen=True)
class FromLevel(Formula):
    """From geopotential, temperature and, where the state has it, humidity at a level, each of four columns.  `weight`
    of the columns (4, n), `height` asked for (n,) m, `level` (n,) Pa."""

    weight: np.ndarray
    height: np.ndarray
    level: np.ndarray

    def __call__(self, x):
        def at(corner):
            rise = self.height - x[corner] / GRAVITY
            return self.weight[corner] * _risen(self.level, _virtual_temperature(x[4:], corner), rise)

        return at(0) + at(1) + at(2) + at(3)


def _risen(pressure, temperature, rise):
    """Pressure (Pa) `rise` metres above where `pressure` (Pa) and virtual `temperature` (K) are known."""
    return pressure * (1.0 - LAPSE_RATE * rise / temperature) ** EXPONENT


def _virtual_temperature(x, corner):
    """Of one of four columns, from four temperatures and, where there are more, four humidities."""
    return x[corner] * (1.0 + VIRTUAL_FACTOR * x[4 + corner]) if len(x) > 4 else x[corner]


def _lowest_above_ground(levels: np.ndarray, height: np.ndarray) -> np.ndarray:
    """Number of the lowest of `levels` (Pa, ascending) that lies above `height` (m) in the standard atmosphere."""
    ground = _risen(STANDARD_PRESSURE, STANDARD_TEMPERATURE, height)
    return np.maximum(np.searchsorted(levels, ground, side="left") - 1, 0)
