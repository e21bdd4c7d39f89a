"""Fields that relax to their mean over the grid: the smallest model that does something."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

import msgspec
import numpy as np

from contracts.config import Section
from contracts.state import StateSpace
from model_server.models.base import Batch


class Options(Section, frozen=True):
    """[model.options] of damped."""

    share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.1  # of the distance to the mean, lost in six hours


@dataclass(frozen=True)
class Damped:
    """x <- x + share (mean - x)"""

    space: StateSpace
    share: float
    name: str = "damped"
    time_step: timedelta = timedelta(hours=6)
    history: int = 1
    keeps_restart: bool = False

    def step(self, batch: Batch) -> Batch:
        mean = batch.data.mean(axis=(2, 3), keepdims=True)
        data = batch.data + np.float32(self.share) * (mean - batch.data)
        return Batch(batch.time + self.time_step, data, batch.restart)


def create(space: StateSpace, options: Options) -> Damped:
    return Damped(space, options.share)
