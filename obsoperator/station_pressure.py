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

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from contracts.constants import GAS_CONSTANT_DRY, GRAVITY, LAPSE_RATE, VIRTUAL_FACTOR
from contracts.grid import Stencil
from contracts.state import StateSpace

EXPONENT = GRAVITY / (GAS_CONSTANT_DRY * LAPSE_RATE)
STANDARD_PRESSURE, STANDARD_TEMPERATURE = 101_325.0, 288.15  # Pa, K at sea level (USSA 1976)


def at_height(pressure: np.ndarray | float, temperature: np.ndarray | float, rise: np.ndarray) -> np.ndarray:
    """Pressure (Pa) `rise` metres above where `pressure` (Pa) and virtual `temperature` (K) are known."""
    return pressure * (1.0 - LAPSE_RATE * rise / temperature) ** EXPONENT


def is_possible(space: StateSpace) -> bool:
    """Whether the state holds what the operator needs."""
    return "temperature" in space and ("surface_pressure" in space or "geopotential" in space)


@dataclass(frozen=True)
class PressureAtHeight:
    """The operator for n points: `stencil`, `height` (n,) m; `orography` (column,) m."""

    space: StateSpace
    stencil: Stencil
    orography: np.ndarray
    height: np.ndarray

    def evaluator(self) -> Callable[[np.ndarray], np.ndarray]:
        """The map x (channel, column) of any precision -> pressure (n,) Pa; KeyError where the state cannot give it."""
        column, space = self.stencil.column, self.space
        levels = space.levels("temperature")
        chosen = _lowest_above_ground(levels, self.stencil.scalar(self.orography))[:, None]  # (n, 1)
        level_pressure = levels[chosen]
        ground = self.orography[column]  # (n, 4)
        own_pressure = space.index("surface_pressure")[0] if "surface_pressure" in space else None

        def reference(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            """(n, 4) pressure, virtual temperature and height."""
            aloft = self._virtual_temperature(x, chosen)
            if own_pressure is None:
                z = x[space.index("geopotential")[chosen], column].astype(np.float64) / GRAVITY
                return np.broadcast_to(level_pressure, z.shape), aloft, z
            p = x[own_pressure, column].astype(np.float64)
            return p, aloft * (p / level_pressure) ** (1.0 / EXPONENT), ground

        def evaluate(x: np.ndarray) -> np.ndarray:
            p, temperature, z = reference(x)
            return (self.stencil.weight * at_height(p, temperature, self.height[:, None] - z)).sum(axis=1)

        return evaluate

    def _virtual_temperature(self, x: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        temperature = x[self.space.index("temperature")[chosen], self.stencil.column].astype(np.float64)
        if "specific_humidity" not in self.space:
            return temperature
        humidity = x[self.space.index("specific_humidity")[chosen], self.stencil.column].astype(np.float64)
        return temperature * (1.0 + VIRTUAL_FACTOR * humidity)


def _lowest_above_ground(levels: np.ndarray, height: np.ndarray) -> np.ndarray:
    """Number of the lowest of `levels` (Pa, ascending) that lies above `height` (m) in the standard atmosphere."""
    ground = at_height(STANDARD_PRESSURE, STANDARD_TEMPERATURE, height)
    return np.maximum(np.searchsorted(levels, ground, side="left") - 1, 0)
