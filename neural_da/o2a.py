"""Observations to a state: the analysis from the Gaussian climate (`climatology`), and a network that corrects it.

    x_i = (that of `climatology`) + s N                   i the members; s the scale of the climate

N knows the mean of the distribution, solved for as members are but without draws; its deviation, from draws of the
climate of its own, each analysed by what the observations see of it; and on the grid what the mean leaves of the
observations (`networks.o2a`).  It is the same for all members, so that their spread stays that of the climate, which
is a little more than what the network leaves of the error.  A network that has learned nothing says nothing, and no bit
differs from `climatology`.
"""

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import torch

from contracts import times
from contracts.config import Experiment
from contracts.state import StateSpace
from networks.o2a import deviation, reading
from networks.o2a.network import Corrector, Given
from networks.o2l import gridding
from neural_da import climatology
from neural_da.draws import Draws
from neural_da.method import Analysed
from neural_da.methods import O2A
from neural_da.observed import Observed, tensor
from neural_da.problem import Problem
from neural_da.side_by_side import by_itself

DEVIATIONS = 4  # the stream of draws that tell the deviation: of states, then of errors of observations


def prepared(settings: O2A, experiment: Experiment, space: StateSpace) -> "Prepared":
    """The method for states of `space`; raises UserError where prior or weights do not fit the experiment."""
    alone = climatology.prepared(settings, experiment, space)
    sha256 = hashlib.sha256(experiment.file(settings.prior, experiment.start).read_bytes()).hexdigest()
    weights = experiment.file(settings.weights, experiment.start)
    return Prepared(alone, *reading.read(weights, sha256, space, experiment))


@dataclass(frozen=True)
class Prepared:
    """`alone` is the method without the network, `corrector` the network, `count` the draws that it is told by."""

    alone: climatology.Prepared
    corrector: Corrector
    count: int

    def memory(self, nobs: int) -> float:
        """That of `alone`; a state and vectors of each draw; features of the network."""
        features = 4 * 12 * sum(self.corrector.shape.widths) * self.corrector.grid.size
        return self.alone.memory(nobs) + self.count * 8.0 * (4 * self.alone.prior.scale.size + 8 * nobs) + features

    def analyse(self, problem: Problem, draws: Draws) -> Analysed:
        """All members asked for; without observations draws from the climate."""
        found = self.alone.analyse(problem, draws)
        if not problem.nobs:
            return found
        correction = by_itself(lambda: self.correction(problem, draws))
        return replace(found, members=found.members + correction)

    def correction(self, problem: Problem, draws: Draws) -> np.ndarray:
        """s N float32 (channel, column), the same for all members."""
        given = self.given(problem, draws)
        with torch.no_grad():
            found = self.corrector(given)[0].numpy()
        return (self.alone.prior.scale * found).astype(np.float32).reshape(len(found), -1)

    def given(self, problem: Problem, draws: Draws) -> Given:
        """What the network is told of the distribution given the observations."""
        (term,), prior = problem.terms, self.alone.prior
        mean = prior.mean(problem.time)
        observed = Observed.about(mean, prior, term)
        states, seen = self.drawn(observed, draws)
        increment, *of_draws = self.increments(observed, torch.stack([observed.departure(mean, term.value), *seen]))
        analysis = mean + increment
        A = gridding.in_scales(term.tangent(tensor(analysis), torch.float64).matrix(), prior.scale.ravel())
        left = gridding.gridded(A, observed.departure(analysis, term.value).numpy())
        scaled = [np.divide(each, prior.scale, out=np.zeros_like(each), where=prior.scale > 0)
                  for each in (increment, *(state - found for state, found in zip(states, of_draws, strict=True)))]
        return Given(torch.from_numpy(left).unflatten(-1, mean.shape)[None], _batch(scaled[0]),
                     _batch(deviation.of(np.stack(scaled[1:]))), np.array([times.to_seconds(problem.time)]))

    def drawn(self, observed: Observed, draws: Draws) -> tuple[list[np.ndarray], list[torch.Tensor]]:
        """Draws p (channel, lat, lon) of the climate about its mean, and of each what the observations see, H' p + e in
        units of their errors."""
        prior, n = self.alone.prior, len(observed.term)
        states, seen = [], []
        for number in range(self.count):
            noise = draws.normal(DEVIATIONS, number, prior.scale.size + n)
            states.append(prior.draw(noise[:-n].reshape(prior.scale.shape).astype(prior.scale.dtype)))
            flat = torch.as_tensor(states[-1]).flatten().to(torch.float64)
            seen.append(observed.tangents[0].apply(flat) + torch.as_tensor(noise[-n:]))
        return states, seen

    def increments(self, observed: Observed, departures: torch.Tensor) -> np.ndarray:
        """(m, channel, lat, lon) of `departures` (m, n) in units of the errors."""
        settings = self.alone.settings
        found = observed.solved(departures, settings.tolerance, settings.iterations)
        return observed.increments(torch.stack([one.x for one in found]))


def _batch(x: np.ndarray) -> torch.Tensor:
    return torch.as_tensor(x, dtype=torch.float32)[None]
