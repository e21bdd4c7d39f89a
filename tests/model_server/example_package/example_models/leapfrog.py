"""Fields carried round the globe by leapfrog steps: two states that must belong together, and an exact solution.

    x(n + 1) = x(n - 1) - c (east(x(n)) - west(x(n)))

A wave cos(k j - ω n) along a row is one for ever, with sin ω = c sin k, where its first two states are.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Annotated

import msgspec
import numpy as np

from contracts.config import Section
from contracts.state import StateSpace
from model_server.models.base import Batch


class Options(Section, frozen=True):
    """[model.options] of leapfrog."""

    courant: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.5  # c, grid lengths in a step


@dataclass(frozen=True)
class Leapfrog:
    """The scheme above, every channel alike."""

    space: StateSpace
    courant: float
    name: str = "leapfrog"
    time_step: timedelta = timedelta(hours=6)
    history: int = 2
    keeps_restart: bool = False

    def step(self, batch: Batch) -> Batch:
        slope = np.roll(batch.data, -1, axis=-1) - np.roll(batch.data, 1, axis=-1)
        return replace(batch, time=batch.time + self.time_step, data=batch.before - np.float32(self.courant) * slope)


def create(space: StateSpace, options: Options) -> Leapfrog:
    return Leapfrog(space, options.courant)
