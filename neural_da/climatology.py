"""An analysis from observations alone: draws from the Gaussian climate, given the observations.

    x ~ N(m, B),  B = s C s,  m the mean of the date (networks.climate);     y = H(x) + e,  e ~ N(0, R)

Each member is a draw from the climate, moved by the difference between perturbed observations and its own (Matheron's
rule: Journel & Huijbregts 1978, Mining Geostatistics), with H' the tangent of H at m:

    p_i ~ N(0, B),   d_i = y + e_i - H(m + p_i)
    (I + R^-1/2 H' B H'^T R^-1/2) w_i = R^-1/2 d_i              by conjugate gradients, of each member on its own
    x_i = m + p_i + B H'^T R^-1/2 w_i

For linear H the members are draws from the conditional distribution itself, that of a Kalman filter whose background
has mean m and covariance B.  p_i and e_i are centred over all members and multiplied by sqrt(k/(k-1)), so that the mean
of the members is that of the distribution and not of k draws.  No background enters; departures are taken from it.
"""

import logging
from dataclasses import dataclass

import numpy as np
import torch

from contracts.config import Experiment
from contracts.state import StateSpace
from networks.climate.gaussian import Climate
from neural_da import prior
from neural_da.draws import STATES, Centred, Draws
from neural_da.method import Analysed
from neural_da.methods import FromClimate
from neural_da.observed import Observed
from neural_da.problem import Problem
from neural_da.side_by_side import in_groups, stacked

log = logging.getLogger("neural_da.climatology")
_AT_ONCE = 10  # members to a group: each mode is read once for all of them


def prepared(settings: FromClimate, experiment: Experiment, space: StateSpace) -> "Prepared":
    """The method for states of `space`; raises UserError where its prior does not fit the experiment."""
    return Prepared(settings, prior.read(settings, experiment, space))


@dataclass(frozen=True)
class Prepared:
    """The method with its prior."""

    settings: FromClimate
    prior: Climate

    def memory(self, nobs: int) -> float:
        """The modes, the mean of the noise, H' twice, and for each member in hand a few states and vectors."""
        state, observed = 8.0 * self.prior.scale.size, 8.0 * nobs
        in_hand = self.settings.threads * _AT_ONCE
        return self.prior.correlation.modes.nbytes + 48 * observed + 2 * state + in_hand * (8 * state + 8 * observed)

    def analyse(self, problem: Problem, draws: Draws) -> Analysed:
        """All members asked for, in groups, `threads` of them side by side; without observations draws from the
        climate."""
        drawn = Drawn.of(self.prior, draws)
        if not problem.nobs:
            return Analysed(stacked(problem, [_columns(drawn.member(int(number))) for number in problem.members]))
        (term,) = problem.terms
        (values,) = problem.perturbed(draws.observation_errors(problem.rows))
        observed = Observed.about(drawn.mean, self.prior, term)
        found = in_groups(problem, lambda i: self.conditioned(observed, drawn, problem.members[i], values[i]),
                          self.settings.threads, _AT_ONCE)
        if found:
            iterations, residual = np.array([(one.iterations, one.residual) for one in found]).T
            log.info("conjugate gradients: %.1f iterations, at most %d; residual %.2g, at most %.2g of the first",
                     iterations.mean(), iterations.max(), residual.mean(), residual.max())
        return Analysed(stacked(problem, [one.x for one in found]))

    def conditioned(self, observed: Observed, drawn: "Drawn", members: np.ndarray,
                    y: np.ndarray) -> list["Conditioned"]:
        """The `members` (m,), numbers from 0, given their observed values `y` (m, n)."""
        x = [drawn.member(int(number)) for number in members]
        d = torch.stack([observed.departure(one, torch.as_tensor(of_it)) for one, of_it in zip(x, y, strict=True)])
        found = observed.solved(d, self.settings.tolerance, self.settings.iterations)
        increments = observed.increments(torch.stack([one.x for one in found]))
        return [Conditioned(_columns(one + dx), w.iterations, w.residual)
                for one, dx, w in zip(x, increments, found, strict=True)]


@dataclass(frozen=True)
class Conditioned:
    """A member's analysis `x` float32 (channel, column), and how its conjugate gradients ended."""

    x: np.ndarray
    iterations: int
    residual: float


@dataclass(frozen=True)
class Drawn:
    """m + p_i; `mean` (channel, lat, lon) is m, `noise` what p_i are made of."""

    prior: Climate
    mean: np.ndarray
    noise: Centred

    @classmethod
    def of(cls, prior: Climate, draws: Draws) -> "Drawn":
        """At the time of the `draws`."""
        return cls(prior, prior.mean(draws.time), Centred.of(draws, STATES, prior.space.shape))

    def member(self, number: int) -> np.ndarray:
        """(channel, lat, lon) in double precision; B works in the precision of the prior."""
        return self.mean + self.prior.draw(self.noise.member(number).astype(self.prior.scale.dtype))


def _columns(x: np.ndarray) -> np.ndarray:
    """(channel, lat, lon) -> float32 (channel, column)."""
    return x.reshape(len(x), -1).astype(np.float32)
