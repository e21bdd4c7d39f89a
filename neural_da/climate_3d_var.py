"""Ensembles of 3D-Var with the covariance of the Gaussian climate, and of the members beside it.

    B = (1 - w) alpha^2 s C s + w rho o P_e            s, C of networks.climate; rho o P_e as in `localized`
    dx = sqrt(1 - w) alpha s C^(1/2) zeta + …          J and its minimum as in `variational`

`alpha` follows from innovations and is carried from time to time (`amplitude`).
"""

import logging
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from contracts.config import Experiment
from contracts.state import StateSpace
from neural_da import amplitude, prior
from neural_da.amplitude import Root
from neural_da.draws import Draws
from neural_da.found import analysed_as, told
from neural_da.latent_3d_var import Covariance, perturbed
from neural_da.localized import Extended, Share, Taper
from neural_da.method import Analysed
from neural_da.methods import ALPHA_SQUARED, ThreeDVar
from neural_da.problem import Problem
from neural_da.side_by_side import by_itself, each_member
from neural_da.variational import Stops, Variational

log = logging.getLogger("neural_da.three_d_var")


def prepared(settings: ThreeDVar, experiment: Experiment, space: StateSpace) -> "Prepared":
    """The method for states of `space`; raises UserError where its prior does not fit the experiment."""
    climate = prior.read(settings.prior, experiment, space, settings.precision)
    return Prepared(settings, Root(climate),
                    share_of(settings, space, getattr(torch, settings.precision), experiment.members))


def share_of(settings: ThreeDVar, space: StateSpace, dtype: torch.dtype, members: int) -> Share | None:
    """None where the members have no share."""
    if not settings.share:
        return None
    return Share(Taper.of(space, settings.localization_km, settings.localization_ln_p, dtype), settings.share, members)


@dataclass(frozen=True)
class Prepared:
    """The method with its prior, and what the members' own covariances need where they have a share."""

    settings: ThreeDVar
    root: Root
    share: Share | None = None

    def memory(self, nobs: int) -> float:
        """The modes; of each member in hand a dozen states and H' with its numbers by row and entry, and with a share
        four times the departures of all."""
        number, size = self.root.climate.scale.itemsize, self.root.size
        shared = 0 if self.share is None else 4 * number * size * self.share.members
        member = 12 * 8 * size + 2 * 24 * 12 * nobs + shared
        return float(self.root.climate.correlation.modes.nbytes + self.settings.threads * member)

    def analyse(self, problem: Problem, draws: Draws) -> Analysed:
        """All members asked for, `threads` of them side by side; without observations their backgrounds, to the bit."""
        if not problem.nobs:
            return Analysed(problem.background[problem.members], carried=dict(problem.carried))
        alpha_squared = by_itself(lambda: self.alpha_squared(problem, draws))
        fitted = Fitted(self, alpha_squared)
        found = each_member(problem, perturbed(fitted, problem, draws), self.settings.threads)
        if found:
            log.info("alpha %.3f; %s", alpha_squared**0.5, told(found))
        return analysed_as(problem, found, carried={ALPHA_SQUARED: alpha_squared})

    def alpha_squared(self, problem: Problem, draws: Draws) -> float:
        """Of this time, smoothed with that of the time before."""
        return amplitude.smoothed(problem, lambda: amplitude.of_the_day(problem, draws, self.root, self.share),
                                  self.settings.smoothing)

    @property
    def dtype(self) -> torch.dtype:
        return getattr(torch, self.settings.precision)


@dataclass(frozen=True)
class Fitted:
    """The method with the alpha of a time: what `latent_3d_var.perturbed` asks for."""

    method: Prepared
    alpha_squared: float

    @property
    def stops(self) -> Stops:
        return Stops(self.method.settings.tolerance, self.method.settings.iterations, self.method.settings.steps)

    def covariances(self, problem: Problem) -> "Covariances":
        """B of the mean and of each member."""
        return Covariances(self, problem.background)

    def variational(self, problem: Problem, covariance: Covariance, background: np.ndarray,
                    values: list[np.ndarray]) -> Variational:
        """J of a member with this `background` (channel, column)."""
        return Variational(problem, covariance.maps, covariance.deviation,
                           torch.tensor(background, dtype=torch.float64), [torch.tensor(y) for y in values])


@dataclass(frozen=True)
class Covariances:
    """B of all members, or of each from the covariances of the others."""

    fitted: Fitted
    background: np.ndarray

    def of(self, number: int | None = None) -> Covariance:
        """Of member `number`, or of the mean."""
        return self._made(number) if self.fitted.method.settings.leave_one_out else self._of_all

    @cached_property
    def _of_all(self) -> Covariance:
        return self._made(None)

    def _made(self, number: int | None) -> Covariance:
        method = self.fitted.method
        own = torch.full((method.root.size,), self.fitted.alpha_squared**0.5, dtype=method.dtype)
        if method.share is None:
            return Covariance(method.root, own)
        maps: Extended = method.share.beside(method.root, self.background, number)
        return Covariance(maps, maps.deviation(own, method.share.weight))
