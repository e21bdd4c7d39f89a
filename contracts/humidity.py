"""Humidity among the channels: below no negative one, aloft kept as in the background where the settings ask for it."""

import numpy as np

from contracts.constants import HECTOPASCAL
from contracts.state import StateSpace

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
