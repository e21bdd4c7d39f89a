"""Relative humidity as ERA5 has it, and WeatherBench with it, in per cent.

    RH    = 100 e / e_sat(T),    e = p q / (ε + (1 − ε) q)         vapour pressure, Pa
    e_sat = α e_water + (1 − α) e_ice                               water above 0 °C, ice below −23 °C, both between
    e_x   = 611.21 Pa exp(a (T − 273.16) / (T − b))                 water a 17.502, b 32.19 K; ice a 22.587, b −0.7 K
    α     = ((T − 250.16) / (273.16 − 250.16))², kept in [0, 1]

IFS Documentation Cy45r1, Part IV: Physical Processes, p. 116: Tetens' formula for the mixed phase, for diagnostics.
It passes 100 over ice and is negative with the humidity; neither is capped there or here.  CMIP6, on which the official
weights are pre-trained, leaves the definition to each model.
"""

import torch
from torch import Tensor

from contracts.constants import MOLAR_MASS_RATIO

TRIPLE_POINT = 611.21  # Pa
ALL_WATER, ALL_ICE = 273.16, 250.16  # K, above and below
WATER, ICE = (17.502, 32.19), (22.587, -0.7)  # a, and b in K


def relative_humidity(temperature: Tensor, specific_humidity: Tensor, pressure: float) -> Tensor:
    """Per cent, from K, kg kg-1 and Pa; differentiable."""
    vapour = pressure * specific_humidity / (MOLAR_MASS_RATIO + (1.0 - MOLAR_MASS_RATIO) * specific_humidity)
    return 100.0 * vapour / saturation(temperature)


def saturation(temperature: Tensor) -> Tensor:
    """Saturation vapour pressure in Pa over water, ice or both, from K."""
    share = ((temperature - ALL_ICE) / (ALL_WATER - ALL_ICE)).clamp(0.0, 1.0).square()
    return share * _tetens(temperature, *WATER) + (1.0 - share) * _tetens(temperature, *ICE)


def _tetens(temperature: Tensor, a: float, b: float) -> Tensor:
    return TRIPLE_POINT * torch.exp(a * (temperature - ALL_WATER) / (temperature - b))
