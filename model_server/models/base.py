"""What a forecast model is to this system: something that carries an ensemble from one time to the next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

import numpy as np

from contracts.state import StateSpace
from contracts.static import Static

Restart = Mapping[str, np.ndarray]  # what a model keeps of one member for itself; nobody else looks inside


@dataclass(frozen=True)
class Batch:
    """Some members at one time.

    `data` float32 (member, channel, lat, lon) is what the programs exchange.  `restart` has one entry per member,
    None for a model that keeps nothing: what its last step left, valid at the same time, whose fields the
    analysis may since have changed in `data`.
    """

    time: datetime
    data: np.ndarray
    restart: tuple[Restart | None, ...]

    def __post_init__(self):
        if len(self.data) != len(self.restart):
            raise ValueError(f"{len(self.data)} members but {len(self.restart)} restart entries")


class ForecastModel(Protocol):
    """A member's forecast depends on that member alone, never on its neighbours in the batch."""

    name: str  # with everything that a restart depends on, such as speedy-t21
    space: StateSpace
    time_step: timedelta
    history: int  # past states a step needs; 1 is the present one
    keeps_restart: bool

    def step(self, batch: Batch) -> Batch:
        """The batch one `time_step` later."""
        ...


@runtime_checkable
class NatureModel(ForecastModel, Protocol):
    """A model that can also begin a run of its own, which needs a climate that does not drift."""

    static: Static

    def cold_start(self, time: datetime) -> Batch:
        """One member from rest; the first months are spin-up."""
        ...

    def adopt(self, restarts: Sequence[Restart], time: datetime) -> Batch:
        """Members from restarts of this kind of model, of any resolution, taken to be valid at `time`."""
        ...
