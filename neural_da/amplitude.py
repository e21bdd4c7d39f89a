"""How large background errors are in units of the climate's own, from what the background's mean misses.

    B = (1 - w) alpha^2 s C s + w rho o P_e          s, C of networks.climate; rho o P_e as in `circles`
    d = y - H(mean of the x_b),  p observations (after Dee 1995, MWR 123, 1128):

    alpha_d^2 = max(0, d^T R^-1 d - p - w tr(R^-1 H (rho o P_e) H^T)) / ((1 - w) tr(R^-1 H s C s H^T))
    alpha^2   = m alpha^2 of the time before + (1 - m) alpha_d^2

At the first time alpha is that of the day: an ensemble far from the truth would take days to be told so.  Traces are
means over draws v ~ N(0, I):  tr(A A^T) = E |A v|^2  or  tr(A) = E v^T A v (Hutchinson 1989, Comm. Stat. Sim. 18,
1059).
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from networks.climate.gaussian import Climate
from neural_da.draws import Draws
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
        return torch.from_numpy(self.climate.scale).dtype

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


def of_the_day(problem: Problem, draws: Draws, root: Root) -> float:
    """alpha_d^2 from the innovations of the background's mean, where B is that of the climate alone."""
    tangents = [term.tangent(_mean(problem), root.dtype) for term in problem.terms]
    return of_innovations(problem, trace(root, torch.ones(root.size, dtype=root.dtype), tangents, draws))


def of_innovations(problem: Problem, of_climate: float, of_members: float = 0.0, weight: float = 0.0) -> float:
    """alpha_d^2 from the traces of what observations see of both covariances."""
    values = [term.value for term in problem.terms]
    missed = 2 * float(problem.cost([_mean(problem)] * len(problem.terms), values))
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


@dataclass(frozen=True)
class Probes:
    """Draws v (n,) of the observations of a term, in columns (n, COUNT), and R^-1/2 H' at the background's mean."""

    matrix: csr_array
    draws: np.ndarray

    @classmethod
    def of(cls, problem: Problem, draws: Draws, dtype: torch.dtype) -> "Probes":
        (term,) = problem.terms
        v = np.stack([draws.normal(TRACES, number, len(term)) for number in range(COUNT)], axis=1)
        matrix = term.tangent(_mean(problem), dtype).matrix()
        return cls(matrix, v.astype(matrix.dtype))

    def trace(self, B: Callable[[Tensor], Tensor], shape: tuple[int, ...]) -> float:
        """tr(R^-1/2 H' B H'^T R^-1/2), the mean of v^T … v, of `B` times states (COUNT, *shape) at once."""
        by_state = np.ascontiguousarray((self.matrix.T @ self.draws).T)
        moved = B(torch.from_numpy(by_state).view(COUNT, *shape)).flatten(1).numpy()
        return float(np.einsum("no,no->", self.draws, self.matrix @ moved.T, dtype=np.float64)) / COUNT


def _mean(problem: Problem) -> Tensor:
    """(channel, column) of the background, in double precision."""
    return torch.tensor(problem.background.mean(axis=0, dtype=np.float64))
