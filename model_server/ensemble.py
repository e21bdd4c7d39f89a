"""Members in files: read and written with their restarts, checked for sanity, summed up as mean and spread."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

import numpy as np

from contracts import state, times
from contracts.errors import ContractError, UserError
from contracts.nature import beside
from contracts.paths import Disk, EnsembleFolder
from contracts.state import State, StateSpace
from contracts.variables import VARIABLES
from model_server import restart
from model_server.models.base import Batch, ForecastModel


def refuse_missing(ensemble: EnsembleFolder, count: int, what: str) -> None:
    """Raises ContractError that names the first missing member and counts them."""
    missing = [path for path in ensemble.members(count) if not path.exists()]
    if not missing:
        return
    if ensemble.tidied.exists():
        raise ContractError(f"{missing[0]}: the members of {what} are no longer kept ([retention])")
    raise ContractError(f"{missing[0]}: no such file; expected {what} of {count} members, {len(missing)} missing")


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


def write_statistics(folder: EnsembleFolder, members: Iterable[np.ndarray], space: StateSpace, time: datetime,
                     experiment: str, start: datetime | None = None) -> None:
    """Write mean.nc, then spread.nc, of `members`, each (channel, lat, lon); `start` as for `state.write`.

    Who waits for an ensemble waits for its spread, which appears last.
    """
    mean, spread = moments(members)
    state.write(folder.mean, State(space, mean, time), None, experiment, "mean", start)
    state.write(folder.spread, State(space, spread, time), None, experiment, "spread", start)


def stored(folder: EnsembleFolder, count: int, space: StateSpace, time: datetime) -> Iterator[np.ndarray]:
    """The data of members 1 … count, one at a time."""
    for path in folder.members(count):
        yield state.read(path, space, time).data


def moments(members: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (k - 1) in float64 by Welford's update (1962), one member in memory at a time."""
    count, mean, squares = 0, np.zeros(()), np.zeros(())
    for member in members:
        count += 1
        delta = member.astype(np.float64) - mean
        mean = mean + delta / count
        squares = squares + delta * (member - mean)
    if count < 2:
        raise ValueError(f"a spread needs at least two members, got {count}")
    return mean, np.sqrt(squares / (count - 1))


def refuse_insane(data: np.ndarray, space: StateSpace, whose: str) -> None:
    """Raises UserError that names channel and place where `data` is not finite or beyond the variable's range."""
    limits = np.array([VARIABLES[channel.variable].valid_range for channel in space.channels])
    low, high = limits[:, 0, None, None], limits[:, 1, None, None]
    bad = ~((data >= low) & (data <= high))
    if not bad.any():
        return
    channel, row, col = np.argwhere(bad)[0]
    name, variable = space.channels[channel].name, VARIABLES[space.channels[channel].variable]
    raise UserError(
        f"{whose}: {name} is {data[channel, row, col]:g} {variable.units} at lat {space.grid.lat[row]:g}, "
        f"lon {space.grid.lon[col]:g}, expected {variable.valid_range[0]:g} to {variable.valid_range[1]:g} "
        f"({np.count_nonzero(bad)} such values); the forecast is not written: look at the analysis it started from"
    )
