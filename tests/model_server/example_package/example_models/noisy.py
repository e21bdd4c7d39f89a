"""Persistence with a model error that has memory: the smallest model with noise, whose restart begins empty."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Annotated

import msgspec
import numpy as np

from contracts.config import Section
from contracts.state import StateSpace
from model_server.models.base import Batch, Restart


class Options(Section, frozen=True):
    """[model.options] of noisy."""

    size: Annotated[float, msgspec.Meta(ge=0)] = 0.01  # of the noise, as a share of each channel's standard deviation
    memory: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.8  # correlation of the noise of one step with the next


@dataclass(frozen=True)
class Noisy:
    """x(n + 1) = x(n) + size sd(x(n)) z(n + 1),  z(n + 1) = memory z(n) + sqrt(1 - memory²) ξ,  ξ ~ N(0, 1)"""

    space: StateSpace
    size: float
    memory: float
    name: str = "noisy"
    time_step: timedelta = timedelta(hours=6)
    history: int = 1
    keeps_restart: bool = True

    def step(self, batch: Batch) -> Batch:
        pairs = zip(batch.generators(), batch.restart, strict=True)
        z = np.stack([self._noise(random, kept or {}) for random, kept in pairs])
        data = batch.data + np.float32(self.size) * batch.data.std(axis=(2, 3), keepdims=True) * z
        return replace(batch, time=batch.time + self.time_step, data=data, restart=tuple({"z": one} for one in z))

    def _noise(self, random: np.random.Generator, kept: Restart) -> np.ndarray:
        """(channel, lat, lon) of one member; an experiment begins with noise that remembers nothing."""
        fresh = random.standard_normal(self.space.shape, dtype=np.float32)
        if "z" not in kept:
            return fresh
        return np.float32(self.memory) * kept["z"] + np.float32(np.sqrt(1 - self.memory**2)) * fresh


def create(space: StateSpace, options: Options) -> Noisy:
    return Noisy(space, options.size, options.memory)
