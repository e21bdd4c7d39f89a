"""Observations and a Gaussian of states: the system that conditions the one on the other.

    B = s f(C) s  of a climate (networks.climate),   H' the tangent of H, of all rows at one state or of each at its own
    (I + R^-1/2 H' B H'^T R^-1/2) w = R^-1/2 d,       increment  B H'^T R^-1/2 w

f is that of the covariance that is meant: C itself, or what noise leaves unknown of it (`gaussian.remaining`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from networks.climate import gaussian
from networks.climate.gaussian import Climate, Function
from neural_da import minimise
from neural_da.minimise import Solution
from neural_da.problem import Tangent, Term


@dataclass(frozen=True)
class Observed:
    """n observations in units of their errors: `tangents` are R^-1/2 H', one for all states or one for each, which meet
    s f(C) s of the `prior`."""

    prior: Climate
    term: Term
    tangents: tuple[Tangent, ...]
    function: Function = gaussian.identity

    @classmethod
    def about(cls, x: np.ndarray, prior: Climate, term: Term) -> "Observed":
        """With H' of all states at `x` (channel, lat, lon)."""
        return cls(prior, term, (term.tangent(tensor(x), torch.float64),))

    def departure(self, x: np.ndarray, y: Tensor) -> Tensor:
        """R^-1/2 (y - H(x)) (n,) of a state (channel, lat, lon)."""
        return (y - self.term.forward.apply(tensor(x))) / self.term.variance.sqrt()

    def increments(self, w: Tensor, rows: Sequence[int] | None = None) -> np.ndarray:
        """B H'^T R^-1/2 w (m, channel, lat, lon) of `w` (m, n), which belong to the states numbered `rows`."""
        seen = np.stack([self.tangent(i, rows).adjoint(one).numpy() for i, one in enumerate(w)])
        fields = seen.astype(self.prior.scale.dtype).reshape(-1, *self.prior.space.shape)
        return self.prior.covariance(fields, self.function)

    def system(self, w: Tensor, rows: Sequence[int] | None = None) -> Tensor:
        """(I + R^-1/2 H' B H'^T R^-1/2) w (m, n)."""
        moved = torch.as_tensor(self.increments(w, rows)).flatten(1).to(torch.float64)
        return w + torch.stack([self.tangent(i, rows).apply(one) for i, one in enumerate(moved)])

    def solved(self, d: Tensor, tolerance: float, iterations: int) -> list[Solution]:
        """w of each departure `d` (m, n), by conjugate gradients of its own."""
        return minimise.conjugate_gradients_together(self.system, d, tolerance, iterations)

    def tangent(self, i: int, rows: Sequence[int] | None) -> Tangent:
        """Of the i-th of the states numbered `rows`, of all in their order where none are."""
        if len(self.tangents) == 1:
            return self.tangents[0]
        return self.tangents[i if rows is None else rows[i]]


def tensor(x: np.ndarray) -> Tensor:
    """(channel, lat, lon) -> (channel, column)."""
    return torch.as_tensor(x).flatten(1)
