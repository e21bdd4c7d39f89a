"""An ensemble seen in a latent: perturbations of the members there, and of what is observed of them.

    Z_j = E(x_j) − mean                                     at the time of the analysis or of a term
    y_j = R^-1/2 (H(x̄ + R(Z_j)) − mean),   d = R^-1/2 (y − mean H(x_j))

R(Z) is what the latent puts back of a perturbation.  What it loses of a member is no part of Z, but stays in the
member: an analysis adds R of what it changes.
"""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import torch
from torch import Tensor

from contracts.grid import Grid
from contracts.observations import Observations
from networks.latent.operator import Operator
from neural_da.problem import Problem, Term
from neural_da.side_by_side import each_member

NOW = timedelta()


def members_at(problem: Problem, offset: timedelta) -> np.ndarray:
    """The background (k, channel, column) at the time of a term."""
    return problem.slots.get(offset, problem.background)


def perturbations(problem: Problem, latent: Operator, offset: timedelta, threads: int) -> Tensor:
    """Z (k, size), each member encoded by itself, so that how many threads there are changes no bit."""
    X = members_at(problem, offset)
    z = torch.stack(each_member(_of_all(problem), lambda i, number: latent.encode(
        torch.as_tensor(X[number], dtype=latent.mean.dtype)), threads))
    return z - z.mean(0)


def observed(problem: Problem, latent: Operator, term: Term, Z: Tensor, threads: int) -> tuple[np.ndarray, np.ndarray]:
    """y (n, k) and d (n,) of a term, from the perturbations `Z` (k, size) at its time."""
    X = torch.as_tensor(members_at(problem, term.offset), dtype=torch.float64)
    mean, sigma = X.mean(0), term.variance.sqrt()

    def seen(i: int, number: int) -> tuple[Tensor, Tensor]:
        moved = mean + put_back(latent, Z[number]).to(torch.float64).unflatten(-1, mean.shape)
        return term.forward.apply(moved), term.forward.apply(X[number])

    moved, whole = map(torch.stack, zip(*each_member(_of_all(problem), seen, threads), strict=True))
    y, d = (moved - moved.mean(0)) / sigma, (term.value - whole.mean(0)) / sigma
    return y.T.contiguous().numpy(), d.numpy()


def put_back(latent: Operator, z: Tensor) -> Tensor:
    """R of a change `z` (..., size) -> of the state (..., channel * column), in SI units."""
    return latent.scale * latent.put_back(z)


def columns(table: Observations, grid: Grid) -> np.ndarray:
    """(n,) the column nearest to each observation."""
    stencil = grid.bilinear(table.lat, table.lon)
    return np.take_along_axis(stencil.column, stencil.weight.argmax(axis=1)[:, None], axis=1)[:, 0]


def _of_all(problem: Problem) -> Problem:
    """The same problem with all members asked for: of what they share."""
    return replace(problem, members=np.arange(len(problem.background)))
