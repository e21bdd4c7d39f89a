"""Four-dimensional ensemble-variational analysis in a latent (4DEnVar), without the adjoint of a model.

The increment at any time of the window is a combination of the members' perturbations there, with one and the same
coefficients v at all times (Liu, Xiao & Wang 2008, MWR 136, 3363), so that the members' forecasts stand for a model:

    dx(t) = sqrt(β (1 − w)/(k − 1)) sum_j X_j(t) v_j + sqrt(w) G zeta
    J(v, zeta) = 1/2 |v|² + 1/2 |zeta|² + 1/2 sum_t |R^-1/2 (y − H(x_b(t)) − H' dx(t))|²

X_j = R(Z_j), perturbations as the latent holds them (`in_latent`); H' is that of the mean.  `localization = "none"`: k
coefficients, the ensemble subspace in which LEVDA minimises (Si & Chen 2026, arXiv 2602.19406); for linear H the mean
is that of `latent_enkf`.  `"patch"`: k for each patch of the latent, and S^-1/2 times the sum over S patch grids, so
that the covariance is the mean over the grids of the members', zero between patches.  With `static` = w > 0 a hybrid
(Hamill & Snyder 2000, MWR 128, 2905): G is that of `three_d_var`, its increment the same at all times of the window.

Every member is analysed with perturbed observations (`draws`), from its own background.  `alpha` relaxes perturbations
to the prior ones: dx <- alpha dx̄ + (1 − alpha) dx_j, dx̄ the increment of the mean of all members.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import sqrt

import numpy as np
import torch
from torch import Tensor

from contracts.config import Experiment
from contracts.state import StateSpace
from networks.latent import card
from networks.latent.operator import Operator
from networks.latent.regions import Regions
from neural_da import in_latent, minimise
from neural_da.draws import Draws
from neural_da.found import Found, analysed_as, told
from neural_da.method import Analysed
from neural_da.methods import FourDEnVar
from neural_da.minimise import Solution
from neural_da.problem import Problem, Tangent
from neural_da.side_by_side import each_member

log = logging.getLogger("neural_da.four_d_en_var")


def prepared(settings: FourDEnVar, experiment: Experiment, space: StateSpace) -> "Prepared":
    """The method for states of `space`; raises UserError where its latent does not fit the experiment."""
    latent = card.read(experiment.file(settings.latent, experiment.start), space, settings.unseen_in(experiment))
    return Prepared(settings, Operator.of(latent, dtype=getattr(torch, settings.precision)), experiment.members)


@dataclass(frozen=True)
class Prepared:
    """The method with its latent, for so many members."""

    settings: FourDEnVar
    latent: Operator
    members: int

    def memory(self, nobs: int) -> float:
        """The bases; the perturbations of a time in state and latent, of each patch grid; what is observed of them, and
        H'; of each member in hand seven control vectors and four states."""
        number, size, state = self.latent.mean.element_size(), self.latent.size, self.latent.mean.numel()
        grids, k = len(self.latent.grids), self.members
        basis = number * sum(P.numel() for grid in self.latent.grids for P in grid.basis)
        of_time = 2 * number * k * (size + grids * state)
        seen = 4 * grids * number * k * nobs + 2 * 24 * 12 * nobs
        member = 7 * number * (size + k * size // 8) + 4 * 8 * state
        return float(basis + 2 * of_time + seen + self.settings.threads * member)

    def analyse(self, problem: Problem, draws: Draws) -> Analysed:
        """All members asked for, `threads` of them side by side; without observations their backgrounds, to the bit."""
        if not problem.nobs:
            return Analysed(problem.background[problem.members])
        settings, system = self.settings, System.of(self, problem)
        values = problem.perturbed(draws.observation_errors(problem.rows))
        mean = system.solved(departures_of_mean(problem)) if settings.alpha else None
        dx = system.increment(mean.x) if mean else torch.zeros(problem.background[0].shape, dtype=torch.float64)

        def member(i: int, number: int) -> Found:
            d = departures(problem, number, [torch.as_tensor(y[i]) for y in values])
            found, before = system.solved(d), 0.5 * float(sum(one.square().sum() for one in d))
            own = settings.alpha * dx + (1 - settings.alpha) * system.increment(found.x)
            return Found((problem.background[number] + own.numpy()).astype(np.float32), found.iterations,
                         (before + np.array(found.course)) / problem.nobs)

        found = each_member(problem, member, settings.threads)
        if found:
            log.info("%d coefficients for each member's perturbations; %s", system.now.count, told(found))
        return analysed_as(problem, found)


def departures(problem: Problem, number: int, values: Sequence[Tensor]) -> list[Tensor]:
    """R^-1/2 (y − H(x_b)) (n,) of each term, of member `number` with its own observed `values` (n,)."""
    backgrounds = [torch.as_tensor(in_latent.members_at(problem, term.offset)[number]) for term in problem.terms]
    return [(y - term.forward.apply(x)) / term.variance.sqrt()
            for term, x, y in zip(problem.terms, backgrounds, values, strict=True)]


def departures_of_mean(problem: Problem) -> list[Tensor]:
    """R^-1/2 (y − mean H(x_b)) (n,) of each term, of all members, with the observed values as they are."""
    each = [departures(problem, number, [term.value for term in problem.terms])
            for number in range(len(problem.background))]
    return [torch.stack(of_term).mean(0) for of_term in zip(*each, strict=True)]


@dataclass(frozen=True)
class Seen:
    """What is observed of localised perturbations, R^-1/2 H' X, in blocks of a `row` and a `region` (block,) that have
    to do with one another: `y` (block, k); `shape` (n, region)."""

    row: Tensor
    region: Tensor
    y: Tensor
    shape: tuple[int, int]

    def apply(self, v: Tensor) -> Tensor:
        """v (region, k) -> (n,)."""
        return v.new_zeros(self.shape[0]).index_add_(0, self.row, (self.y * v[self.region]).sum(1))

    def adjoint(self, w: Tensor) -> Tensor:
        """w (n,) -> (region, k)."""
        out = w.new_zeros(self.shape[1], self.y.shape[1])
        return out.index_add_(0, self.region, self.y * w[self.row][:, None])


@dataclass(frozen=True)
class Subspace:
    """The members' perturbations at one time: `X` (grid, k, channel * column), with all factors, and of each number the
    region that it lies in, `home` (grid, channel * column), of `count` ones."""

    X: Tensor
    home: Tensor
    count: int

    @classmethod
    def of(cls, latent: Operator, Z: Tensor, regions: Regions | None, factor: float) -> "Subspace":
        """From perturbations `Z` (k, size); all of the state in one region where there are no `regions`."""
        if regions is None:
            whole = factor * in_latent.put_back(latent, Z)
            return cls(whole[None], torch.zeros(1, whole.shape[1], dtype=torch.int64), 1)
        parts = Z.split([grid.size for grid in latent.grids], dim=-1)
        X = torch.stack([latent.scale * grid.spread(part) for grid, part in zip(latent.grids, parts, strict=True)])
        home = torch.as_tensor(regions.home).repeat(1, X.shape[2] // regions.home.shape[1])
        return cls(factor / sqrt(len(X)) * X, home, regions.count)

    def apply(self, v: Tensor) -> Tensor:
        """v (region, k) -> dx (channel * column,)."""
        return torch.stack([(X * v[home].T).sum(0) for X, home in zip(self.X, self.home, strict=True)]).sum(0)

    def seen(self, tangent: Tangent) -> Seen:
        """R^-1/2 H' X."""
        found = []
        for X, home in zip(self.X, self.home, strict=True):
            key, block = torch.unique(tangent.row * self.count + home[tangent.entry], return_inverse=True)
            y = X.new_zeros(len(key), X.shape[0])
            y.index_add_(0, block, tangent.coefficient[:, None] * X[:, tangent.entry].T)
            found.append((key // self.count, key % self.count, y))
        row, region, y = map(torch.cat, zip(*found, strict=True))
        return Seen(row, region, y, (tangent.shape[0], self.count))


@dataclass(frozen=True)
class System:
    """(I + Gᵀ H'ᵀ R⁻¹ H' G) c = Gᵀ H'ᵀ R^-1/2 d of the control vector c = (v, zeta), for any d.

    `now` and `seen` of the members' perturbations, at the time of the analysis and of each term; `tangents` of each
    term; `deviation` (size,) of the static part in the latent, None without one.
    """

    method: Prepared
    shape: torch.Size
    now: Subspace
    seen: tuple[Seen, ...]
    tangents: tuple[Tangent, ...]
    deviation: Tensor | None

    @classmethod
    def of(cls, method: Prepared, problem: Problem) -> "System":
        settings, latent = method.settings, method.latent
        factor = sqrt(settings.inflation * (1 - settings.static) / (len(problem.background) - 1))
        patches = settings.localization == "patch"
        regions = Regions.patches(latent, problem.space.grid.size) if patches else None

        def subspace(offset: timedelta) -> Subspace:
            Z = in_latent.perturbations(problem, latent, offset, settings.threads)
            return Subspace.of(latent, Z, regions, factor)

        now = subspace(in_latent.NOW)
        means = [torch.as_tensor(in_latent.members_at(problem, term.offset), dtype=torch.float64).mean(0)
                 for term in problem.terms]
        tangents = tuple(term.tangent(x, latent.mean.dtype) for term, x in zip(problem.terms, means, strict=True))
        seen = tuple((subspace(term.offset) if term.offset in problem.slots else now).seen(tangent)
                     for term, tangent in zip(problem.terms, tangents, strict=True))
        deviation = sqrt(settings.static) * settings.factor * latent.variance.sqrt() if settings.static else None
        return cls(method, torch.Size(problem.background.shape[1:]), now, seen, tangents, deviation)

    def split(self, c: Tensor) -> tuple[Tensor, Tensor]:
        """v (region, k) and zeta (size,), which may be empty."""
        k = self.now.X.shape[1]
        return c[: self.now.count * k].unflatten(0, (-1, k)), c[self.now.count * k :]

    def increment(self, c: Tensor) -> Tensor:
        """dx (channel, column) at the time of the analysis, in double precision."""
        v, zeta = self.split(c)
        dx = self.now.apply(v)
        if self.deviation is not None:
            dx = dx + self.method.latent.increment(zeta, self.deviation)
        return dx.to(torch.float64).unflatten(0, self.shape)

    def observed(self, c: Tensor) -> list[Tensor]:
        """R^-1/2 H' G c (n,) of each term."""
        v, zeta = self.split(c)
        found = [seen.apply(v) for seen in self.seen]
        if self.deviation is None:
            return found
        dx = self.method.latent.increment(zeta, self.deviation)
        return [one + tangent.apply(dx) for one, tangent in zip(found, self.tangents, strict=True)]

    def adjoint(self, d: Sequence[Tensor]) -> Tensor:
        """The adjoint of `observed`."""
        v = torch.stack([seen.adjoint(one) for seen, one in zip(self.seen, d, strict=True)]).sum(0).flatten()
        if self.deviation is None:
            return v
        by_state = torch.stack([tangent.adjoint(one) for tangent, one in zip(self.tangents, d, strict=True)]).sum(0)
        return torch.cat([v, self.method.latent.adjoint(by_state, self.deviation)])

    def solved(self, d: Sequence[Tensor]) -> Solution:
        """c for departures `d` (n,) of each term, in units of the observations' errors."""
        settings, dtype = self.method.settings, self.now.X.dtype
        return minimise.conjugate_gradients(lambda c: c + self.adjoint(self.observed(c)),
                                            self.adjoint([one.to(dtype) for one in d]), settings.tolerance,
                                            settings.iterations)
