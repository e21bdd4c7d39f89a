"""Analyses from observations with a denoiser of the climate for a prior: guided samples.

Each member begins as a Gaussian analysis, one of `climatology`, in units of the climate's scale about x_0, to which
noise of size `start` is added; `sampler` carries it down to no noise:

    z = (x_i - x_0) / s + start n_i,     x_i = x_0 + s z at the end

With the Wiener filter for a denoiser members come out with the mean and covariance of the Gaussian analysis; with a
network with what it knows of states beyond a Gaussian.  Noise n_i is centred over the members, as p_i and e_i are.

x_0 is the mean of the date: no background enters.  With `background` = "ensemble" it is the mean of the members, and s
that of the climate times alpha, from innovations (`amplitude`): what is denoised then are errors of forecasts, of which
only a Gaussian is known here.
"""

import logging
from dataclasses import dataclass, replace

import numpy as np
import torch

from contracts.config import Experiment
from contracts.state import StateSpace
from networks import starter, unseen
from networks.climate.gaussian import Climate
from networks.denoiser import denoiser
from networks.denoiser.card import WIENER
from networks.denoiser.denoiser import Denoiser
from networks.denoiser.flow import levels
from neural_da import amplitude, climatology, prior
from neural_da.amplitude import Root
from neural_da.climatology import Drawn
from neural_da.draws import STATES, Centred, Draws
from neural_da.method import Analysed
from neural_da.methods import ALPHA_SQUARED, Climatology, Guided
from neural_da.observed import Observed
from neural_da.problem import Problem
from neural_da.sampler import Sampler
from neural_da.side_by_side import by_itself, in_groups, stacked

log = logging.getLogger("neural_da.guided")
NOISE = 4  # the stream of n_i
_AT_ONCE = 10  # members to a group: each mode is read once for all of them


def prepared(settings: Guided, experiment: Experiment, space: StateSpace) -> "Prepared":
    """The method for states of `space`; raises UserError where prior or denoiser do not fit the experiment."""
    climate = prior.read(settings, experiment, space)
    if settings.denoiser == WIENER:
        return Prepared(settings, Denoiser(climate))
    weights = experiment.in_work(str(starter.find(settings.denoiser, starter.WEIGHTS)))
    found, checkpoint = denoiser.read(weights, climate)
    unseen.refuse_times_of(settings.unseen_in(experiment), weights, checkpoint.card.seen, "[neural]")
    return Prepared(settings, found)


@dataclass(frozen=True)
class Prepared:
    """The method with its denoiser, about the climate."""

    settings: Guided
    denoiser: Denoiser

    def memory(self, nobs: int) -> float:
        """That of `climatology`, H' of each member in hand, and a few states more."""
        state = 8.0 * self.denoiser.climate.scale.size
        in_hand = self.settings.threads * _AT_ONCE
        return self.gaussian(self.denoiser.climate).memory(nobs) + in_hand * (8 * state + 2 * 24 * 12 * nobs)

    def analyse(self, problem: Problem, draws: Draws) -> Analysed:
        """All members asked for, in groups, `threads` of them side by side; without observations samples of the
        denoiser's own climate, or their backgrounds, to the bit."""
        if self.settings.background == "ensemble" and not problem.nobs:
            return Analysed(problem.background[problem.members], carried=dict(problem.carried))
        about = self.at(problem, draws)
        found = in_groups(problem, about.members, self.settings.threads, _AT_ONCE)
        return Analysed(stacked(problem, found), carried=about.carried)

    def at(self, problem: Problem, draws: Draws) -> "Begun":
        """What the members of a time share."""
        climate = self.denoiser.climate
        if self.settings.background == "none":
            return Begun.of(self, problem, draws, climate.mean(problem.time), climate, {})
        centre = problem.background.mean(axis=0, dtype=np.float64).reshape(climate.space.shape)
        alpha_squared = by_itself(lambda: self.alpha_squared(problem, draws))
        scale = (alpha_squared**0.5 * climate.scale).astype(climate.scale.dtype)
        return Begun.of(self, problem, draws, centre, replace(climate, scale=scale), {ALPHA_SQUARED: alpha_squared})

    def alpha_squared(self, problem: Problem, draws: Draws) -> float:
        """Of this time, smoothed with that of the time before."""
        root = Root(self.denoiser.climate)
        return amplitude.smoothed(problem, lambda: amplitude.of_the_day(problem, draws, root), self.settings.smoothing)

    @property
    def levels(self) -> tuple[float, ...]:
        """Of the noise, from the first on."""
        return levels(self.settings.start, self.settings.levels)

    def gaussian(self, prior: Climate) -> climatology.Prepared:
        """The method that members begin by."""
        chosen = Climatology(tolerance=self.settings.tolerance, iterations=self.settings.iterations,
                             precision=self.settings.precision, threads=self.settings.threads)
        return climatology.Prepared(chosen, prior)


@dataclass(frozen=True)
class Begun:
    """The analysis of a time: how its members are `drawn` about x_0, their `noise`, their perturbed `values` (m, n)
    and what is `carried`."""

    method: Prepared
    problem: Problem
    drawn: Drawn
    noise: Centred
    values: np.ndarray
    carried: dict[str, float]

    @classmethod
    def of(cls, method: Prepared, problem: Problem, draws: Draws, centre: np.ndarray, prior: Climate,
           carried: dict[str, float]) -> "Begun":
        """About the `centre` x_0 (channel, lat, lon), with the `prior`'s scale and covariance."""
        states, noise = (Centred.of(draws, stream, prior.space.shape) for stream in (STATES, NOISE))
        values = problem.perturbed(draws.observation_errors(problem.rows)) if problem.nobs else [np.empty(0)]
        return cls(method, problem, Drawn(prior, centre, states), noise, values[0], carried)

    def members(self, i: np.ndarray) -> list[np.ndarray]:
        """Float32 (channel, column) of the `i`-th ones, (m,), of the members asked for."""
        return self.carried_down(i, self.first(i))

    def carried_down(self, i: np.ndarray, first: np.ndarray) -> list[np.ndarray]:
        """The same of those that begin as `first` (m, channel, lat, lon)."""
        sampler, numbers = self.sampler, self.problem.members[i]
        noise = np.stack([self.noise.member(int(number)) for number in numbers])
        z = sampler.dimensionless(first - self.drawn.mean) + self.method.settings.start * noise
        z = sampler.sample(z.astype(self.drawn.prior.scale.dtype), self.method.levels)
        return [x.reshape(len(x), -1).astype(np.float32) for x in sampler.states(z)]

    def first(self, i: np.ndarray) -> np.ndarray:
        """The same as Gaussian analyses (m, channel, lat, lon), which they begin as."""
        prior, numbers = self.drawn.prior, self.problem.members[i]
        if not self.problem.nobs:
            return np.stack([self.drawn.member(int(number)) for number in numbers])
        observed = Observed.about(self.drawn.mean, prior, self.problem.terms[0])
        found = self.method.gaussian(prior).conditioned(observed, self.drawn, numbers, self.values[i])
        return np.stack([one.x for one in found]).reshape(-1, *prior.space.shape).astype(np.float64)

    @property
    def sampler(self) -> Sampler:
        term = self.problem.terms[0] if self.problem.nobs else None
        values = torch.empty(0, dtype=torch.float64) if term is None else term.value
        chosen, drawn = self.method.settings, self.drawn
        return Sampler(replace(self.method.denoiser, climate=drawn.prior), drawn.mean, self.problem.time, term, values,
                       chosen.tolerance, chosen.iterations)
