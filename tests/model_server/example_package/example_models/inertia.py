"""Fields that go on as they went: the smallest model that needs two states."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Annotated

import msgspec
import numpy as np

from contracts.config import Section
from contracts.state import StateSpace
from model_server.models.base import Batch


class Options(Section, frozen=True):
    """[model.options] of inertia."""

    share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5  # of the change over the last step that the next one brings
    step_hours: Annotated[int, msgspec.Meta(ge=1)] = 6


@dataclass(frozen=True)
class Inertia:
    """x(n + 1) = x(n) + share (x(n) - x(n - 1))"""

    space: StateSpace
    share: float
    time_step: timedelta
    name: str = "inertia"
    history: int = 2
    keeps_restart: bool = False

    def step(self, batch: Batch) -> Batch:
        data = batch.data + np.float32(self.share) * (batch.data - batch.before)
        return replace(batch, time=batch.time + self.time_step, data=data)


def create(space: StateSpace, options: Options) -> Inertia:
    return Inertia(space, options.share, timedelta(hours=options.step_hours))
