"""x^(−1/2) as a sum of poles (Hale, Higham & Trefethen 2008, SIAM J. Numer. Anal. 46, 2505, method 3).

    x^(−1/2) ≈ Σ_j c_j / (x + s_j)          1 ≤ x ≤ κ,  c_j, s_j > 0,  j = 1 … N

With m = 1/κ, K′ = K(1 − m) the complete elliptic integral and u_j = (j − ½) K′/N, Jacobi's functions of
parameter 1 − m give s_j = (sn/cn)²(u_j) and c_j = 2K′/(πN) · (dn/cn²)(u_j).  It is Zolotarev's best approximation
but for a factor; the error is about 4 exp(−2π N K(m)/K′).
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.special import ellipj, ellipk, ellipkm1

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
    K = ellipkm1(m)
    N = int(np.ceil(np.log(4.0 / tolerance) * K / (2.0 * np.pi * ellipk(m))))
    u = (np.arange(N) + 0.5) * K / N
    low = u <= K / 2
    sn, cn, dn, _ = ellipj(np.where(low, u, K - u), 1.0 - m)
    shift = np.where(low, (sn / cn) ** 2, (cn / sn) ** 2 / m)
    return shift, 2.0 * K / (np.pi * N) * np.where(low, dn / cn**2, dn / sn**2 / np.sqrt(m))
