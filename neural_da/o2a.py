"""Observations to a state: optimal interpolation with the covariance of the Gaussian climate, and a network that
corrects it.

    background = "climate"     x_i = (that of `climatology`) + s N              i the members; s the climate's scale
    background = "ensemble"    x_i = x_b,i + B H'^T (H' B H'^T + R)^-1 (y + e_i - H(x_b,i)) + s N,    B = alpha^2 s C s

alpha follows from innovations and is carried (`amplitude`); e_i are centred over the members.  N knows the analysis of
the mean, without perturbations; its deviation, from draws of background errors of its own, each analysed by what the
observations see of it; and on the grid what it leaves of the observations (`networks.o2a`).  It is the same for all
members, so that their spread stays that of the Gaussian, which is a little more than what the network leaves of the
error.  A network that has learned nothing says nothing: no bit differs from the analysis without it.
"""

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import torch

from contracts import times
from contracts.config import Experiment
from contracts.state import StateSpace
from networks.climate.gaussian import Climate
from networks.o2a import deviation, reading
from networks.o2a.network import Corrector, Given
from networks.o2l import gridding
from neural_da import amplitude, climatology, prior
from neural_da.amplitude import Root
from neural_da.draws import Draws
from neural_da.method import Analysed
from neural_da.methods import ALPHA_SQUARED, O2A
from neural_da.observed import Observed, tensor
from neural_da.problem import Problem
from neural_da.side_by_side import by_itself, in_groups, stacked

AT_ONCE = 10  # members to a group: each mode is read once for all of them
DEVIATIONS = 4  # the stream of draws that tell the deviation: of states, then of errors of observations


def prepared(settings: O2A, experiment: Experiment, space: StateSpace) -> "Prepared":
    """The method for states of `space`; raises UserError where prior or weights do not fit the experiment."""
    climate = prior.read(settings, experiment, space)
    sha256 = hashlib.sha256(experiment.file(settings.prior, experiment.start).read_bytes()).hexdigest()
    weights = experiment.file(settings.weights, experiment.start)
    about_forecasts = settings.background == "ensemble"
    return Prepared(settings, climate, *reading.read(weights, sha256, space, settings.unseen_in(experiment),
                                                   about_forecasts))


@dataclass(frozen=True)
class Prepared:
    """The method with its prior, the network, and the `count` of draws that it is told by."""

    settings: O2A
    prior: Climate
    corrector: Corrector
    count: int

    def memory(self, nobs: int) -> float:
        """That of the members; a state and vectors of each draw; features of the network."""
        features = 4 * 12 * sum(self.corrector.shape.widths) * self.corrector.grid.size
        return self.alone.memory(nobs) + self.count * 8.0 * (4 * self.prior.scale.size + 8 * nobs) + features

    @property
    def alone(self) -> climatology.Prepared:
        """What it is about the climate, without the network."""
        return climatology.Prepared(self.settings, self.prior)

    def analyse(self, problem: Problem, draws: Draws) -> Analysed:
        """All members asked for; without observations draws from the climate, or the backgrounds to the bit."""
        about_climate = self.settings.background == "climate"
        if not problem.nobs:
            return (self.alone.analyse(problem, draws) if about_climate
                    else Analysed(problem.background[problem.members], carried=dict(problem.carried)))
        if about_climate:
            found = self.alone.analyse(problem, draws)
            about = About.climate(self.prior, problem)
        else:
            alpha_squared = by_itself(lambda: amplitude.smoothed(
                problem, lambda: amplitude.of_the_day(problem, draws, Root(self.prior)), self.settings.smoothing))
            about = About.members(self.prior, problem, alpha_squared)
            found = Analysed(self.conditioned(about, problem, draws), carried={ALPHA_SQUARED: alpha_squared})
        correction = by_itself(lambda: self.correction(problem, about, draws))
        return replace(found, members=found.members + correction)

    def conditioned(self, about: "About", problem: Problem, draws: Draws) -> np.ndarray:
        """float32 (m, channel, column): members about their own backgrounds, not corrected."""
        (values,) = problem.perturbed(draws.observation_errors(problem.rows))

        def group(i: np.ndarray) -> list[np.ndarray]:
            x = problem.background[problem.members[i]].reshape(-1, *self.prior.space.shape).astype(np.float64)
            d = torch.stack([about.observed.departure(one, torch.as_tensor(y))
                             for one, y in zip(x, values[i], strict=True)])
            return list((x + self.increments(about.observed, d)).reshape(len(i), *problem.background.shape[1:]))

        return stacked(problem, in_groups(problem, group, self.settings.threads, AT_ONCE))

    def correction(self, problem: Problem, about: "About", draws: Draws) -> np.ndarray:
        """s N float32 (channel, column), the same for all members."""
        given = self.given(problem, about, draws)
        with torch.no_grad():
            found = self.corrector(given)[0].numpy()
        return (self.prior.scale * found).astype(np.float32).reshape(len(found), -1)

    def given(self, problem: Problem, about: "About", draws: Draws) -> Given:
        """What the network is told of the distribution given the observations."""
        (term,), observed, scale = problem.terms, about.observed, self.prior.scale
        states, seen = self.drawn(observed, draws)
        departure = observed.departure(about.mean, term.value)
        increment, *of_draws = self.increments(observed, torch.stack([departure, *seen]))
        analysis = about.mean + increment
        A = gridding.in_scales(term.tangent(tensor(analysis), torch.float64).matrix(), scale.ravel())
        left = gridding.gridded(A, observed.departure(analysis, term.value).numpy())
        away = about.mean - self.prior.mean(problem.time) + increment
        scaled = [np.divide(each, scale, out=np.zeros_like(each), where=scale > 0)
                  for each in (away, *(state - found for state, found in zip(states, of_draws, strict=True)))]
        return Given(torch.from_numpy(left).unflatten(-1, about.mean.shape)[None], _batch(scaled[0]),
                     _batch(deviation.of(np.stack(scaled[1:]))), np.array([times.to_seconds(problem.time)]))

    def drawn(self, observed: Observed, draws: Draws) -> tuple[list[np.ndarray], list[torch.Tensor]]:
        """Draws p (channel, lat, lon) of background errors, and of each what the observations see, H' p + e in units of
        their errors."""
        prior, n = observed.prior, len(observed.term)
        states, seen = [], []
        for number in range(self.count):
            noise = draws.normal(DEVIATIONS, number, prior.scale.size + n)
            states.append(prior.draw(noise[:-n].reshape(prior.scale.shape).astype(prior.scale.dtype)))
            flat = torch.as_tensor(states[-1]).flatten().to(torch.float64)
            seen.append(observed.tangents[0].apply(flat) + torch.as_tensor(noise[-n:]))
        return states, seen

    def increments(self, observed: Observed, departures: torch.Tensor) -> np.ndarray:
        """(m, channel, lat, lon) of `departures` (m, n) in units of the errors."""
        found = observed.solved(departures, self.settings.tolerance, self.settings.iterations)
        return observed.increments(torch.stack([one.x for one in found]))


@dataclass(frozen=True)
class About:
    """What the prior lies about: `mean` (channel, lat, lon), and the observations and B, H made linear there."""

    mean: np.ndarray
    observed: Observed

    @classmethod
    def climate(cls, of: Climate, problem: Problem) -> "About":
        mean = of.mean(problem.time)
        return cls(mean, Observed.about(mean, of, problem.terms[0]))

    @classmethod
    def members(cls, of: Climate, problem: Problem, alpha_squared: float) -> "About":
        mean = problem.background.mean(axis=0, dtype=np.float64).reshape(of.space.shape)
        scaled = replace(of, scale=(alpha_squared**0.5 * of.scale).astype(of.scale.dtype))
        return cls(mean, Observed.about(mean, scaled, problem.terms[0]))


def _batch(x: np.ndarray) -> torch.Tensor:
    return torch.as_tensor(x, dtype=torch.float32)[None]
