"""An ensemble filter inside a sampler: the errors of a flow are corrected while they grow out of their noise.

Members of a background made with a flow (`networks.flow`) are x = M(x') + s q(π/2), x' the member's analysis of the
time before and q its error, which grew from q(0), its noise, by dq/dθ = N(q, θ; x', M(x')).  The filter takes q back to
a late θ_1, and forward again through angles θ_1 … θ_m = π/2.  At each of them the ensemble of posterior estimates

    x̂ = c + s (sin θ q + cos θ N(q, θ)),        c = M(x') at first

is compared with the observations, whose errors have the variance R / γ_i there, Σ γ_i = 1 (`schedule`): together they
are one observation's information (as in multiple data assimilation, Emerick & Reynolds 2013, Comput. Geosci. 55, 3).
The local transform that this gives (`local_transform`) is that of c and of q, and between the angles the flow goes on,
so that what is far from any error that the network has seen is led back.  H is evaluated on the estimates, anew each
time: it need not be linear.

Early estimates have too little spread: that of n is not in them yet (sin²θ of it, where the flow knows nothing of the
state), so that shares given to early angles are not taken in whole.  A `schedule` of one share, at π/2, is the LETKF.
What going back and forth loses is added to c: without observations the analysis is the background, bit for bit.  The
first time of an experiment has no analysis before it, and all shares are those of π/2.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from contracts import times
from contracts.config import Experiment
from contracts.errors import UserError
from contracts.relaxation import rtps
from contracts.state import StateSpace
from networks import card as cards
from networks import unseen
from networks.checkpoint import card_path
from networks.flow import emulator, network
from networks.flow.emulator import FlowEmulator
from networks.flow.network import Velocity
from neural_da import local_transform
from neural_da.draws import Draws
from neural_da.local_transform import Taper
from neural_da.method import Analysed
from neural_da.methods import FlowFilter
from neural_da.problem import Problem
from neural_da.side_by_side import by_itself, each_member

log = logging.getLogger("neural_da.flow_filter")


def prepared(settings: FlowFilter, experiment: Experiment, space: StateSpace) -> "Prepared":
    """The method for states of `space`; raises UserError where its flow does not fit the experiment."""
    weights = experiment.in_work(settings.weights)
    made = emulator.read(weights, space)
    seen = cards.read(card_path(weights), weights).seen
    unseen.refuse_times_of(settings.unseen_in(experiment), weights, seen, "[neural]")
    if len(settings.schedule) > made.steps:
        raise UserError(f"[neural] schedule of {len(settings.schedule)} shares: the flow has {made.steps} steps, and "
                        "its noise alone is no estimate; give at most so many")
    if made.step != experiment.step:
        raise UserError(f"[neural] weights: a flow of steps of {made.step}, an experiment of {experiment.step}: name "
                        "others")
    return Prepared(settings, made, space)


@dataclass(frozen=True)
class Path:
    """The way of all members' errors: `velocity` is N of all of them."""

    angles: np.ndarray  # ascending, to π/2
    velocity: Velocity

    def between(self, q: Tensor, first: int, last: int) -> Tensor:
        """q taken from angle number `first` to number `last`, either way."""
        for here in range(first, last, 1 if last > first else -1):
            there = here + (1 if last > first else -1)
            q = network.advanced(q, float(self.angles[here]), float(self.angles[there] - self.angles[here]),
                                 self.velocity)
        return q


@dataclass(frozen=True)
class Prepared:
    """The method with its flow."""

    settings: FlowFilter
    emulator: FlowEmulator
    space: StateSpace

    def memory(self, nobs: int) -> float:
        """Tapers of all columns and products of all pairs of members are not counted: they depend on the ensemble."""
        return 8.0 * nobs * self.space.grid.size

    def analyse(self, problem: Problem, draws: Draws) -> Analysed:
        if not problem.terms:
            return Analysed(problem.background[problem.members])
        found = by_itself(lambda: self._of_all(problem))
        return Analysed(found[torch.from_numpy(problem.members)].numpy().astype(np.float32))

    def _of_all(self, problem: Problem) -> Tensor:
        """All members (k, channel, column) analysed."""
        background = torch.from_numpy(problem.background).to(torch.float64)
        taper = Taper.of(self.space, [term.table for term in problem.terms], self.settings.localization_km,
                         self.settings.localization_ln_p)
        update = self._updates(problem, taper)
        found = self._inside(problem, background, update) if problem.earlier.analyses else update(
            background, 1.0)(background)
        return relaxed(background, found, self.settings.alpha)

    def _updates(self, problem: Problem, taper: Taper) -> Callable[[Tensor, float], Callable[[Tensor], Tensor]]:
        """Of estimates (k, channel, column) and a share the transform of what belongs to the members."""
        sigma = torch.cat([term.variance.sqrt() for term in problem.terms])
        value = torch.cat([term.value for term in problem.terms])

        def transform(X: Tensor, share: float) -> Callable[[Tensor], Tensor]:
            Y = torch.cat([term.forward.apply(X) for term in problem.terms], dim=-1)  # (k, n)
            error = sigma / share**0.5
            y, d = ((Y - Y.mean(0)) / error).T.contiguous(), (value - Y.mean(0)) / error
            return local_transform.weights(y, d, taper, self.settings.inflation).applied

        return transform

    def _inside(self, problem: Problem, background: Tensor, update: Callable) -> Tensor:
        """Members (k, channel, column) analysed while their errors grow."""
        shares, grid = self.settings.schedule, self.space.grid.shape
        begin = problem.earlier.analyses[0].reshape(-1, *self.space.shape)
        ahead, path = self._path(problem, torch.from_numpy(begin))
        size, last = self.emulator.size.to(torch.float64), self.emulator.steps
        x_b = background.unflatten(-1, grid)
        first = last + 1 - len(shares)
        q = path.between(((x_b - ahead) / size).float(), last, first)
        c = x_b - size * path.between(q, first, last)  # M(x'), and what going back and forth lost
        for number, share in enumerate(shares, start=first):
            estimate = c + size * network.estimate(q, float(path.angles[number]), path.velocity)
            spread, of_background = ((X.var(0) / size.square()).mean().sqrt() for X in (estimate, x_b))
            log.info("θ = %.2f: share %.2f, spread of the estimates %.2f of the background's", path.angles[number],
                     share, float(spread / of_background))
            if share:
                transform = update(estimate.flatten(-2), share)
                c = transform(c.flatten(-2)).unflatten(-1, grid)
                q = transform(q.to(torch.float64).flatten(-2)).unflatten(-1, grid).float()
            if number < last:
                q = path.between(q, number, number + 1)
        return (c + size * q).flatten(-2)

    def _path(self, problem: Problem, begin: Tensor) -> tuple[Tensor, Path]:
        """M(x') of all members, and the path of their errors; each by itself, so that threads change no bit."""
        seconds = times.to_seconds(problem.time - self.emulator.step)
        every = _of_all(problem)

        @torch.no_grad()
        def told(i: int, number: int) -> tuple[Tensor, Tensor]:
            x = begin[number : number + 1]
            (ahead,) = self.emulator.forecast.advance((x,), seconds)
            return ahead[0], self.emulator.told(x, ahead, seconds)[0]

        ahead, conditions = map(torch.stack, zip(*each_member(every, told, self.settings.threads), strict=True))

        @torch.no_grad()
        def velocity(q: Tensor, theta: float) -> Tensor:
            def one(i: int, number: int) -> Tensor:
                N = network.velocity(self.emulator.flow, conditions[number : number + 1])
                return N(q[number : number + 1], theta)[0]

            return torch.stack(each_member(every, one, self.settings.threads))

        return ahead.to(torch.float64), Path(network.angles(self.emulator.steps), velocity)


def relaxed(background: Tensor, analysis: Tensor, alpha: float) -> Tensor:
    """The analysis with perturbations relaxed to the background's spread."""
    if not alpha:
        return analysis
    Xb, Xa = (X.numpy() - X.numpy().mean(axis=0) for X in (background, analysis))
    return analysis.mean(0) + torch.from_numpy(rtps(Xb, Xa, alpha))


def _of_all(problem: Problem) -> Problem:
    """The same problem with all members asked for: of what they share."""
    return replace(problem, members=np.arange(len(problem.background)))
