"""Gaussian latitudes: the rows on which a sum over rows integrates polynomials of sin φ up to degree 2n − 1 exactly.

    P_n(sin φ_i) = 0,        w_i = 2 / ((1 − x_i²) P_n'(x_i)²),    x = sin φ

Abramowitz & Stegun (1964), 25.4.29; roots by Newton's method from cos(π (4i − 1) / (4n + 2)), P_n by its recurrence.
"""

import numpy as np

MOST_STEPS = 10  # Newton's method has all digits after three or four


def rows(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Latitudes (count,) in degrees, ascending, and their weights, of sum 2."""
    x = -np.cos(np.pi * (4 * np.arange(1, count + 1) - 1) / (4 * count + 2))
    for _ in range(MOST_STEPS):
        value, slope = _legendre(x, count)
        x, before = x - value / slope, x
        if np.abs(x - before).max() < 1e-15:
            break
    x = 0.5 * (x - x[::-1])  # south and north are mirrored to the last bit
    weights = 2.0 / ((1.0 - x**2) * _legendre(x, count)[1] ** 2)
    return np.rad2deg(np.arcsin(x)), weights


def _legendre(x: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """P_n and its derivative at x."""
    before, now = np.ones_like(x), x
    for k in range(2, n + 1):
        before, now = now, ((2 * k - 1) * x * now - (k - 1) * before) / k
    return now, n * (before - x * now) / (1.0 - x**2)
