"""From the provider's units to SI, and from virtual to sensible temperature and back to humidity errors.

    T = Tv / (1 + (1/ε − 1) q)                      ε = 0.622, q specific humidity
    e_s(t) = 611.2 Pa exp(17.62 t / (243.12 °C + t))   over water, t in °C: WMO-No. 8 (2018), Annex 4.B
    e_i(t) = 611.2 Pa exp(22.46 t / (272.62 °C + t))   over ice
    q_s = ε e_s / (p − (1 − ε) e_s)
    σ_q = σ_RH q_s(T, max(p, 300 hPa))              an error of relative humidity as one of specific humidity

Relative humidity is over water at all temperatures, as radiosondes report it (WMO-No. 8). Aloft q_s grows as 1/p, to
grams at 10 hPa, while the air there holds the few milligrams that the cold below it let through: an error does not
grow with it.

What air can hold at most is saturation over water where clouds are mostly of droplets, from -20 °C up, over ice where
there are none, at -40 °C and below, between these linear in temperature.
"""

from typing import NamedTuple

import numpy as np

from contracts.constants import HECTOPASCAL, VIRTUAL_FACTOR, ZERO_CELSIUS
from contracts.humidity import saturation as saturation_humidity
from contracts.humidity import specific as specific_humidity
from contracts.humidity import vapour_pressure_at_saturation as saturation_vapour_pressure

MILLIGRAM_PER_KILOGRAM = 1e-6  # kg/kg
TENTHS_OF_RELATIVE_HUMIDITY = 0.1  # NCEP counts humidity errors in "percent divided by 10": 1 stands for 10 %
LEAST_PRESSURE_OF_ERRORS = 300.0 * HECTOPASCAL
MOSTLY_DROPLETS, NO_DROPLETS = ZERO_CELSIUS - 20.0, ZERO_CELSIUS - 40.0  # K; colder ones freeze by themselves


class Scale(NamedTuple):
    """SI = factor * number + offset"""

    factor: float
    offset: float = 0.0


# Spellings of units in files of others, by our own unit.
_SCALES = {
    "K": {"K": Scale(1.0), "kelvin": Scale(1.0), "degC": Scale(1.0, ZERO_CELSIUS), "C": Scale(1.0, ZERO_CELSIUS),
          "celsius": Scale(1.0, ZERO_CELSIUS), "degrees_celsius": Scale(1.0, ZERO_CELSIUS)},
    "Pa": {"Pa": Scale(1.0), "hPa": Scale(HECTOPASCAL), "mb": Scale(HECTOPASCAL), "mbar": Scale(HECTOPASCAL),
           "millibar": Scale(HECTOPASCAL), "millibars": Scale(HECTOPASCAL), "kPa": Scale(1000.0)},
    "kg kg-1": {"kg kg-1": Scale(1.0), "kg/kg": Scale(1.0), "1": Scale(1.0), "g kg-1": Scale(1e-3),
                "g/kg": Scale(1e-3), "mg kg-1": Scale(1e-6), "mg/kg": Scale(1e-6)},
    "m s-1": {"m s-1": Scale(1.0), "m/s": Scale(1.0), "m s^-1": Scale(1.0), "knots": Scale(1852 / 3600),
              "kt": Scale(1852 / 3600), "km/h": Scale(1 / 3.6)},
    "1": {"1": Scale(1.0), "%": Scale(0.01), "percent": Scale(0.01)},
    "m": {"m": Scale(1.0), "meter": Scale(1.0), "meters": Scale(1.0), "gpm": Scale(1.0), "km": Scale(1000.0)},
    "degrees": {name: Scale(1.0) for name in (
        "degrees", "degree", "degrees_north", "degree_north", "degrees_east", "degree_east")},
}


def scale(units: str, expected: str) -> Scale:
    """How numbers in `units` become ours, in `expected`. Raises ValueError for units that are not of that kind."""
    known = _SCALES[expected]
    if units not in known:
        raise ValueError(f"unit {units!r} is none of {', '.join(known)}")
    return known[units]


def kelvin(celsius: np.ndarray) -> np.ndarray:
    return celsius + ZERO_CELSIUS


def pascal(hectopascal: np.ndarray) -> np.ndarray:
    return hectopascal * HECTOPASCAL


def sensible_temperature(virtual: np.ndarray, humidity: np.ndarray) -> np.ndarray:
    """T (K) from Tv (K) and specific humidity (kg/kg)."""
    return virtual / (1.0 + VIRTUAL_FACTOR * humidity)


def most_humidity(temperature: np.ndarray, pressure: np.ndarray) -> np.ndarray:
    """q (kg/kg) at saturation over water, in the cold over ice, at T (K) and p (Pa)."""
    celsius = temperature - ZERO_CELSIUS
    over_ice = 611.2 * np.exp(22.46 * celsius / (272.62 + celsius))
    water = np.clip((temperature - NO_DROPLETS) / (MOSTLY_DROPLETS - NO_DROPLETS), 0.0, 1.0)
    return specific_humidity(water * saturation_vapour_pressure(temperature) + (1.0 - water) * over_ice, pressure)


def humidity_error(relative: np.ndarray, temperature: np.ndarray, pressure: np.ndarray) -> np.ndarray:
    """σ_q (kg/kg) from an error of relative humidity (a fraction) at T (K) and p (Pa); NaN where T is unknown."""
    return relative * saturation_humidity(temperature, np.maximum(pressure, LEAST_PRESSURE_OF_ERRORS))


def longitude(degrees_east: np.ndarray) -> np.ndarray:
    """Any longitude in [0, 360)."""
    wrapped = np.mod(degrees_east, 360.0)
    return np.where(wrapped == 360.0, 0.0, wrapped)  # -1e-20 mod 360 rounds to 360
