"""What returns every year: a mean and harmonics of the year, fitted by least squares at each place.

    m(t) = Σ_j b_j(t) c_j,   b = 1, cos ωt, sin ωt, cos 2ωt, sin 2ωt, …,   ω = 2π / 365.2425 d
"""

import numpy as np

from contracts.constants import HOUR

YEAR = 365.2425 * 24 * HOUR  # s


def basis(seconds: np.ndarray | int, size: int) -> np.ndarray:
    """(time, size)"""
    year = np.atleast_1d(np.asarray(seconds, np.float64))[:, None] / YEAR
    angle = 2 * np.pi * year * np.arange(1, (size - 1) // 2 + 1)
    waves = np.stack([np.cos(angle), np.sin(angle)], axis=-1).reshape(len(angle), -1)
    return np.concatenate([np.ones((len(angle), 1)), waves], axis=1)
