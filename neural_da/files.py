"""What the program reads beside observations, and what it writes before them."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from contracts import analysis, ensemble, members, numbers, state
from contracts.analysis import Writer
from contracts.config import Experiment
from contracts.errors import ContractError
from contracts.paths import Disk, TimeFolder
from contracts.state import State, StateSpace
from neural_da.config import Settings
from neural_da.method import Analysed, Needs
from neural_da.problem import Earlier

log = logging.getLogger("neural_da.analysis")
CARRIED = "carried"  # the file of what a method keeps from time to time


@dataclass(frozen=True)
class Given:
    """What a method is given: `background` float32 (k, channel, column), at the analysis time and at the `slots`."""

    background: np.ndarray
    slots: Mapping[timedelta, np.ndarray]
    earlier: Earlier
    carried: Mapping[str, float]


def read(settings: Settings, space: StateSpace, needs: Needs, time: datetime) -> Given:
    """Raises ContractError where a file is missing, damaged or not what is expected."""
    experiment = settings.experiment
    folder, every = experiment.folder.at(time).background, range(experiment.members)
    return Given(ensemble.read_members(folder, every, space, time),
                 {offset: ensemble.read_members(folder.slot(offset), every, space, time + offset)
                  for offset in slots(settings, needs, time) if offset},
                 Earlier(_analyses(experiment, space, needs, time), _forecasts(experiment, space, needs, time)),
                 carried(experiment, needs, time))


def slots(settings: Settings, needs: Needs, time: datetime) -> tuple[timedelta, ...]:
    """Offsets at which the background is there to be compared with observations, none where that is done at the
    analysis time, or where the method carries it to them itself."""
    if not needs.slots or settings.slots is None or (needs.model and not _has_slots(settings, time)):
        return ()
    return analysis.slots_at(settings.experiment, settings.slots, time)


def _has_slots(settings: Settings, time: datetime) -> bool:
    """Whether the model server has written the background's slots, which the first time of an experiment has not."""
    assert settings.slots is not None
    first = settings.experiment.folder.at(time).background.slot(settings.slots.around[0])
    return time > settings.experiment.start or bool(members.there(first, 1))


def _analyses(experiment: Experiment, space: StateSpace, needs: Needs, time: datetime) -> tuple[np.ndarray, ...]:
    """Analyses of the times before, the latest first: fewer near the beginning of the experiment."""
    before = [time - number * experiment.step for number in range(1, needs.earlier_analyses + 1)]
    return tuple(ensemble.read_members(experiment.folder.at(each).analysis, range(experiment.members), space, each)
                 for each in before if each >= experiment.start)


def _forecasts(experiment: Experiment, space: StateSpace, needs: Needs, time: datetime) -> tuple[np.ndarray, ...]:
    """Means of extended forecasts valid at `time`; fewer near the beginning of the experiment."""
    shape = (len(space.channels), space.grid.size)
    return tuple(state.read(experiment.folder.at(time - lead).forecast(lead).mean, space, time).data.reshape(shape)
                 for lead in needs.lagged_forecasts if time - lead >= experiment.start)


def carried(experiment: Experiment, needs: Needs, time: datetime) -> dict[str, float]:
    """What the time before left for this one, or the start."""
    before = time - experiment.step
    if not needs.carried or before < experiment.start:
        return dict(needs.carried)
    path = experiment.folder.at(before).field(CARRIED)
    try:
        return numbers.read(path, needs.carried, before)
    except ContractError as error:
        if experiment.mode != "realtime" or path.exists():
            raise
        log.warning("%s; what a method carries from time to time starts anew", error)
        return dict(needs.carried)


def there(folder: TimeFolder, count: int) -> np.ndarray:
    """(count,) bool: which members of the analysis are there."""
    found = members.there(folder.analysis, count)
    return np.array([number in found for number in range(1, count + 1)])


def whole(out: Writer, X: np.ndarray, chosen: np.ndarray, count: int) -> np.ndarray:
    """All `count` members (k, channel, column): `X` of those `chosen`, from 0, and the others from their files."""
    found = np.empty((count, *X.shape[1:]), X.dtype)
    others = np.setdiff1d(np.arange(count), chosen)
    found[chosen] = X
    found[others] = ensemble.read_members(out.files.analysis, others, out.space, out.time)
    return found


def write_beside(out: Writer, found: Analysed, disk: Disk) -> None:
    """The method's own fields, each a state, and what it carries to the next time."""
    for name, data in found.fields.items():
        field = State(out.space, data.reshape(out.space.shape), out.time)
        state.write(out.files.field(name), field, experiment=out.experiment, statistic=name, disk=disk)
    if found.carried:
        numbers.write(out.files.field(CARRIED), found.carried, out.time, out.experiment)
