"""Fields that relax to their mean over the grid: the smallest model that does something, with a parameter."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

import msgspec
import numpy as np

from contracts.config import Section
from contracts.parameters import Parameter
from contracts.state import StateSpace
from model_server.models.base import Batch


class Options(Section, frozen=True):
    """[model.options] of damped."""

    share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.1  # of the distance to the mean, lost in six hours


PARAMETERS = (Parameter("share", "1", 0.1, 0.0, 0.5),)  # takes the place of the option where an experiment names it


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
        share = np.float32(self.share)
        if batch.parameters is not None:
            share = np.float32(batch.parameters)[:, :, None, None]  # (member, 1, 1, 1)
        data = batch.data + share * (mean - batch.data)
        return Batch(batch.time + self.time_step, data, batch.restart)


def create(space: StateSpace, options: Options) -> Damped:
    return Damped(space, options.share)
