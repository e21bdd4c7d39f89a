"""Ensembles of 3D-Var with the covariance of the Gaussian climate, and of the members beside it.

    B = (1 - w) alpha^2 s C s + w rho o P_e            s, C of networks.climate; rho o P_e as in `circles`

Each member has its own background and y + sigma eps_j (Burgers et al. 1998, MWR 126, 1719); J and its minimum as in
`observation_space`.  `alpha` follows from innovations and is carried from time to time (`amplitude`).
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from contracts.config import Experiment
from contracts.state import StateSpace
from neural_da import amplitude, prior
from neural_da.circles import Circles, OfMembers
from neural_da.draws import Draws
from neural_da.found import Found, analysed_as, told
from neural_da.method import Analysed
from neural_da.methods import ALPHA_SQUARED, ThreeDVar
from neural_da.observation_space import Costs
from neural_da.problem import Problem
from neural_da.side_by_side import by_itself, in_full_groups
from neural_da.together import Covariances, OfClimate
from neural_da.variational import Stops

log = logging.getLogger("neural_da.three_d_var")
_AT_ONCE = 20  # members to a group: modes and departures are read once for all of them


def prepared(settings: ThreeDVar, experiment: Experiment, space: StateSpace) -> "Prepared":
    """The method for states of `space`; raises UserError where its prior does not fit the experiment."""
    climate = OfClimate(prior.read(settings, experiment, space))
    return Prepared(settings, climate, experiment.members, circles_of(settings, space, climate.dtype))


def circles_of(settings: ThreeDVar, space: StateSpace, dtype: torch.dtype) -> Circles | None:
    """None where the members have no share."""
    if not settings.share:
        return None
    return Circles.of(space, settings.localization_km, settings.localization_ln_p, dtype)


@dataclass(frozen=True)
class Prepared:
    """The method with its prior, and what the members' own covariances need where they have a share."""

    settings: ThreeDVar
    climate: OfClimate
    members: int
    circles: Circles | None = None

    def memory(self, nobs: int) -> float:
        """The modes, and with a share the departures as seen by the vertical root; of each group in hand a dozen states
        of each member, its H' twice with its numbers by row and entry, twelve vectors of observations, and with a share
        three times what its states see of all members."""
        scale, members = self.climate.climate.scale, self.members
        seen = 0 if self.circles is None else scale.itemsize * scale[0].size * members * self.circles.vertical.shape[1]
        group = min(_AT_ONCE, members) * (12 * 8 * scale.size + 2 * 24 * 12 * nobs + 12 * 8 * nobs + 3 * seen)
        fixed = self.climate.climate.correlation.modes.nbytes + len(scale) * seen
        return float(fixed + self.settings.threads * group)

    def analyse(self, problem: Problem, draws: Draws) -> Analysed:
        """All members asked for, groups of them side by side; without observations their backgrounds, to the bit."""
        if not problem.nobs:
            return Analysed(problem.background[problem.members], carried=dict(problem.carried))
        members = self.of_members(problem.background)
        alpha_squared = by_itself(lambda: self.alpha_squared(problem, draws, members))
        B = Covariances(self.climate, alpha_squared, members, self.settings.share)
        found = in_full_groups(problem, self.minima(problem, draws, B), self.settings.threads, _AT_ONCE)
        if found:
            log.info("alpha %.3f; %s", alpha_squared**0.5, told(found))
        return analysed_as(problem, found, carried={ALPHA_SQUARED: alpha_squared})

    def minima(self, problem: Problem, draws: Draws, B: Covariances) -> Callable[[np.ndarray], list[Found]]:
        """Of J of the members of these numbers (m,), each from its own background, with its own observation errors."""
        (term,), everyone = problem.terms, replace(problem, members=np.arange(len(problem.background)))
        (values,) = everyone.perturbed(draws.observation_errors(problem.rows))
        stops = Stops(self.settings.tolerance, self.settings.iterations, self.settings.steps)

        def of_group(numbers: np.ndarray) -> list[Found]:
            background = torch.tensor(problem.background[numbers], dtype=torch.float64)
            return Costs(term, B, background, torch.tensor(values[numbers]), numbers).minima(stops)

        return of_group

    def of_members(self, background: np.ndarray) -> OfMembers | None:
        """rho o P_e of the `background` (k, channel, column), none where it has no share."""
        if self.circles is None:
            return None
        return OfMembers.of(self.circles, background, self.settings.leave_one_out)

    def alpha_squared(self, problem: Problem, draws: Draws, members: OfMembers | None) -> float:
        """Of this time, smoothed with that of the time before."""
        return amplitude.smoothed(problem, lambda: self.of_the_day(problem, draws, members), self.settings.smoothing)

    def of_the_day(self, problem: Problem, draws: Draws, members: OfMembers | None) -> float:
        """alpha_d^2 from the innovations of the background's mean."""
        probes, shape = amplitude.Probes.of(problem, draws, self.climate.dtype), problem.background.shape[1:]
        of_climate = probes.trace(self.climate.apply, shape)
        of_members = 0.0 if members is None else probes.trace(members.of_all, shape)
        return amplitude.of_innovations(problem, of_climate, of_members, self.settings.share)
