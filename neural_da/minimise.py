"""Conjugate gradients for A x = b, A symmetric and positive definite (Hestenes & Stiefel 1952, J. Res. NBS 49, 409);
L-BFGS for what is not quadratic (Byrd, Lu, Nocedal & Zhu 1995, SIAM J. Sci. Comput. 16, 1190).

Each right-hand side has a step length, a history and a stopping test of its own: a member's numbers cannot depend on
another's, be it solved for alone or beside others.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy import optimize
from torch import Tensor

PAIRS = 20  # steps that L-BFGS remembers


@dataclass(frozen=True)
class Solution:
    """`x`, after so many `iterations`, and how long the residual is, `residual`, in units of the first one.

    `course` (iterations + 1,) is by how much what is minimised, 1/2 xᵀ A x − bᵀ x or J, has changed since the start.
    """

    x: Tensor
    iterations: int
    residual: float
    course: tuple[float, ...] = (0.0,)


def conjugate_gradients(A: Callable[[Tensor], Tensor], b: Tensor, tolerance: float, iterations: int) -> Solution:
    """From x = 0 until |b - A x| <= `tolerance` |b|, or for so many `iterations`."""
    x, r = torch.zeros_like(b), b
    first = power = float(r @ r)
    p, course = r, [0.0]
    while power > tolerance**2 * first and len(course) <= iterations:
        Ap = A(p)
        step = power / float(p @ Ap)
        course.append(course[-1] - 0.5 * step * power)
        x = x + step * p
        r = r - step * Ap
        before, power = power, float(r @ r)
        p = r + (power / before) * p
    return Solution(x, len(course) - 1, (power / first) ** 0.5 if first else 0.0, tuple(course))


def conjugate_gradients_together(A: Callable[[Tensor, list[int]], Tensor], b: Tensor, tolerance: float,
                                 iterations: int) -> list[Solution]:
    """The same for each row of `b` (m, n), to the bit, where `A` of several rows (m, n) is cheaper than of each alone.

    `A` is asked for the rows that are not done yet, and told their numbers.
    """
    r = [row.clone() for row in b]  # each in memory of its own: a sum may depend on where its numbers begin
    x, p = [torch.zeros_like(row) for row in r], list(r)
    first = [float(row @ row) for row in r]
    power, count = list(first), [0] * len(r)
    for _ in range(iterations):
        on = [i for i in range(len(r)) if power[i] > tolerance**2 * first[i]]
        if not on:
            break
        for i, row in zip(on, A(torch.stack([p[i] for i in on]), on), strict=True):
            Ap = row.clone()
            step = power[i] / float(p[i] @ Ap)
            x[i] = x[i] + step * p[i]
            r[i] = r[i] - step * Ap
            before, power[i] = power[i], float(r[i] @ r[i])
            p[i] = r[i] + (power[i] / before) * p[i]
            count[i] += 1
    return [Solution(x[i], count[i], (power[i] / first[i]) ** 0.5 if first[i] else 0.0) for i in range(len(r))]


def restricted_conjugate_gradients(K: Callable[[Tensor], Tensor], b: Tensor, tolerance: float,
                                   iterations: int) -> list[Solution]:
    """w (n,) for each row of `b` (m, n) from the steps of `conjugate_gradients` for (I + A A^T) x = A b, whose every
    vector x = A w lies where A leads: K = A^T A of all rows (m, n) at once, rows that are done being zero there
    (Gratton & Tshimanga 2009, QJRMS 135, 1573).

    Residuals, their test and the course are those of x, to rounding.
    """
    w, r = [torch.zeros_like(row) for row in b], [row.clone() for row in b]
    p, Kp = list(r), [row.clone() for row in K(torch.stack(r))]
    first = [float(own @ seen) for own, seen in zip(r, Kp, strict=True)]
    power, courses = list(first), [[0.0] for _ in r]
    for _ in range(iterations):
        on = [i for i in range(len(r)) if power[i] > tolerance**2 * first[i]]
        if not on:
            break
        for i in on:
            step = power[i] / float(Kp[i] @ (p[i] + Kp[i]))
            courses[i].append(courses[i][-1] - 0.5 * step * power[i])
            w[i], r[i] = w[i] + step * p[i], r[i] - step * (p[i] + Kp[i])
        Kr = K(torch.stack([r[i] if i in on else torch.zeros_like(r[i]) for i in range(len(r))]))
        for i in on:
            seen = Kr[i].clone()
            before, power[i] = power[i], float(r[i] @ seen)
            p[i], Kp[i] = r[i] + (power[i] / before) * p[i], seen + (power[i] / before) * Kp[i]
    residual = [(max(last, 0.0) / start) ** 0.5 if start > 0 else 0.0 for last, start in zip(power, first, strict=True)]
    return [Solution(w[i], len(course) - 1, residual[i], tuple(course)) for i, course in enumerate(courses)]


def quasi_newton(J: Callable[[Tensor], Tensor], x: Tensor, tolerance: float, evaluations: int) -> Solution:
    """L-BFGS from `x` (n,) until the gradient is `tolerance` of the first one, or for so many `evaluations` of `J` and
    its gradient, those of a line search more at most; it ends also where rounding lets J become no less."""
    lengths: list[float] = []
    values: list[float] = []

    def evaluate(at: np.ndarray) -> tuple[float, np.ndarray]:
        here = torch.tensor(at, dtype=x.dtype).requires_grad_()
        value = J(here)
        (gradient,) = torch.autograd.grad(value, here)
        lengths.append(float(gradient.norm()))
        values.append(float(value.detach()))
        return values[-1], gradient.double().numpy()

    def stop(_: np.ndarray) -> None:
        if lengths[-1] <= tolerance * lengths[0] or len(lengths) >= evaluations:
            raise StopIteration

    found = optimize.minimize(evaluate, x.double().numpy(), jac=True, method="L-BFGS-B", callback=stop,
                              options=dict(maxcor=PAIRS, maxiter=evaluations, maxfun=evaluations, ftol=0.0, gtol=0.0))
    course = tuple(value - values[0] for value in values)
    return Solution(torch.tensor(found.x, dtype=x.dtype), len(lengths), lengths[-1] / lengths[0] if lengths[0] else 0.0,
                    course)
