"""Random numbers of an analysis: each stream belongs to (seed, time, member), never to a process, batch or clock.

Observation errors of k members, each row of the table for itself:

    eps_j ~ N(0, 1),     then  sqrt(k/(k-1)) (eps_j - mean_j eps_j):  mean zero, variance one in expectation

so that perturbing adds no noise to the mean (Burgers et al. 1998, MWR 126, 1719; the factor makes up for the degree of
freedom that centring takes).
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from contracts import times

OBSERVATION_ERRORS, STATES = 1, 2  # streams of draws of a member; a method may use further ones


@dataclass(frozen=True)
class Draws:
    """What is random at a time of an experiment with so many members."""

    seed: int
    time: datetime
    members: int

    def normal(self, stream: int, member: int, shape: int | tuple[int, ...]) -> np.ndarray:
        """Standard normal draws of a member, counted from 0, float64."""
        source = (self.seed, int(times.name(self.time)), member, stream)
        return np.random.default_rng(source).standard_normal(shape)

    def centred(self, stream: int, size: int) -> np.ndarray:
        """(member, size) of all members, whose mean is zero and whose variance is one in expectation."""
        eps = np.stack([self.normal(stream, member, size) for member in range(self.members)])
        return np.sqrt(self.members / (self.members - 1)) * (eps - eps.mean(axis=0))

    def observation_errors(self, nobs: int) -> np.ndarray:
        """(member, nobs) of all members, in standard deviations of the errors of a table of `nobs` rows."""
        return self.centred(OBSERVATION_ERRORS, nobs)


@dataclass(frozen=True)
class Centred:
    """The same of draws that are too large to hold those of all members: `centre` is their mean."""

    draws: Draws
    stream: int
    centre: np.ndarray

    @classmethod
    def of(cls, draws: Draws, stream: int, shape: int | tuple[int, ...]) -> "Centred":
        centre = np.zeros(shape)
        for number in range(draws.members):
            centre += draws.normal(stream, number, shape) / draws.members
        return cls(draws, stream, centre)

    def member(self, number: int) -> np.ndarray:
        """Of member `number`, counted from 0."""
        k = self.draws.members
        return np.sqrt(k / (k - 1)) * (self.draws.normal(self.stream, number, self.centre.shape) - self.centre)
