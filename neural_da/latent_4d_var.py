"""4D-Var with its control in a latent and a network as its model: the observations of a window, from its beginning.

    x_0 = x_b + dx,   dx = G zeta = t D(sqrt(b) zeta),   x_i = M(x_{i-1})             (networks.latent, `trajectory`)
    J(zeta) = 1/2 |zeta|^2 + 1/2 sum_i |R_i^-1/2 (y_i - H_i(x_i))|^2                  (Le Dimet & Talagrand 1986,
                                                                                      Tellus 38A, 97)

The analysis is that of the window's beginning, and the next background the forecast from it: the window may reach up to
the next analysis time.  The model is taken to be perfect, and its gradient is exact, by autograd through every step.

J / (number of observations) is minimised by L-BFGS.  Measured on ClimaX, an evaluation with its gradient costs two and
a half forecasts, and a Gauss-Newton iteration, which asks for the tangent model too, nearly three times as much as
that; both come as far in as many iterations.

How members come about (`latent_3d_var`), `ensemble`:

    recentred   the mean is analysed with y; about it stand the members' own departures from their mean, less half of
                what the gain of the observations at the window's beginning would take.  What later ones would take is
                not taken: the spread is too large for that, as far as the model's own error does not make up for it
    perturbed   each has its own background x_j and y + sigma eps_j: a minimisation for each member

A window of one time is `latent_3d_var`, minimised in another way.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import torch
from torch import Tensor

from contracts import humidity
from contracts.config import Experiment
from contracts.state import StateSpace
from networks.latent import card
from networks.latent.operator import Operator
from neural_da import latent_3d_var, minimise, trajectory
from neural_da.latent_3d_var import Covariance
from neural_da.methods import Latent3DVar, Latent4DVar
from neural_da.minimise import Solution
from neural_da.problem import Problem, Tangent
from neural_da.trajectory import Trajectory
from neural_da.variational import Minimum, Stops, Variational

log = logging.getLogger("neural_da.latent_4d_var")


def prepared(settings: Latent4DVar, experiment: Experiment, space: StateSpace) -> "Prepared":
    """The method for states of `space`; raises UserError where its latent or its model does not fit the experiment."""
    dtype = getattr(torch, settings.precision)
    latent = card.read(experiment.file(settings.latent, experiment.start), space, settings.unseen_in(experiment))
    model = trajectory.read(settings.checkpoint, space, settings.unseen_in(experiment), dtype, settings.recompute)
    return Prepared(of_3d_var(settings), Operator.of(latent, dtype=dtype), model, experiment.step)


def of_3d_var(settings: Latent4DVar) -> Latent3DVar:
    """What is the same in 3D-Var; of Gauss-Newton steps there are none."""
    shared = set(settings.__struct_fields__) & set(Latent3DVar.__struct_fields__)
    return Latent3DVar(**{name: getattr(settings, name) for name in sorted(shared)})


@dataclass(frozen=True)
class Prepared(latent_3d_var.Prepared):
    """The method with its latent and its model."""

    model: Trajectory
    longest: timedelta  # that a window can be

    def memory(self, nobs: int) -> float:
        """What 3D-Var takes, the pairs that L-BFGS remembers, and of the longest window what a gradient keeps."""
        pairs = 2 * 8 * minimise.PAIRS * self.latent.size
        in_hand = self.settings.threads if self.settings.ensemble == "perturbed" else 1
        return super().memory(nobs) + in_hand * (pairs + self.model.memory(self.model.steps(self.longest)))

    def variational(self, problem: Problem, covariance: Covariance, background: np.ndarray | Tensor,
                    values: list[np.ndarray]) -> "Window":
        of = super().variational(problem, covariance, background, values)
        kept = humidity.kept(problem.space, self.settings.humidity_below_hpa)
        return Window(problem, of.latent, of.deviation, of.background, of.values, self.model,
                      torch.tensor(~kept, dtype=torch.float64)[:, None])

    def carried(self, X: np.ndarray, begin: datetime, offsets: Sequence[timedelta]) -> Mapping[timedelta, np.ndarray]:
        """Members (k, channel, column) at the `offsets` after `begin`."""
        return self.model.members(X, begin, offsets, self.settings.threads)


@dataclass(frozen=True)
class Window(Variational):
    """J of one member over the times of the problem's terms; `changed` (channel, 1) is 0 where a field is not analysed,
    so that the model is given what will be written."""

    model: Trajectory
    changed: Tensor

    def increment(self, zeta: Tensor) -> Tensor:
        return self.changed * super().increment(zeta)

    def cost(self, zeta: Tensor) -> Tensor:
        """J, in double precision but for the model."""
        prior = 0.5 * zeta.to(torch.float64).square().sum()
        offsets = [term.offset for term in self.problem.terms]
        return prior + self.problem.cost(self.model.states(self.state(zeta), self.problem.time, offsets), self.values)

    def gradient(self, zeta: Tensor) -> tuple[Tensor, list[Tangent]]:
        """dJ/dzeta, through the model, and `tangents`."""
        at = zeta.detach().requires_grad_()
        (found,) = torch.autograd.grad(self.cost(at), at)
        return found, self.tangents(self.state(zeta))

    def tangents(self, x: Tensor) -> list[Tangent]:
        """Of the terms at the window's beginning, whose state is `x`."""
        return [term.tangent(x, self.deviation.dtype) for term in self.problem.terms if not term.offset]

    def gain(self, tangents: Sequence[Tangent], departure: Tensor, stops: Stops) -> Solution:
        """That of the observations at the window's beginning, which may be none."""
        if not tangents:
            return Solution(torch.zeros_like(self.deviation), 0, 0.0)
        return super().gain(tangents, departure, stops)

    def minimum(self, stops: Stops) -> Minimum:
        """From zeta = 0, by L-BFGS."""
        start, nobs = torch.zeros_like(self.deviation), self.problem.nobs
        found = minimise.quasi_newton(lambda zeta: self.cost(zeta) / nobs, start, stops.tolerance, stops.iterations)
        log.info("L-BFGS: %d evaluations, gradient %.2g of the first", found.iterations, found.residual)
        with torch.no_grad():
            before, after = float(self.cost(start)), float(self.cost(found.x))
        course = [before + nobs * change for change in found.course[:-1]]
        return Minimum(found.x, self.state(found.x), (*course, after))
