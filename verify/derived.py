"""Fields that a weather chart shows and no state holds."""

import numpy as np

from contracts.constants import GAS_CONSTANT_DRY, GRAVITY, LAPSE_RATE


def sea_level_pressure(geopotential: np.ndarray, temperature: np.ndarray, pressure: float) -> np.ndarray:
    """Pa at mean sea level, of geopotential (m2 s-2) and temperature (K) at a `pressure` (Pa) low in the atmosphere.

    As in the U.S. Standard Atmosphere (1976) the temperature falls by 6.5 K a kilometre from the sea to that level:

        p0 = p (1 + Γ h / T)^(g / (R Γ)),  h = geopotential / g
    """
    height = geopotential / GRAVITY
    return pressure * (1.0 + LAPSE_RATE * height / temperature) ** (GRAVITY / (GAS_CONSTANT_DRY * LAPSE_RATE))
