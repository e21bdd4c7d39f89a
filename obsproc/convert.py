"""From the provider's units to SI, and from virtual to sensible temperature and back to humidity errors.

    T = Tv / (1 + (1/ε − 1) q)                      ε = 0.622, q specific humidity
    e_s(t) = 611.2 Pa exp(17.62 t / (243.12 °C + t))   over water, t in °C: WMO-No. 8 (2018), Annex 4.B
    q_s = ε e_s / (p − (1 − ε) e_s)
    σ_q = σ_RH q_s                                  an error of relative humidity as one of specific humidity

Relative humidity is over water at all temperatures, as radiosondes report it (WMO-No. 8).
"""

import numpy as np

from contracts.constants import HECTOPASCAL, MOLAR_MASS_RATIO, VIRTUAL_FACTOR, ZERO_CELSIUS

MILLIGRAM_PER_KILOGRAM = 1e-6  # kg/kg
TENTHS_OF_RELATIVE_HUMIDITY = 0.1  # NCEP counts humidity errors in "percent divided by 10": 1 stands for 10 %


def kelvin(celsius: np.ndarray) -> np.ndarray:
    return celsius + ZERO_CELSIUS


def pascal(hectopascal: np.ndarray) -> np.ndarray:
    return hectopascal * HECTOPASCAL


def sensible_temperature(virtual: np.ndarray, humidity: np.ndarray) -> np.ndarray:
    """T (K) from Tv (K) and specific humidity (kg/kg)."""
    return virtual / (1.0 + VIRTUAL_FACTOR * humidity)


def saturation_vapour_pressure(temperature: np.ndarray) -> np.ndarray:
    """e_s (Pa) over water at T (K)."""
    celsius = temperature - ZERO_CELSIUS
    return 611.2 * np.exp(17.62 * celsius / (243.12 + celsius))


def specific_humidity(vapour: np.ndarray, pressure: np.ndarray) -> np.ndarray:
    """q (kg/kg) of air with vapour pressure e at p (Pa); NaN where the vapour pressure would reach the pressure."""
    with np.errstate(divide="ignore", invalid="ignore"):
        humidity = MOLAR_MASS_RATIO * vapour / (pressure - (1.0 - MOLAR_MASS_RATIO) * vapour)
    return np.where(pressure - vapour > 0, humidity, np.nan)


def saturation_humidity(temperature: np.ndarray, pressure: np.ndarray) -> np.ndarray:
    """q_s (kg/kg) over water at T (K) and p (Pa); NaN where the vapour pressure would reach the pressure."""
    return specific_humidity(saturation_vapour_pressure(temperature), pressure)


def longitude(degrees_east: np.ndarray) -> np.ndarray:
    """Any longitude in [0, 360)."""
    wrapped = np.mod(degrees_east, 360.0)
    return np.where(wrapped == 360.0, 0.0, wrapped)  # -1e-20 mod 360 rounds to 360
