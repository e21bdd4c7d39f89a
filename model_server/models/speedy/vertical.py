"""Between the sigma levels of a model column and pressure levels.

Downwards the columns are treated as one hydrostatic atmosphere, x = ln p:

- between two sigma levels a (above) and b (below), temperature, humidity and wind are linear in x; then
  dΦ/dx = -R Tv makes the geopotential a parabola, with h = x_b - x_a and w = (x - x_a)/h,

      Φ = (1 - w) Φ_a + w Φ_b + ½ R (Tv_b - Tv_a) h w (1 - w),

  which meets the model's own geopotential at every level;
- below the lowest level N the temperature rises by Γ = 6.5 K/km, wind and humidity stay constant:

      T = T_N (p/p_N)^κ,  κ = R Γ (1 + ε q)/g,   Φ = Φ_N - (g/Γ) (T - T_N);

- above the highest level everything but the geopotential stays constant.

Increments go the other way, linear in ln p between the pressure levels and constant beyond them.
Tv = T (1 + ε q).  Trenberth, Berry & Buja (1993), NCAR/TN-396, discuss the extrapolation below ground.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from contracts.constants import GAS_CONSTANT_DRY, GRAVITY, LAPSE_RATE, VIRTUAL_FACTOR


@dataclass(frozen=True)
class SigmaColumns:
    """Model columns: each field (sigma, column) on the levels `sigma` (sigma,) ascending; SI units."""

    sigma: np.ndarray
    surface_pressure: np.ndarray  # (column,) Pa
    temperature: np.ndarray
    specific_humidity: np.ndarray
    u_component_of_wind: np.ndarray
    v_component_of_wind: np.ndarray
    geopotential: np.ndarray


def to_pressure(columns: SigmaColumns, pressure: np.ndarray) -> dict[str, np.ndarray]:
    """The five level variables on `pressure` (level,) Pa: name -> (level, column)."""
    # ln p = ln σ + ln ps, so the place of a pressure level among the sigma levels is that of ln(p/ps).
    place = np.log(pressure)[:, None] - np.log(columns.surface_pressure)  # (level, column)
    above, below, w, depth = _bracket(np.log(columns.sigma), place)
    pick = _picker(above, below)

    fields = {}
    for name in ("u_component_of_wind", "v_component_of_wind", "specific_humidity", "temperature"):
        top, bottom = pick(getattr(columns, name))
        fields[name] = (1 - w) * top + w * bottom

    virtual = columns.temperature * (1 + VIRTUAL_FACTOR * columns.specific_humidity)
    (tv_top, tv_bottom), (phi_top, phi_bottom) = pick(virtual), pick(columns.geopotential)
    bend = 0.5 * GAS_CONSTANT_DRY * (tv_bottom - tv_top) * depth * w * (1 - w)
    phi = (1 - w) * phi_top + w * phi_bottom + bend

    beyond = place - np.clip(place, np.log(columns.sigma[0]), np.log(columns.sigma[-1]))  # ln p outside the levels
    warm, sunk = _below_lowest(columns, beyond)
    ground = beyond > 0
    fields["temperature"] = np.where(ground, warm, fields["temperature"])
    over_top = phi - GAS_CONSTANT_DRY * virtual[0] * beyond  # isothermal; `beyond` is negative up there
    fields["geopotential"] = np.where(ground, sunk, np.where(beyond < 0, over_top, phi))
    return fields


def increments_to_sigma(
    increments: np.ndarray, pressure: np.ndarray, sigma: np.ndarray, surface_pressure: np.ndarray
) -> np.ndarray:
    """Increments (level, column) on `pressure` (level,) Pa ascending -> (sigma, column)."""
    place = np.log(sigma)[:, None] + np.log(surface_pressure)  # (sigma, column): ln p of each model level
    above, below, w, _ = _bracket(np.log(pressure), place)
    top, bottom = _picker(above, below)(increments)
    return (1 - w) * top + w * bottom


def _below_lowest(columns: SigmaColumns, depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Temperature and geopotential `depth` (level, column) = ln(p/p_N) below the lowest level."""
    moist = 1 + VIRTUAL_FACTOR * columns.specific_humidity[-1]
    kappa = GAS_CONSTANT_DRY * LAPSE_RATE * moist / GRAVITY
    temperature = columns.temperature[-1] * np.exp(kappa * np.maximum(depth, 0.0))
    geopotential = columns.geopotential[-1] - GRAVITY / LAPSE_RATE * (temperature - columns.temperature[-1])
    return temperature, geopotential


def _bracket(levels: np.ndarray, place: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Levels above and below each `place`, the weight of the one below in [0, 1], and their distance."""
    above = np.clip(np.searchsorted(levels, place, side="right") - 1, 0, levels.size - 2)
    depth = levels[above + 1] - levels[above]
    return above, above + 1, np.clip((place - levels[above]) / depth, 0.0, 1.0), depth


def _picker(above: np.ndarray, below: np.ndarray) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """field (n, column) -> its values at `above` and at `below`, each of their shape."""
    column = np.arange(above.shape[1])
    return lambda field: (field[above, column], field[below, column])
