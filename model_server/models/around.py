"""A forecast model around another one, which it is in all but its step."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from contracts.state import StateSpace
from model_server.models.base import ForecastModel, seen_by


@dataclass(frozen=True)
class Around:
    """What the `model` inside says of itself; who stands around it adds `step`."""

    model: ForecastModel

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def space(self) -> StateSpace:
        return self.model.space

    @property
    def time_step(self) -> timedelta:
        return self.model.time_step

    @property
    def history(self) -> int:
        return self.model.history

    @property
    def keeps_restart(self) -> bool:
        return self.model.keeps_restart

    @property
    def seen(self) -> tuple[tuple[datetime, datetime], ...]:
        return seen_by(self.model)

    @property
    def identity(self) -> Mapping[str, Any] | None:
        return getattr(self.model, "identity", None)


def with_error(fields: np.ndarray, error: np.ndarray, humid: np.ndarray) -> tuple[np.ndarray, int]:
    """Fields and error (channel, lat, lon) added, and the number of humidities that it made negative, which are zero.

    `humid` (channel,) says which they are; where the error is zero the fields stay to the last bit.
    """
    found = np.where(error == 0, fields, fields + error)
    floor = np.where(humid[:, None, None], np.minimum(fields, 0), -np.inf)
    negative = found < floor
    return np.where(negative, floor, found).astype(np.float32), int(np.count_nonzero(negative))
