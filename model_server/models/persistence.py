"""The forecast that nothing changes: the cheapest reference, and a model without any library."""

from dataclasses import dataclass, replace
from datetime import timedelta

from contracts.config import Positive, Section
from contracts.state import StateSpace
from model_server.models.base import Batch


class Options(Section, frozen=True):
    """[model.options] of persistence."""

    step_hours: Positive = 6


@dataclass(frozen=True)
class Persistence:
    """Tomorrow is as today."""

    space: StateSpace
    name: str = "persistence"
    time_step: timedelta = timedelta(hours=6)
    history: int = 1
    keeps_restart: bool = False

    def step(self, batch: Batch) -> Batch:
        return replace(batch, time=batch.time + self.time_step)


def create(space: StateSpace, options: Options) -> Persistence:
    return Persistence(space, time_step=timedelta(hours=options.step_hours))
