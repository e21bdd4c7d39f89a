"""The members of one ensemble at one time: found, stacked, checked for sanity, summed up as mean and spread.

What is no sane state is refused before it is written: whoever starts from it later loses the cycles in between.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

import numpy as np

from contracts import members, state
from contracts.errors import ContractError, UserError
from contracts.paths import EnsembleFolder
from contracts.state import State, StateSpace
from contracts.variables import VARIABLES


def refuse_missing(ensemble: EnsembleFolder, count: int, what: str) -> None:
    """Raises ContractError that names the first missing member and counts them."""
    if ensemble.together.exists():
        return
    there = members.there(ensemble, count)
    missing = [ensemble.member(number) for number in range(1, count + 1) if number not in there]
    if not missing:
        return
    if ensemble.tidied.exists():
        raise ContractError(f"{missing[0]}: the members of {what} are no longer kept ([retention])")
    raise ContractError(f"{missing[0]}: no such file; expected {what} of {count} members, {len(missing)} missing")


def read_members(folder: EnsembleFolder, numbers: Iterable[int], space: StateSpace, time: datetime,
                 channels: slice = slice(None)) -> np.ndarray:
    """(members, channel, column) float32: these `channels` of the members with these numbers from 0."""
    wanted, from_1 = space.channels[channels], [int(number) + 1 for number in numbers]
    data = np.empty((len(from_1), len(wanted), space.grid.size), np.float32)
    if wanted:
        found = members.read(folder, from_1, StateSpace(space.grid, wanted), time)
        for x, one in zip(data, found, strict=True):
            x[...] = one.data.reshape(x.shape)
    return data


def stored(folder: EnsembleFolder, count: int, space: StateSpace, time: datetime) -> Iterator[np.ndarray]:
    """The data of members 1 … count, one at a time."""
    return (one.data for one in members.read(folder, range(1, count + 1), space, time))


def moments(fields: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (k - 1) in float64 by Welford's update (1962), one member in memory at a time."""
    count, mean, squares = 0, np.zeros(()), np.zeros(())
    for x in fields:
        count += 1
        delta = x.astype(np.float64) - mean
        mean = mean + delta / count
        squares = squares + delta * (x - mean)
    if count < 2:
        raise ValueError(f"a spread needs at least two members, got {count}")
    return mean, np.sqrt(squares / (count - 1))


def write_statistics(folder: EnsembleFolder, fields: Iterable[np.ndarray], space: StateSpace, time: datetime,
                     experiment: str, start: datetime | None = None) -> None:
    """Write ensmean.nc, then ensspread.nc, of members with these `fields` (channel, lat, lon); `start` as for
    `state.write`.

    Who waits for an ensemble waits for its spread, which appears last.
    """
    mean, spread = moments(fields)
    state.write(folder.mean, State(space, mean, time), None, experiment, "mean", start)
    state.write(folder.spread, State(space, spread, time), None, experiment, "spread", start)


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
