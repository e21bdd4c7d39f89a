"""What every analysis program does alike: which times it makes from what, and what is no analysis.

Observations are waited for in mode "realtime" too: who makes them writes a table when their time is up, an empty one
if need be, because only there is it known how long to wait.  A damaged table, and a missing one where a time is asked
for by name, is taken as empty in that mode.
"""

import logging
from datetime import datetime, timedelta

import numpy as np

from contracts import observations, times
from contracts.config import Experiment
from contracts.errors import ContractError, UserError
from contracts.observations import Observations, Source
from contracts.paths import TimeFolder
from contracts.slots import Slots
from contracts.state import StateSpace
from contracts.variables import VARIABLES

log = logging.getLogger(__name__)


def next_time(experiment: Experiment) -> datetime:
    """The earliest time that has a complete background and no analysis; raises UserError where there is none."""
    folder = experiment.folder
    for time in experiment.times():
        if folder.at(time).background.is_complete(experiment.members) and not folder.at(time).departures.exists():
            return time
    raise UserError(f"{folder.folder}: no time has a complete background of {experiment.members} members and no "
                    "analysis yet; make the background first, or name the time")


def read_observations(experiment: Experiment, time: datetime) -> tuple[Observations, Source]:
    """The table of `time`. In mode "realtime" one that is missing or damaged is empty instead of an error."""
    path = experiment.folder.at(time).observations
    try:
        table, source = observations.read(path)
        if source.time != time:
            raise ContractError(f"{path}: expected observations of {times.name(time)}, got {times.name(source.time)}")
        return table, source
    except ContractError as error:
        if experiment.mode != "realtime":
            raise ContractError(f'{error}; in mode "realtime" the analysis would go on without') from error
        log.warning("%s; the analysis goes on without observations", error)
        return observations.empty(), Source(time, (time, time))


def slots_at(experiment: Experiment, slots: Slots, time: datetime) -> tuple[timedelta, ...]:
    """Offsets of the slots at which the background of `time` is to be compared with observations; none at the first
    time of an experiment, whose background is no forecast: H(x) is at the analysis time there."""
    first = experiment.folder.at(time).background.slot(slots.around[0]).member(1)
    if time <= experiment.start and not first.exists():
        log.warning("%s: no such file; H(x) of this first time is at the analysis time for all observations", first)
        return ()
    return slots.offsets


def is_whole(folder: TimeFolder, members: int) -> bool:
    """Whether all that an analysis leaves is there."""
    return folder.departures.exists() and folder.analysis.is_complete(members)


def inputs_are_there(folder: TimeFolder, members: int) -> bool:
    """Whether observations and the whole background are complete; the spread is the last to appear."""
    return folder.background.spread.exists() and folder.observations.exists() and folder.background.is_complete(members)


def refuse_no_spread(before: np.ndarray) -> None:
    """Raises UserError where no channel of the background has spread; `before` (channel,) its mean over the globe."""
    if not (before > 0).any():
        raise UserError("the background ensemble has no spread: all members are the same; start from different states")


def refuse_diverged(space: StateSpace, least: np.ndarray, most: np.ndarray, before: np.ndarray, after: np.ndarray,
                    least_spread: float) -> None:
    """Stop where an analysis is no sane state; raises UserError that names the channel and the numbers.

    `least`, `most` (channel,) are those of all members, `before`, `after` (channel,) the spread of background and
    analysis, mean over the globe.  Channels without background spread, such as a constant field, are let through.
    """
    for i, channel in enumerate(space.channels):
        low, high = VARIABLES[channel.variable].valid_range
        units = VARIABLES[channel.variable].units
        if not (low <= least[i] and most[i] <= high):
            raise UserError(f"the analysis of {channel.name} runs from {least[i]:g} to {most[i]:g}, expected {low:g} "
                            f"to {high:g} {units}: it has diverged; nothing was written")
        if after[i] < least_spread * before[i]:
            raise UserError(f"the spread of {channel.name} collapsed from {before[i]:.3g} to {after[i]:.3g} {units}; "
                            "nothing was written; check the observation errors and [relaxation]")
