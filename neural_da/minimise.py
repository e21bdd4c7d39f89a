"""Conjugate gradients for A x = b, A symmetric and positive definite (Hestenes & Stiefel 1952, J. Res. NBS 49, 409).

Each call has a step length, a history and a stopping test of its own: who minimises for several members calls it for
each, and a member's numbers cannot depend on another's.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Solution:
    """`x`, after so many `iterations`, and how long the residual is, `residual`, in units of the first one."""

    x: Tensor
    iterations: int
    residual: float


def conjugate_gradients(A: Callable[[Tensor], Tensor], b: Tensor, tolerance: float, iterations: int) -> Solution:
    """From x = 0 until |b - A x| <= `tolerance` |b|, or for so many `iterations`."""
    x, r = torch.zeros_like(b), b
    first = power = float(r @ r)
    p, count = r, 0
    while power > tolerance**2 * first and count < iterations:
        Ap = A(p)
        step = power / float(p @ Ap)
        x = x + step * p
        r = r - step * Ap
        before, power = power, float(r @ r)
        p = r + (power / before) * p
        count += 1
    return Solution(x, count, (power / first) ** 0.5 if first else 0.0)
