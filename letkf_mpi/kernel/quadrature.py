"""x^(−1/2) as a sum of poles (Hale, Higham & Trefethen 2008, SIAM J. Numer. Anal. 46, 2505, method 3).

    x^(−1/2) ≈ Σ_j c_j / (x + s_j)          1 ≤ x ≤ κ,  c_j, s_j > 0,  j = 1 … N

With m = 1/κ, K′ = K(1 − m) the complete elliptic integral and u_j = (j − ½) K′/N, Jacobi's functions of
parameter 1 − m give s_j = (sn/cn)²(u_j) and c_j = 2K′/(πN) · (dn/cn²)(u_j).  It is Zolotarev's best approximation
but for a factor; the error is about 4 exp(−2π N K(m)/K′).  Elliptic integral and functions are by the arithmetic-
geometric mean (Bulirsch 1965, Numer. Math. 7, 78), from m itself, so that nothing is lost where 1 − m is nearly 1.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

MOST_POWER = 52  # 1 − 2^−52 is the last below 1 that Jacobi's functions are given exactly


@dataclass(frozen=True)
class Poles:
    """Poles for condition numbers up to 2^b in row b: `order` (b,) many, `shift` s and `weight` c (b, most)."""

    order: np.ndarray
    shift: np.ndarray
    weight: np.ndarray


@cache
def table(tolerance: float, powers: int = MOST_POWER) -> Poles:
    """Poles for κ = 1, 2, 4, …, 2^powers with relative errors of about `tolerance`; row 0 is exact."""
    rows = [(np.zeros(1), np.ones(1)), *(_poles(power, tolerance) for power in range(1, powers + 1))]
    order = np.array([shift.size for shift, _ in rows])
    shift, weight = np.ones((order.size, order.max())), np.zeros((order.size, order.max()))
    for row, (s, c) in enumerate(rows):
        shift[row, : s.size], weight[row, : s.size] = s, c
    return Poles(order, shift, weight)


def _poles(power: int, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """s and c (N,) for κ = 2^power; past the middle by u -> K′ − u, where sn and cn change places."""
    m = 2.0**-power
    K = complete_integral(m)
    N = int(np.ceil(np.log(4.0 / tolerance) * K / (2.0 * np.pi * complete_integral(1.0 - m))))
    u = (np.arange(N) + 0.5) * K / N
    low = u <= K / 2
    sn, cn, dn = jacobi(np.where(low, u, K - u), m)
    shift = np.where(low, (sn / cn) ** 2, (cn / sn) ** 2 / m)
    return shift, 2.0 * K / (np.pi * N) * np.where(low, dn / cn**2, dn / sn**2 / np.sqrt(m))


def complete_integral(m: float) -> float:
    """K(1 − m), 0 < m ≤ 1."""
    arithmetic, _ = _means(m)
    return np.pi / (2.0 * arithmetic[-1])


def jacobi(u: np.ndarray, m: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """sn, cn, dn of `u` in (0, K) with parameter 1 − m."""
    arithmetic, geometric = _means(m)
    phase = arithmetic[-1] * u
    ratio, dn = np.cos(phase) / np.sin(phase), np.ones_like(u)
    c = arithmetic[-1] * ratio  # c becomes cn/sn
    for a, g in zip(arithmetic[-2::-1], geometric[-2::-1], strict=True):
        ratio, c = ratio * c, c * dn
        dn = (g + ratio) / (a + ratio)
        ratio = c / a
    sn = 1.0 / np.sqrt(c**2 + 1.0)
    return sn, c * sn, dn


def _means(m: float) -> tuple[list[float], list[float]]:
    """Arithmetic and geometric means of 1 and √m until they meet."""
    arithmetic, geometric = [1.0], [float(np.sqrt(m))]
    while abs(arithmetic[-1] - geometric[-1]) > 1e-9 * arithmetic[-1]:  # the next are equal to the last bit
        a, g = arithmetic[-1], geometric[-1]
        arithmetic.append(0.5 * (a + g))
        geometric.append(float(np.sqrt(a * g)))
    arithmetic.append(0.5 * (arithmetic[-1] + geometric[-1]))
    geometric.append(arithmetic[-1])
    return arithmetic, geometric
