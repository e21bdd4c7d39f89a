"""Members in batches: read and written with what the model keeps for itself."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

import numpy as np

from contracts import members, times
from contracts.config import Experiment
from contracts.ensemble import refuse_insane
from contracts.members import Form
from contracts.paths import Disk, EnsembleFolder
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
    kept = restart.read_members(background, numbers, model.name, time)
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
    return np.stack([one.data for one in members.read(folder, numbers, model.space, time)])


def _before(kept: Kept, present: np.ndarray, forecast: np.ndarray | None) -> np.ndarray:
    """What a member was one step before `present`, with the increment on its `forecast` added where that is given.

    Where nothing was kept the experiment begins: the same state twice.
    """
    if kept.before is None:
        return present
    return kept.before if forecast is None else kept.before + (present - forecast)


def write(folder: EnsembleFolder, batch: Batch, model: ForecastModel, experiment: Experiment, disk: Disk | None = None,
          states_only: bool = False, before: Sequence[np.ndarray | None] = ()) -> None:
    """Write members, none where one is no sane state; what is kept for the model first, so that a member whose state
    exists is complete. `disk` as for `state.write`.

    With `states_only` no step can begin with them: nothing is kept for the model.  What each of them was one step
    earlier, which not all have where an experiment begins, is `before`, if given, else as the batch has it.
    """
    for number, data in zip(batch.members, batch.data, strict=True):
        refuse_insane(data, model.space, f"member {number} at {times.name(batch.time)}")
    form = Form(model.space, batch.time, experiment.name, experiment.one_file_of)
    if _keeps_files(model) and not states_only:
        earlier = before or ([None] * len(batch.members) if batch.before is None else list(batch.before))
        kept = {number: Kept(own or {}, past)
                for number, own, past in zip(batch.members, batch.restart, earlier, strict=True)}
        restart.write_members(folder, kept, model.name, batch.time, bool(form.one_file_of))
    members.write(folder, batch.members, batch.data, form, disk)


def settle(folder: EnsembleFolder, model: ForecastModel, time: datetime, experiment: Experiment) -> None:
    """When all members of `time` are on the disk: put them together where they are to be in one file."""
    members.settle(folder, Form(model.space, time, experiment.name, experiment.one_file_of))
