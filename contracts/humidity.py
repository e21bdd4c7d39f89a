"""Humidity: among the channels no negative one, aloft kept as in the background where the settings ask for it; and how
much of it air can hold.

    e_s(t) = 611.2 Pa exp(17.62 t / (243.12 °C + t))   over water, t in °C: WMO-No. 8 (2018), Annex 4.B
    q = ε e / (p − (1 − ε) e)          e = p q / (ε + (1 − ε) q)
"""

import numpy as np

from contracts.constants import HECTOPASCAL, MOLAR_MASS_RATIO, ZERO_CELSIUS
from contracts.state import StateSpace

VAPOUR_PRESSURE_AT_FREEZING = 611.2  # Pa, e_s at 0 °C
_VARIABLES = ("specific_humidity", "2m_specific_humidity")


def humid(space: StateSpace) -> np.ndarray:
    """(channel,) bool: whether it is a specific humidity."""
    return np.array([channel.variable in _VARIABLES for channel in space.channels], dtype=bool)


def kept(space: StateSpace, below_hpa: float) -> np.ndarray:
    """(channel,) bool: humidity at and above (pressures up to) `below_hpa`, which is not analysed."""
    return humid(space) & (space.pressure <= below_hpa * HECTOPASCAL)


def not_negative(X: np.ndarray, channels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`X` (member, channel, column) with 0 for what is negative of `channels` (channel,) bool; how many (column,)."""
    negative = channels[:, None] & (X < 0)
    return np.where(negative, X.dtype.type(0), X), negative.sum(axis=(0, 1))


def kept_on_the_globe(X: np.ndarray, channels: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As `not_negative`, and what that adds is taken from the rest in proportion to it: the mean of each humidity by
    the `weights` of area (column,) stays, or is zero where it was negative."""
    found, count = not_negative(X, channels)
    mean, more = ((weights * x).sum(axis=-1, keepdims=True) for x in (X, found))
    share = np.divide(mean.clip(0), more, out=np.ones_like(more), where=channels[:, None] & (more > 0))
    return (share * found).astype(X.dtype), count


def vapour_pressure_at_saturation(temperature: np.ndarray) -> np.ndarray:
    """e_s (Pa) over water at T (K)."""
    return VAPOUR_PRESSURE_AT_FREEZING * np.exp(exponent_at_saturation(temperature))


def exponent_at_saturation(temperature):
    """ln (e_s / 611.2 Pa) over water at T (K), of NumPy's arrays and of others."""
    celsius = temperature - ZERO_CELSIUS
    return 17.62 * celsius / (243.12 + celsius)


def vapour_pressure(humidity, pressure):
    """e (Pa) of air with specific humidity q (kg/kg) at p (Pa), of NumPy's arrays and of others."""
    return pressure * humidity / (MOLAR_MASS_RATIO + (1.0 - MOLAR_MASS_RATIO) * humidity)


def specific(vapour: np.ndarray, pressure: np.ndarray) -> np.ndarray:
    """q (kg/kg) of air with vapour pressure e at p (Pa); NaN where the vapour pressure would reach the pressure."""
    with np.errstate(divide="ignore", invalid="ignore"):
        humidity = MOLAR_MASS_RATIO * vapour / (pressure - (1.0 - MOLAR_MASS_RATIO) * vapour)
    return np.where(pressure - vapour > 0, humidity, np.nan)


def saturation(temperature: np.ndarray, pressure: np.ndarray) -> np.ndarray:
    """q_s (kg/kg) over water at T (K) and p (Pa); NaN where the vapour pressure would reach the pressure."""
    return specific(vapour_pressure_at_saturation(temperature), pressure)
