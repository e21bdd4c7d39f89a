"""Members in batches: read and written with what the model keeps for itself."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

import numpy as np

from contracts import state, times
from contracts.ensemble import refuse_insane
from contracts.nature import beside
from contracts.paths import Disk, EnsembleFolder
from contracts.state import State
from model_server import parameters, restart
from model_server.config import Settings
from model_server.models.base import Batch, ForecastModel
from model_server.restart import Kept

Item = TypeVar("Item")


def chunks(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
    """`items` in pieces of at most `size`."""
    return [items[i : i + size] for i in range(0, len(items), size)]


def read(settings: Settings, model: ForecastModel, states: EnsembleFolder, numbers: Sequence[int],
         time: datetime) -> Batch:
    """Members `numbers` at `time`: fields and parameters from `states`, what is kept for the model from beside their
    background."""
    experiment, background = settings.experiment, settings.experiment.folder.at(time).background
    values = parameters.read(settings, states, time)
    batch = Batch(time, _fields(states, numbers, model, time), (None,) * len(numbers), tuple(numbers), experiment.seed,
                  parameters=None if values is None else values.select(numbers))
    if not _keeps_files(model):
        return batch
    kept = [restart.read(beside(background.member(number)), model.name, time) for number in numbers]
    if model.keeps_restart:
        batch = replace(batch, restart=tuple(one.own for one in kept))
    if model.history == 1:
        return batch
    shifted = settings.model.before == "shifted"
    forecasts = _fields(background, numbers, model, time) if shifted else (None,) * len(numbers)
    return replace(batch, before=np.stack(list(map(_before, kept, batch.data, forecasts))))


def _keeps_files(model: ForecastModel) -> bool:
    """Whether a restart file belongs to each member of a background."""
    return model.keeps_restart or model.history == 2


def _fields(folder: EnsembleFolder, numbers: Sequence[int], model: ForecastModel, time: datetime) -> np.ndarray:
    """(member, channel, lat, lon)"""
    return np.stack([state.read(folder.member(number), model.space, time).data for number in numbers])


def _before(kept: Kept, present: np.ndarray, forecast: np.ndarray | None) -> np.ndarray:
    """What a member was one step before `present`, with the increment on its `forecast` added where that is given.

    Where nothing was kept the experiment begins: the same state twice.
    """
    if kept.before is None:
        return present
    return kept.before if forecast is None else kept.before + (present - forecast)


def write(folder: EnsembleFolder, batch: Batch, model: ForecastModel, experiment: str, disk: Disk | None = None,
          states_only: bool = False, before: Sequence[np.ndarray | None] = ()) -> None:
    """Write members; the state last, so that a member whose state exists is complete. `disk` as for `state.write`.

    With `states_only` no step can begin with them: nothing is kept for the model.  What each of them was one step
    earlier, which not all have where an experiment begins, is `before`, if given, else as the batch has it.
    """
    none: Sequence[np.ndarray | None] = [None] * len(batch.members)
    kept = before or (none if batch.before is None else list(batch.before))
    for number, data, own, earlier in zip(batch.members, batch.data, batch.restart, kept, strict=True):
        path = folder.member(number)
        refuse_insane(data, model.space, f"member {number} at {times.name(batch.time)}")
        if _keeps_files(model) and not states_only:
            restart.write(beside(path), Kept(own or {}, earlier), model.name, batch.time)
        state.write(path, State(model.space, data, batch.time), number, experiment, disk=disk)
