"""How large background errors are in units of the climate's own, from what the background's mean misses.

    B = (1 - w) alpha^2 s C s + w rho o P_e          s, C of networks.climate; rho o P_e as in `localized`
    d = y - H(mean of the x_b),  p observations (after Dee 1995, MWR 123, 1128):

    alpha_d^2 = max(0, d^T R^-1 d - p - w tr(R^-1 H (rho o P_e) H^T)) / ((1 - w) tr(R^-1 H s C s H^T))
    alpha^2   = m alpha^2 of the time before + (1 - m) alpha_d^2

At the first time alpha is that of the day: an ensemble far from the truth would take days to be told so.  Traces are
means over draws v ~ N(0, I):  tr(A A^T) = E |A v|^2 (Hutchinson 1989, Comm. Stat. Sim. 18, 1059).
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from networks.climate.gaussian import Climate
from neural_da.draws import Draws
from neural_da.localized import Share
from neural_da.methods import ALPHA_SQUARED
from neural_da.problem import Problem, Tangent
from neural_da.variational import Maps

log = logging.getLogger("neural_da.amplitude")
TRACES = 3  # the stream of the draws of traces
COUNT = 16  # of them: the trace of a thousand independent numbers is then known to a hundredth


@dataclass(frozen=True)
class Root:
    """The maps of s C^(1/2), which a control variable for each number of the state goes through."""

    climate: Climate

    @property
    def size(self) -> int:
        return self.climate.scale.size

    @property
    def dtype(self) -> torch.dtype:
        return torch.float32 if self.climate.scale.dtype == np.float32 else torch.float64

    def increment(self, zeta: Tensor, deviation: Tensor) -> Tensor:
        """s C^(1/2) (deviation zeta), (channel * column,)."""
        return torch.from_numpy(self.climate.draw(self._field(deviation * zeta))).flatten()

    def adjoint(self, gradient: Tensor, deviation: Tensor) -> Tensor:
        """deviation C^(1/2) s gradient: C^(1/2) is symmetric."""
        scaled = self.climate.scale * self._field(gradient)
        return deviation * torch.from_numpy(self.climate.correlation.apply(np.sqrt, scaled)).flatten()

    def _field(self, x: Tensor) -> np.ndarray:
        return x.numpy().reshape(self.climate.space.shape)


def smoothed(problem: Problem, of_the_day: Callable[[], float], memory: float) -> float:
    """alpha^2 of a time, with the part `memory` of what the time before carried, where there was one."""
    before = problem.carried.get(ALPHA_SQUARED, 0.0)
    if not problem.nobs:
        return before
    return memory * before + (1 - memory) * of_the_day() if before else of_the_day()


def of_the_day(problem: Problem, draws: Draws, root: Root, share: Share | None = None) -> float:
    """alpha_d^2 from the innovations of the background's mean."""
    mean, dtype = torch.tensor(problem.background.mean(axis=0, dtype=np.float64)), root.dtype
    missed = 2 * float(problem.cost([mean] * len(problem.terms), [term.value for term in problem.terms]))
    tangents = [term.tangent(mean, dtype) for term in problem.terms]
    of_climate = trace(root, torch.ones(root.size, dtype=dtype), tangents, draws)
    weight, of_members = 0.0, 0.0
    if share is not None:
        beside = share.beside(root, problem.background, None)
        no_climate = torch.zeros(root.size, dtype=dtype)
        weight, of_members = share.weight, trace(beside, beside.deviation(no_climate, 1.0), tangents, draws)
    log.info("innovations: %.3g of %d observations; in units of their errors the climate's variance there is %.3g, "
             "that of the members %.3g", missed, problem.nobs, of_climate, of_members)
    return max(0.0, missed - problem.nobs - weight * of_members) / ((1 - weight) * of_climate)


def trace(maps: Maps, deviation: Tensor, tangents: list[Tangent], draws: Draws) -> float:
    """tr(R^-1 H' G G^T H'^T) of the increments G by `maps`."""
    total = 0.0
    for number in range(COUNT):
        v = torch.tensor(draws.normal(TRACES, number, deviation.numel()), dtype=deviation.dtype)
        dx = maps.increment(v, deviation)
        total += sum(float(tangent.apply(dx).square().sum()) for tangent in tangents) / COUNT
    return total
