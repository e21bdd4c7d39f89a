"""Incremental 3D-Var with a static covariance in a latent, for every member with perturbed observations.

    x = x_b + dx,   dx = G zeta = t D(sqrt(b) zeta),   b = lambda^2 b_clim                (networks.latent)
    J(zeta) = 1/2 |zeta|^2 + 1/2 sum_i ((y_i - H_i(x_b + dx)) / sigma_i)^2

minimised by Gauss-Newton steps (Courtier et al. 1994, QJRMS 120, 1367): H is linear about the state at hand, and each
step solves, by conjugate gradients,

    (I + G^T H'^T R^-1 H' G) delta = G^T H'^T R^-1 (y - H(x_b + G zeta)) - zeta

Member j has its own background and y + sigma eps_j (`draws`), its own step lengths and its own stopping test, so that
its bits do not depend on whom it is analysed with.  For linear H its analysis is that of the Kalman filter with B = G
G^T, and the mean of all members' analyses the analysis of their mean.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from contracts.config import Experiment
from contracts.state import StateSpace
from networks.latent import card
from networks.latent.operator import Operator
from neural_da import minimise
from neural_da.draws import Draws
from neural_da.method import Analysed
from neural_da.methods import ThreeDVar
from neural_da.minimise import Solution
from neural_da.problem import Problem, Tangent
from neural_da.side_by_side import each_member, stacked

log = logging.getLogger("neural_da.three_d_var")


def prepared(settings: ThreeDVar, experiment: Experiment, space: StateSpace) -> "Prepared":
    """The method for states of `space`; raises UserError where its latent does not fit the experiment."""
    latent = card.read(experiment.file(settings.latent, experiment.start), space, experiment)
    return Prepared(settings, Operator.of(latent, dtype=getattr(torch, settings.precision)))


@dataclass(frozen=True)
class Prepared:
    """The method with its latent."""

    settings: ThreeDVar
    latent: Operator

    @property
    def deviation(self) -> Tensor:
        """(size,) sqrt(b)"""
        return self.settings.factor * self.latent.variance.sqrt()

    def memory(self, nobs: int) -> float:
        """The bases; of each member in hand seven latent vectors, six states and H' with its numbers by row and
        entry."""
        number, state = self.latent.mean.element_size(), 8 * self.latent.mean.numel()
        basis = number * sum(P.numel() for grid in self.latent.grids for P in grid.basis)
        member = 7 * number * self.latent.size + 6 * state + 2 * 24 * 12 * nobs
        return float(basis + self.settings.threads * member)

    def analyse(self, problem: Problem, draws: Draws) -> Analysed:
        """All members asked for, `threads` of them side by side; without observations their backgrounds, to the bit."""
        if not problem.nobs:
            return Analysed(problem.background[problem.members])
        values = problem.perturbed(draws.observation_errors(problem.rows))
        found = each_member(problem, lambda i, number: self.member(problem, number, [y[i] for y in values]),
                            self.settings.threads)
        if found:
            before, after, iterations = np.array([(one.before, one.after, one.iterations) for one in found]).T
            log.info("J per observation %.4g -> %.4g; iterations %.1f, at most %d", before.mean(), after.mean(),
                     iterations.mean(), iterations.max())
        return Analysed(stacked(problem, [one.x for one in found]))

    def member(self, problem: Problem, number: int, y: Sequence[np.ndarray]) -> "Minimised":
        """The analysis of member `number` with its own observed values `y` (n,) of each term."""
        background = torch.tensor(problem.background[number], dtype=torch.float64)
        values = [torch.tensor(each) for each in y]
        variational = Variational(problem, self.latent, self.deviation, background, values)
        zeta, iterations = torch.zeros_like(self.deviation), 0
        before = variational.cost(zeta)
        for _ in range(self.settings.steps):
            found = variational.step(zeta, self.settings.tolerance, self.settings.iterations)
            zeta, iterations = zeta + found.x, iterations + found.iterations
        return Minimised(variational.state(zeta).to(torch.float32).cpu().numpy(), float(before) / problem.nobs,
                         float(variational.cost(zeta)) / problem.nobs, iterations)


@dataclass(frozen=True)
class Minimised:
    """A member's analysis `x` float32 (channel, column), J for each observation before and after, and iterations."""

    x: np.ndarray
    before: float
    after: float
    iterations: int


@dataclass(frozen=True)
class Variational:
    """J of one member: `background` (channel, column) and `values` (n,) of each term, in double precision."""

    problem: Problem
    latent: Operator
    deviation: Tensor
    background: Tensor
    values: Sequence[Tensor]

    def state(self, zeta: Tensor) -> Tensor:
        """x_b + G zeta, in double precision."""
        increment = self.latent.increment(zeta, self.deviation)
        return self.background + increment.to(torch.float64).unflatten(-1, self.background.shape)

    def cost(self, zeta: Tensor) -> Tensor:
        """J, in double precision."""
        prior = 0.5 * zeta.to(torch.float64).square().sum()
        return prior + self.problem.cost([self.state(zeta)] * len(self.problem.terms), self.values)

    def gradient(self, zeta: Tensor) -> tuple[Tensor, list[Tangent]]:
        """dJ/dzeta, and the tangents of H of each term that it was made with."""
        x, found, tangents = self.state(zeta), zeta.clone(), []
        for term, y in zip(self.problem.terms, self.values, strict=True):
            tangents.append(term.tangent(x, zeta.dtype))
            departure = (y - term.forward.apply(x)) / term.variance.sqrt()
            found -= self.latent.adjoint(tangents[-1].adjoint(departure.to(zeta.dtype)), self.deviation)
        return found, tangents

    def step(self, zeta: Tensor, tolerance: float, iterations: int) -> Solution:
        """The Gauss-Newton step delta from `zeta`."""
        gradient, tangents = self.gradient(zeta)

        def hessian(v: Tensor) -> Tensor:
            dx = self.latent.increment(v, self.deviation)
            by_state = torch.stack([tangent.adjoint(tangent.apply(dx)) for tangent in tangents]).sum(0)
            return v + self.latent.adjoint(by_state, self.deviation)

        return minimise.conjugate_gradients(hessian, -gradient, tolerance, iterations)
