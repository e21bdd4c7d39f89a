"""What every analysis program does with its files, whatever happens in between: `letkf_mpi`, `neural_da` and others.

It reads background and observations, looks at its result before it writes anything, and writes members, mean, spread,
fields and at last `departures.nc`, whose presence says that the analysis is complete.  It makes the time asked for, or
the next, or, as a service (`--follow`), every time of the experiment as soon as its inputs are there.

Nothing is kept in memory from one time to the next that decides a result: a service that was killed and started again,
or one process for each time, give the same bits.  What a time leaves for the next one is a field in a file.

Observations are waited for in mode "realtime" too: who makes them writes a table when their time is up, an empty one
if need be, because only there is it known how long to wait.  A damaged table, and a missing one where a time is asked
for by name, is taken as empty in that mode.
"""

import argparse
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from contracts import field, members, observations, parameters, program, rooms, state, times
from contracts.config import Experiment
from contracts.errors import ContractError, UserError
from contracts.field import Field
from contracts.follow import Follower
from contracts.members import Form
from contracts.observations import Departures, Observations, Source
from contracts.parameters import Parameters
from contracts.paths import Disk, TimeFolder, Withheld
from contracts.slots import Slots
from contracts.state import State, StateSpace
from contracts.variables import VARIABLES

log = logging.getLogger(__name__)
Product = int | str  # of an analysis: the member of this number from 0, "mean" or "spread", or a field


def parse(arguments: Sequence[str], name: str, description: str, example: str,
          more: Callable[[argparse.ArgumentParser], None] = lambda parser: None) -> argparse.Namespace:
    """The command line of the program `name`: `experiment`, a `time` or `follow` or neither, and what it has `more`."""
    parser = program.parser(name, description, example)
    program.add_experiment(parser, optional=True)
    parser.add_argument("time", nargs="?", metavar="TIME",
                        help="YYYYMMDDHH in UTC (default: the earliest with a background and no analysis)")
    parser.add_argument("--follow", action="store_true",
                        help="analyse all times of the experiment, waiting for the inputs of each; ends at SIGTERM or "
                        "at the file `stop` in the experiment's folder")
    more(parser)
    chosen = parser.parse_args(arguments)
    if chosen.follow and chosen.time:
        parser.error("--follow goes over all times of the experiment: name none")
    return chosen


def next_time(experiment: Experiment) -> datetime:
    """The earliest time that has a complete background and no analysis; raises UserError where there is none."""
    folder = experiment.folder
    for time in experiment.times():
        if folder.at(time).background.is_complete(experiment.members) and not folder.at(time).departures.exists():
            return time
    raise UserError(f"{folder.folder}: no time has a complete background of {experiment.members} members and no "
                    "analysis yet; make the background first, or name the time")


def each_time(experiment: Experiment, follower: Follower) -> Iterator[datetime]:
    """Each time that has no analysis yet, in order, as soon as its inputs are there."""
    def at(time: datetime) -> TimeFolder:
        return experiment.folder.at(time)

    return follower.each_time(
        experiment.times(),
        done=lambda time: at(time).departures.exists(),
        ready=lambda time: inputs_are_there(at(time), experiment.members),
        made=lambda time: is_whole(at(time), experiment.members),
        what="background and observations")


def inputs_are_there(folder: TimeFolder, members: int) -> bool:
    """Whether observations and the whole background are complete; the spread is the last to appear."""
    return folder.background.spread.exists() and folder.observations.exists() and folder.background.is_complete(members)


def is_whole(folder: TimeFolder, members: int) -> bool:
    """Whether all that an analysis leaves is there."""
    return folder.departures.exists() and folder.analysis.is_complete(members)


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
    first = experiment.folder.at(time).background.slot(slots.around[0])
    if time <= experiment.start and not members.there(first, 1):
        log.warning("%s: no such file; H(x) of this first time is at the analysis time for all observations",
                    first.member(1))
        return ()
    return slots.offsets


def read_carried(name: str, start: np.ndarray, experiment: Experiment, space: StateSpace, time: datetime) -> np.ndarray:
    """(level, column) of the field `name` that the analysis before `time` left for it; `start` (level,) at the first
    time, and in mode "realtime" where it is missing."""
    levels, before = space.analysis_levels, time - experiment.step
    anew = np.repeat(start[:, None], space.grid.size, axis=1)
    if time <= experiment.start:
        return anew
    path = experiment.folder.at(before).field(name)
    if not path.exists() and experiment.mode == "realtime":
        log.warning("%s: no such file; the adaptive %s starts anew", path, name.replace("_", " "))
        return anew
    found = field.read(path, name, space.grid, levels)
    if found.time != before:
        raise ContractError(f"{path}: expected the {name.replace('_', ' ')} of {times.name(before)}, "
                            f"got {times.name(found.time)}")
    return found.data.reshape(anew.shape)


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
                            "nothing was written; check the observation errors, and of the LETKF [relaxation]")


@dataclass(frozen=True)
class Writer:
    """Where and as what the products of one time are written; `disk` flushes them side by side.

    `one_file_of` so many members goes into one file; by default each has its own.
    """

    files: TimeFolder
    space: StateSpace
    time: datetime
    experiment: str
    one_file_of: int | None = None

    @property
    def form(self) -> Form:
        """Of the members."""
        return Form(self.space, self.time, self.experiment, self.one_file_of)

    def members(self, X: np.ndarray, numbers: Iterable[int], disk: Disk, course: Sequence[np.ndarray] = ()) -> None:
        """`X` (members, channel, column) of the members with these numbers from 0, with the `course` of the
        minimisation of each, if there was one."""
        from_1 = [int(number) + 1 for number in numbers]
        members.write(self.files.analysis, from_1, X.reshape(-1, *self.space.shape), self.form, disk, course)

    def path(self, product: Product) -> Path:
        """Of a product that has a file of its own."""
        if isinstance(product, int):
            return self.files.analysis.member(product + 1)
        return self._statistics.get(product) or self.files.field(product)

    def cuts(self, product: Product) -> list[int]:
        """Numbers of its rows, channels or levels, between which are parts that different processes may write."""
        return state.cuts(self.space) if self._is_state(product) else field.cuts(self.space.grid, self._levels)

    def lay_down(self, product: Product, disk: Withheld) -> np.ndarray:
        """The file of a product with room for what several processes `fill` it with; returns where that is."""
        if not self._is_state(product):
            return field.lay_down(self.path(product), str(product), "1", self.space.grid, self._levels, self.time,
                                  self.experiment, disk)
        member, statistic = (product + 1, None) if isinstance(product, int) else (None, product)
        return state.lay_down(self.path(product), self.space, self.time, member, self.experiment, statistic, disk)

    def fill(self, product: Product, where: np.ndarray, first: int, data: np.ndarray, disk: Disk) -> None:
        """Write `data` (row, column), of whose rows the `first` has this number, into a file that was laid down."""
        rooms.fill(self.path(product), where, first, data.reshape(-1, *self.space.grid.shape), disk)

    def _is_state(self, product: Product) -> bool:
        return isinstance(product, int) or product in self._statistics

    @property
    def _statistics(self) -> dict[Product, Path]:
        return {"mean": self.files.analysis.mean, "spread": self.files.analysis.spread}

    @property
    def _levels(self) -> np.ndarray:
        return self.space.analysis_levels

    def begin_anew(self) -> None:
        """Before all members are written: what a killed analysis left may be of other members than ours will be of."""
        members.remove_parts(self.files.analysis)

    def settle(self) -> None:
        """When all members are on the disk: put them together where they are to be in one file."""
        members.settle(self.files.analysis, self.form)

    def statistics(self, mean: np.ndarray, spread: np.ndarray, disk: Disk) -> None:
        """Mean and spread (channel, column) of the ensemble."""
        self.statistic("mean", mean, disk)
        self.statistic("spread", spread, disk)

    def statistic(self, name: str, data: np.ndarray, disk: Disk) -> None:
        """One of them, "mean" or "spread"."""
        state.write(self.path(name), self._state(data), experiment=self.experiment, statistic=name, disk=disk)

    def parameters(self, analysed: Parameters) -> None:
        """Those of the model of all members, where the analysis has made some."""
        parameters.write(self.files.analysis.parameters, analysed, self.time, self.experiment)

    def field(self, name: str, data: np.ndarray, disk: Disk) -> None:
        """`data` (level, column), dimensionless, on the analysis levels, for the next time or a person to read."""
        shaped = data.reshape(self._levels.size, *self.space.grid.shape)
        written = Field(name, "1", self.space.grid, self._levels, shaped, self.time)
        field.write(self.path(name), written, self.experiment, disk)

    def last(self, table: Departures, source: Source, disk: Withheld | None = None) -> None:
        """`departures.nc`, which must appear once all else is on the disk."""
        observations.write(self.files.departures, table, source, self.experiment, disk)

    def _state(self, x: np.ndarray) -> State:
        return State(self.space, x.reshape(self.space.shape), self.time)
