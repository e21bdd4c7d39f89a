"""Conjugate gradients for A x = b, A symmetric and positive definite (Hestenes & Stiefel 1952, J. Res. NBS 49, 409).

Each right-hand side has a step length, a history and a stopping test of its own: a member's numbers cannot depend on
another's, be it solved for alone or beside others.
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


def conjugate_gradients_together(A: Callable[[Tensor], Tensor], b: Tensor, tolerance: float,
                                 iterations: int) -> list[Solution]:
    """The same for each row of `b` (m, n), to the bit, where `A` of several rows (m, n) is cheaper than of each alone.

    `A` is asked for the rows that are not done yet.
    """
    r = [row.clone() for row in b]  # each in memory of its own: a sum may depend on where its numbers begin
    x, p = [torch.zeros_like(row) for row in r], list(r)
    first = [float(row @ row) for row in r]
    power, count = list(first), [0] * len(r)
    for _ in range(iterations):
        on = [i for i in range(len(r)) if power[i] > tolerance**2 * first[i]]
        if not on:
            break
        for i, row in zip(on, A(torch.stack([p[i] for i in on])), strict=True):
            Ap = row.clone()
            step = power[i] / float(p[i] @ Ap)
            x[i] = x[i] + step * p[i]
            r[i] = r[i] - step * Ap
            before, power[i] = power[i], float(r[i] @ r[i])
            p[i] = r[i] + (power[i] / before) * p[i]
            count[i] += 1
    return [Solution(x[i], count[i], (power[i] / first[i]) ** 0.5 if first[i] else 0.0) for i in range(len(r))]
