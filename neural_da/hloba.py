r"""Closed-form analysis in a latent: the background and what a network makes of the observations, number by number.

    z_a = (z_b/b + z_o/r) / (1/b + 1/r)          p = 1/(1/b + 1/r)           x_a = x_b + t R(z_a - z_b)

as in HLOBA (arXiv 2603.04395).  z_o and r come from an observation-to-latent network (`networks.o2l`), the same for
all members; z_b from each member; b from where the settings say:

    "climatology"   factor^2 b_clim, of the errors that the latent was fitted from
    "ensemble"      amplitude^2 times the variance of the members, in part smoothed; `share` of it, the rest climatology
    "lagged"        the same of forecasts valid now that began at different times

With `prior = "removed"` z_o and r are freed of the climate that the network has learned (`networks.o2l.estimate`).  The
network errs where its stations do not see, and there it errs alike from one time to the next, which the formula does
not know: `persistence` multiplies r by the number of times that say the same.

Members keep as much of their own deviation z' after the update, (p/b) z', as fits into p, and get the rest as draws:

    g = min(p/b, sqrt(p/v))        z_a,j = mean + g z'_j + sqrt(p - g^2 v) eps_j,       v the variance of the members

so that the spread of the ensemble in the latent is p whatever b is, and that of perturbed observations (Burgers et al.
1998) where b is v.  eps has mean zero over the members; draws become states by t S^-1/2 sum_s D_s, independent of one
patch grid to another.  The field `uncertainty` is the standard deviation of the state that p stands for; what the
latent does not hold is not in it.
"""

import hashlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from math import sqrt

import numpy as np
import torch
from torch import Tensor

from contracts import times
from contracts.config import Experiment
from contracts.state import StateSpace
from networks.latent import card, uncertainty
from networks.latent.operator import Operator
from networks.o2l import estimate, gridding
from networks.o2l.estimate import Information
from networks.o2l.network import Observer
from neural_da.draws import Draws
from neural_da.method import Analysed
from neural_da.methods import Hloba
from neural_da.problem import Problem
from neural_da.side_by_side import each_member, stacked

log = logging.getLogger("neural_da.hloba")
LATENT = 3  # the stream of draws that become a member's own deviation


def prepared(settings: Hloba, experiment: Experiment, space: StateSpace) -> "Prepared":
    """The method for states of `space`; raises UserError where latent or weights do not fit the experiment."""
    path, unseen = experiment.file(settings.latent, experiment.start), settings.unseen_in(experiment)
    latent = Operator.of(card.read(path, space, unseen))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    weights = experiment.file(settings.weights, experiment.start)
    return Prepared(settings, latent, estimate.read(weights, latent, sha256, space, unseen))


@dataclass(frozen=True)
class Prepared:
    """The method with its latent and its network."""

    settings: Hloba
    latent: Operator
    observer: Observer

    def memory(self, nobs: int) -> float:
        """The bases; features of the network; of each member its latent vector and draws, and H' several times."""
        basis = 4 * sum(P.numel() for grid in self.latent.grids for P in grid.basis)
        features = 4 * 12 * sum(self.observer.shape.widths) * self.observer.grid.size
        return float(2 * basis + features + 8 * 40 * self.latent.size + 6 * 24 * 12 * nobs)

    def analyse(self, problem: Problem, draws: Draws) -> Analysed:
        """All members asked for; without observations their backgrounds, to the bit."""
        if not problem.nobs:
            return Analysed(problem.background[problem.members])
        told = self.told(problem)
        z = self.encoded(problem.background)
        b, v, mean = self.background_variance(problem, z), variance_of(z), z.mean(dim=0)
        analysis, p = estimate.combined(mean, b, told)
        update = Update(self.latent, mean, analysis - mean, p, b, v, draws)
        log.info("spread in the latent: background %.3g, assumed %.3g, analysis %.3g", *(float(one.mean()) ** 0.5
                                                                                       for one in (v, b, p)))
        found = each_member(problem, lambda _, number: update.member(problem.background[number], z[number], number),
                            self.settings.threads)
        field = uncertainty.deviation(self.latent, p).numpy().reshape(problem.background.shape[1:])
        return Analysed(stacked(problem, found), {"uncertainty": field.astype(np.float32)})

    def told(self, problem: Problem) -> Information:
        """What the observations say of the latent, with or without the climate that the network has learned."""
        seconds = times.to_seconds(problem.time)
        told = estimate.posterior(self.observer, self.gathered(problem, seconds), seconds)
        if self.settings.prior == "removed":
            told = told.without(*estimate.climate(self.observer, seconds))
        return told.of_each(self.settings.persistence)

    def gathered(self, problem: Problem, seconds: int) -> np.ndarray:
        """g and W (2, size) of the observations as departures from the climate of the date."""
        (term,) = problem.terms
        scale, xi = self.latent.scale.double(), self.observer.mean_of(np.array([seconds]))[0].double()
        x = (self.latent.mean.double() + scale * xi).unflatten(0, problem.background.shape[1:])
        departure = (term.value - term.forward.apply(x)) / term.variance.sqrt()
        rows = term.tangent(x, torch.float64).matrix()
        return gridding.gridded(gridding.in_scales(rows, scale.numpy()), departure.numpy())

    def background_variance(self, problem: Problem, z: Tensor) -> Tensor:
        """b (size,), of members whose latents are `z` (k, size)."""
        chosen, climatology = self.settings, self.settings.factor**2 * self.latent.variance.double()
        if chosen.background == "lagged":
            z = torch.cat([self.encoded(problem.earlier.forecasts), z.mean(dim=0, keepdim=True)])
        if chosen.background == "climatology" or len(z) < 2:  # at first no forecast has come so far
            return climatology
        flow = chosen.amplitude**2 * self.latent.smoothed(variance_of(z))
        return (1 - chosen.share) * climatology + chosen.share * flow

    def encoded(self, states: Iterable[np.ndarray]) -> Tensor:
        """(state, size) in double precision, one by one: the bits of each do not depend on the others."""
        found = [self.encode(x) for x in states]
        return torch.stack(found) if found else self.latent.variance.new_empty((0, self.latent.size)).double()

    def encode(self, x: np.ndarray) -> Tensor:
        """x (channel, column) -> z (size,); the difference from the latent's mean is taken in double precision."""
        xi = (torch.from_numpy(x).double().flatten() - self.latent.mean.double()) / self.latent.scale.double()
        return self.latent.project(xi.to(self.latent.mean.dtype)).double()


@dataclass(frozen=True)
class Update:
    """What is done to each member: mean z_b of the members, `background`, its `change`, and the variances p, `assumed`
    b and `sampled` v, (size,) each."""

    latent: Operator
    background: Tensor
    change: Tensor
    p: Tensor
    assumed: Tensor
    sampled: Tensor
    draws: Draws

    @cached_property
    def kept(self) -> Tensor:
        """g (size,): how much of its own deviation a member keeps."""
        return torch.minimum(self.p / self.assumed, (self.p / self.sampled).sqrt())

    @cached_property
    def drawn(self) -> Tensor:
        """sqrt(p - g^2 v) (size,)"""
        return (self.p - self.kept**2 * self.sampled).clamp(min=0).sqrt()

    @cached_property
    def centre(self) -> np.ndarray:
        """The mean of the draws of all members (size,)."""
        total = np.zeros(self.latent.size)
        for number in range(self.draws.members):
            total += self.draws.normal(LATENT, number, self.latent.size)
        return total / self.draws.members

    def member(self, x: np.ndarray, z: Tensor, number: int) -> np.ndarray:
        """The analysis float32 (channel, column) of member `number`, whose background is `x` and its latent `z`."""
        k = self.draws.members
        eps = np.sqrt(k / (k - 1)) * (self.draws.normal(LATENT, number, self.latent.size) - self.centre)
        moved = self.change + (self.kept - 1) * (z - self.background)
        fresh = sqrt(len(self.latent.grids)) * self.drawn * torch.from_numpy(eps)
        increment = self.latent.scale * self.latent.put_back((moved + fresh).to(self.latent.scale.dtype))
        return (x + increment.numpy().reshape(x.shape)).astype(np.float32)


def variance_of(z: Tensor) -> Tensor:
    """(size,) of latent vectors (n, size), with n - 1."""
    return z.var(dim=0, correction=1)
