"""J of several members at once, each about its own background, and its minimum by Gauss-Newton steps in the space of
the observations.

    J(x) = 1/2 |x - x_b|^2 in B^-1 + 1/2 sum_i ((y_i - H_i(x)) / sigma_i)^2,       x = x_b + B H'^T R^-1/2 w

H is linear about the state at hand (H', R^-1/2 H' here a matrix of each member), and each step solves

    (I + R^-1/2 H' B H'^T R^-1/2) w = R^-1/2 (y - H(x) + H' (x - x_b))          (Courtier 1997, QJRMS 123, 2449)

beginning with the w of the step before, by conjugate gradients whose steps and test are those of `variational`, where
B = G G^T and  zeta = G^T H'^T R^-1/2 w  (`minimise.restricted_conjugate_gradients`).  B is asked for once an iteration
instead of G and G^T, and of all members together.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from neural_da import minimise
from neural_da.found import Found, single
from neural_da.problem import Term
from neural_da.together import Covariances
from neural_da.variational import Stops


@dataclass(frozen=True)
class Seen:
    """R^-1/2 H' of each of m members, at a state of its own, and B of theirs, whose `numbers` (m,) are these."""

    matrices: list[csr_array]  # (n, channel * column)
    B: Covariances
    numbers: np.ndarray
    shape: tuple[int, int]

    @classmethod
    def at(cls, term: Term, X: Tensor, B: Covariances, numbers: np.ndarray) -> "Seen":
        """At the states `X` (m, channel, column)."""
        matrices = [term.tangent(x, B.climate.dtype).matrix() for x in X]
        return cls(matrices, B, numbers, (X.shape[1], X.shape[2]))

    def increments(self, w: Tensor) -> Tensor:
        """B H'^T R^-1/2 w (m, channel, column) of `w` (m, n), in double precision."""
        rows = w.to(self.B.climate.dtype).numpy()
        by_state = np.stack([H.T @ row for H, row in zip(self.matrices, rows, strict=True)])
        return self.B.apply(torch.from_numpy(by_state).view(-1, *self.shape), self.numbers).to(torch.float64)

    def observed(self, dX: Tensor) -> Tensor:
        """R^-1/2 H' dx (m, n), in double precision."""
        flat = dX.flatten(1).numpy()
        return torch.from_numpy(np.stack([H @ dx for H, dx in zip(self.matrices, flat, strict=True)]))

    def system(self, w: Tensor) -> Tensor:
        """R^-1/2 H' B H'^T R^-1/2 w (m, n)."""
        return self.observed(self.increments(w))


@dataclass(frozen=True)
class Costs:
    """J of m members: `background` (m, channel, column) and `values` (m, n) of a `term`, in double precision, and B of
    theirs, whose `numbers` (m,) are these."""

    term: Term
    B: Covariances
    background: Tensor
    values: Tensor
    numbers: np.ndarray

    def minima(self, stops: Stops) -> list[Found]:
        """What is found for each, from its background."""
        X, w = self.background, torch.zeros_like(self.values)
        courses = [[J] for J in self.values_at(X, w, w)]
        for _ in range(stops.steps):
            seen = Seen.at(self.term, X, self.B, self.numbers)
            d = self.departures(X) + seen.observed(X - self.background) - w
            if w.any():
                d = d - seen.system(w)
            found = minimise.restricted_conjugate_gradients(seen.system, d, stops.tolerance, stops.iterations)
            w = w + torch.stack([one.x for one in found])
            dX = seen.increments(w)
            X = self.background + dX
            for course, one, J in zip(courses, found, self.values_at(X, w, seen.observed(dX)), strict=True):
                if one.iterations:
                    course += [*(course[-1] + change for change in one.course[1:-1]), J]
        return [Found(single(x), len(course) - 1, np.array(course) / len(self.term))
                for x, course in zip(X, courses, strict=True)]

    def departures(self, X: Tensor) -> Tensor:
        """R^-1/2 (y - H(x)) (m, n)."""
        return (self.values - self.term.forward.apply(X)) / self.term.variance.sqrt()

    def values_at(self, X: Tensor, w: Tensor, seen: Tensor) -> list[float]:
        """J of each state, x - x_b the increment of `w`, whose own is `seen`."""
        return [0.5 * float(own @ of_it) + float(J)
                for own, of_it, J in zip(w, seen, self.term.cost(X, self.values), strict=True)]
