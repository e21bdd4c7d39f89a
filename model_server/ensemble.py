"""Members in batches: read and written with what the model keeps for itself."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from contracts import state, times
from contracts.ensemble import refuse_insane
from contracts.nature import beside
from contracts.paths import Disk, EnsembleFolder
from contracts.state import State
from model_server import restart
from model_server.models.base import Batch, ForecastModel


def chunks(numbers: Sequence[int], size: int) -> list[Sequence[int]]:
    """`numbers` in pieces of at most `size`."""
    return [numbers[i : i + size] for i in range(0, len(numbers), size)]


def read(states: EnsembleFolder, restarts: EnsembleFolder, numbers: Sequence[int], model: ForecastModel,
         time: datetime) -> Batch:
    """Members `numbers` at `time`: their fields from `states`, what the model keeps for itself from `restarts`."""
    data = np.stack([state.read(states.member(n), model.space, time).data for n in numbers])
    kept = [
        restart.read(beside(restarts.member(n)), model.name, time) if model.keeps_restart else None
        for n in numbers
    ]
    return Batch(time, data, tuple(kept))


def write(folder: EnsembleFolder, numbers: Sequence[int], batch: Batch, model: ForecastModel, experiment: str,
          disk: Disk | None = None) -> None:
    """Write members; the state last, so that a member whose state exists is complete. `disk` as for `state.write`."""
    for number, data, kept in zip(numbers, batch.data, batch.restart, strict=True):
        path = folder.member(number)
        refuse_insane(data, model.space, f"member {number} at {times.name(batch.time)}")
        if kept is not None:
            restart.write(beside(path), kept, model.name, batch.time)
        state.write(path, State(model.space, data, batch.time), number, experiment, disk=disk)
