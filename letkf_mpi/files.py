"""What the analysis reads and writes, and the last look before anything is written."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from contracts import field, observations, state, times
from contracts.config import Experiment
from contracts.errors import ContractError, UserError
from contracts.field import Field
from contracts.observations import Observations, Source
from contracts.paths import EnsembleFolder, TimeFolder
from contracts.state import State, StateSpace
from contracts.variables import VARIABLES
from letkf_mpi.config import Settings
from letkf_mpi.update import Diagnostics, analysis_levels

log = logging.getLogger(__name__)


def next_time(experiment: Experiment) -> datetime:
    """The earliest time that has a complete background and no analysis; raises UserError where there is none."""
    folder = experiment.folder
    for time in experiment.times():
        if folder.at(time).background.is_complete(experiment.members) and not folder.at(time).departures.exists():
            return time
    raise UserError(f"{folder.folder}: no time has a complete background of {experiment.members} members and no "
                    "analysis yet; make the background first, or name the time")  # fmt: skip


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


def read_members(folder: EnsembleFolder, members: Iterable[int], space: StateSpace, time: datetime) -> np.ndarray:
    """(members, channel, column) float32 of the members with these indices from 0."""
    states = [state.read(folder.member(member + 1), space, time).data.reshape(len(space.channels), -1)
              for member in members]  # fmt: skip
    return np.stack(states) if states else np.empty((0, len(space.channels), space.grid.size), np.float32)


def read_inflation(settings: Settings, space: StateSpace, time: datetime) -> np.ndarray:
    """(level, column) β for this time: what the time before learned, or the start."""
    experiment, levels = settings.experiment, analysis_levels(space)
    start = np.repeat(settings.inflation.start(levels)[:, None], space.grid.size, axis=1)
    if not settings.inflation.is_carried or time <= experiment.start:
        return start
    path = experiment.folder.at(time - experiment.step).inflation
    if not path.exists() and experiment.mode == "realtime":
        log.warning("%s: no such file; adaptive inflation starts anew", path)
        return start
    found = field.read(path, "inflation", space.grid, levels)
    if found.time != time - experiment.step:
        raise ContractError(f"{path}: expected the inflation of {times.name(time - experiment.step)}, "
                            f"got {times.name(found.time)}")  # fmt: skip
    return found.data.reshape(start.shape)


def check(analysis: Diagnostics, space: StateSpace, least_spread: float) -> None:
    """Stop where the analysis of the whole grid is no sane state; raises UserError naming channel and numbers.

    Channels without background spread, such as a constant field, are let through unless that is all of them.
    """
    area = space.grid.area_weights.reshape(-1) / space.grid.size
    before, after = analysis.background_spread @ area, analysis.spread @ area
    if not (before > 0).any():
        raise UserError("the background ensemble has no spread: all members are the same; start from different states")
    for i, channel in enumerate(space.channels):
        low, high = VARIABLES[channel.variable].valid_range
        least, most = analysis.least[i].min(), analysis.most[i].max()
        units = VARIABLES[channel.variable].units
        if not (low <= least and most <= high):
            raise UserError(f"the analysis of {channel.name} runs from {least:g} to {most:g}, expected {low:g} to "
                            f"{high:g} {units}: it has diverged; nothing was written")  # fmt: skip
        if after[i] < least_spread * before[i]:
            raise UserError(f"the spread of {channel.name} collapsed from {before[i]:.3g} to {after[i]:.3g} {units}; "
                            "nothing was written; check the observation errors and [relaxation]")  # fmt: skip


@dataclass(frozen=True)
class Writer:
    """Where and as what the products of one time are written."""

    files: TimeFolder
    space: StateSpace
    time: datetime
    experiment: str

    def members(self, X: np.ndarray, members: Iterable[int]) -> None:
        """`X` (members, channel, column): one file each."""
        for member, x in zip(members, X, strict=True):
            state.write(self.files.analysis.member(member + 1), self._state(x), member + 1, self.experiment)

    def statistics(self, analysis: Diagnostics) -> None:
        """Mean and spread of the ensemble; fields that the next time reads and a person looks at."""
        for path, data, statistic in ((self.files.analysis.mean, analysis.mean, "mean"),
                                      (self.files.analysis.spread, analysis.spread, "spread")):  # fmt: skip
            state.write(path, self._state(data), experiment=self.experiment, statistic=statistic)

        self._field(self.files.inflation, "inflation", analysis.inflation)
        for name, data in (("local_observation_count", analysis.count), ("relaxation_factor", analysis.relaxation)):
            self._field(self.files.field(name), name, data)

    def _field(self, path: Path, name: str, data: np.ndarray) -> None:
        """`data` (level, column), dimensionless."""
        levels = analysis_levels(self.space)
        shaped = data.reshape(levels.size, *self.space.grid.shape)
        field.write(path, Field(name, "1", self.space.grid, levels, shaped, self.time), self.experiment)

    def _state(self, x: np.ndarray) -> State:
        return State(self.space, x.reshape(self.space.shape), self.time)
