"""What drives a stochastic emulator: normal numbers that a member remembers from step to step.

    z(0) = xi(0),   z(n + 1) = rho z(n) + √(1 - rho²) xi(n + 1),   xi ~ N(0, 1) independent

a first-order autoregression: z is N(0, 1) at every step and its correlation with itself n steps later is rhoⁿ.  xi is
drawn by whoever steps, for a member in a cycle from (seed, time, member), and z is kept beside the member.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Noise:
    """Numbers of `shape`, (place, …, number); `memory`, rho, of the last axis, taken in turn where it has fewer.

    Of the last axis the last `common` numbers are the same at all places.  Raises ValueError where that cannot be.
    """

    shape: tuple[int, ...]
    memory: tuple[float, ...]
    common: int = 0

    def __post_init__(self):
        if not self.memory or not all(0 <= rho < 1 for rho in self.memory):
            raise ValueError(f"memory must be of one number or more from 0 to below 1, got {self.memory}")
        if not 0 <= self.common <= self.shape[-1]:
            raise ValueError(f"common must be from 0 to {self.shape[-1]}, got {self.common}")

    def next(self, kept: np.ndarray | None, random: np.random.Generator) -> np.ndarray:
        """z float32 of the next step after `kept`, or of the first one where nothing is."""
        fresh = self.drawn(random)
        return fresh if kept is None else self._remains * kept + np.sqrt(1 - self._remains**2) * fresh

    def drawn(self, random: np.random.Generator) -> np.ndarray:
        """xi float32"""
        fresh = random.standard_normal(self.shape, np.float32)
        if self.common:
            fresh[..., -self.common :] = fresh.reshape(-1, self.shape[-1])[0, -self.common :]
        return fresh

    def several(self, kept: np.ndarray | None, randoms: Sequence[np.random.Generator]) -> np.ndarray:
        """z (member, …) of members, each with the numbers of its own generator after what is `kept` (member, …)."""
        before = [None] * len(randoms) if kept is None else kept
        return np.stack([self.next(one, random) for one, random in zip(before, randoms, strict=True)])

    @cached_property
    def _remains(self) -> np.ndarray:
        """rho of each number of the last axis, float32."""
        return np.resize(np.asarray(self.memory, np.float32), self.shape[-1])
