"""J of one member in a latent, and its minimum by Gauss-Newton steps.

    x = x_b + G zeta,   G zeta = t D(sqrt(b) zeta)                                        (networks.latent)
    J(zeta) = 1/2 |zeta|^2 + 1/2 sum_i ((y_i - H_i(x)) / sigma_i)^2

H is linear about the state at hand (Courtier et al. 1994, QJRMS 120, 1367), and each step solves, by conjugate
gradients,

    (I + G^T H'^T R^-1 H' G) delta = G^T H'^T R^-1 (y - H(x_b + G zeta)) - zeta
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from neural_da import minimise
from neural_da.minimise import Solution
from neural_da.problem import Problem, Tangent


class Maps(Protocol):
    """dx of a control vector, and its adjoint, linear or not; `deviation` (size,) is sqrt(b)."""

    def increment(self, zeta: Tensor, deviation: Tensor) -> Tensor:
        """(size,) -> (channel * column,)"""
        ...

    def adjoint(self, gradient: Tensor, deviation: Tensor) -> Tensor:
        """(channel * column,) -> (size,)"""
        ...


@dataclass(frozen=True)
class Stops:
    """When the minimisation ends: so many Gauss-Newton `steps`, each at a gradient of `tolerance` in units of its first
    one or after so many `iterations`."""

    tolerance: float
    iterations: int
    steps: int


@dataclass(frozen=True)
class Minimum:
    """The `state` (channel, column) at the minimum, in double precision, and J on the `course` there: before the first
    iteration and after each."""

    zeta: Tensor
    state: Tensor
    course: tuple[float, ...]

    @property
    def iterations(self) -> int:
        return len(self.course) - 1


@dataclass(frozen=True)
class Variational:
    """J of one member: `background` (channel, column) and `values` (n,) of each term, in double precision; `deviation`
    (size,) is sqrt(b)."""

    problem: Problem
    latent: Maps
    deviation: Tensor
    background: Tensor
    values: Sequence[Tensor]

    def increment(self, zeta: Tensor) -> Tensor:
        """G zeta (channel, column), in double precision."""
        increment = self.latent.increment(zeta, self.deviation)
        return increment.to(torch.float64).unflatten(-1, self.background.shape)

    def state(self, zeta: Tensor) -> Tensor:
        """x_b + G zeta, in double precision."""
        return self.background + self.increment(zeta)

    def cost(self, zeta: Tensor) -> Tensor:
        """J, in double precision."""
        prior = 0.5 * zeta.to(torch.float64).square().sum()
        return prior + self.problem.cost([self.state(zeta)] * len(self.problem.terms), self.values)

    def gradient(self, zeta: Tensor) -> tuple[Tensor, list[Tangent]]:
        """dJ/dzeta, and the tangents of H of each term that it was made with."""
        x, found = self.state(zeta), zeta.clone()
        tangents = self.tangents(x)
        for term, tangent, y in zip(self.problem.terms, tangents, self.values, strict=True):
            departure = (y - term.forward.apply(x)) / term.variance.sqrt()
            found -= self.latent.adjoint(tangent.adjoint(departure.to(zeta.dtype)), self.deviation)
        return found, tangents

    def tangents(self, x: Tensor) -> list[Tangent]:
        """Of H of each term, at the state `x` (channel, column)."""
        return [term.tangent(x, self.deviation.dtype) for term in self.problem.terms]

    def hessian(self, tangents: Sequence[Tangent]) -> Callable[[Tensor], Tensor]:
        """v -> (I + G^T H'^T R^-1 H' G) v."""
        def apply(v: Tensor) -> Tensor:
            dx = self.latent.increment(v, self.deviation)
            by_state = torch.stack([tangent.adjoint(tangent.apply(dx)) for tangent in tangents]).sum(0)
            return v + self.latent.adjoint(by_state, self.deviation)

        return apply

    def linear(self, zeta: Tensor) -> "Variational":  # noqa: ARG002  where increments are linear everywhere
        """J with increments that are linear about `zeta`."""
        return self

    def moved(self, zeta: Tensor) -> "Variational":
        """J from the state of `zeta` on: with x_b + G zeta for its background."""
        return replace(self, background=self.state(zeta))

    def step(self, zeta: Tensor, tolerance: float, iterations: int) -> Solution:
        """The Gauss-Newton step delta from `zeta`."""
        gradient, tangents = self.gradient(zeta)
        return minimise.conjugate_gradients(self.hessian(tangents), -gradient, tolerance, iterations)

    def gain(self, tangents: Sequence[Tangent], departure: Tensor, stops: Stops) -> Solution:
        """zeta of G zeta = K H' x' for a `departure` x' (channel, column), K the gain of B = G G^T:

            (I + G^T H'^T R^-1 H' G) zeta = G^T H'^T R^-1 H' x'
        """
        x = departure.flatten().to(self.deviation.dtype)
        by_state = torch.stack([tangent.adjoint(tangent.apply(x)) for tangent in tangents]).sum(0)
        seen = self.latent.adjoint(by_state, self.deviation)
        return minimise.conjugate_gradients(self.hessian(tangents), seen, stops.tolerance, stops.iterations)

    def minimum(self, stops: Stops) -> Minimum:
        """From zeta = 0; J within a step is that of the H made linear, where a step ends J itself."""
        zeta = torch.zeros_like(self.deviation)
        course = [float(self.cost(zeta))]
        for _ in range(stops.steps):
            found = self.step(zeta, stops.tolerance, stops.iterations)
            zeta = zeta + found.x
            if found.iterations:
                within = [course[-1] + change for change in found.course[1:-1]]
                course += [*within, float(self.cost(zeta))]
        return Minimum(zeta, self.state(zeta), tuple(course))
