"""What the analysis reads and writes, and the last look before anything is written."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from contracts import analysis as analyses
from contracts import field, state, times
from contracts.config import Experiment
from contracts.errors import ContractError, UserError
from contracts.field import Field
from contracts.paths import Disk, TimeFolder
from contracts.state import State, StateSpace
from letkf_mpi.config import Inflation, Relaxation, Settings
from letkf_mpi.local.update import Diagnostics

log = logging.getLogger(__name__)
_ALPHA, _SIGNAL = "relaxation_alpha", "degrees_of_freedom_for_signal"
_LEFT_OUT = "local_observations_left_out"


def slots(settings: Settings, time: datetime) -> tuple[timedelta, ...]:
    """Offsets of the slots at which the background of `time` is to be compared with observations, none where that is
    done at the analysis time."""
    if settings.analysis.time == "instant" or settings.slots is None:
        return ()
    return analyses.slots_at(settings.experiment, settings.slots, time)


def read_inflation(settings: Settings, space: StateSpace, time: datetime) -> np.ndarray:
    """(level, column) β for this time: what the time before learned, or the start."""
    return _carried("inflation", settings.inflation, settings.experiment, space, time)


def read_alpha(settings: Settings, space: StateSpace, time: datetime) -> np.ndarray:
    """(level, column) α of relaxation for this time: what the time before learned, or the start."""
    return _carried(_ALPHA, settings.relaxation, settings.experiment, space, time)


def _carried(name: str, method: Inflation | Relaxation, experiment: Experiment, space: StateSpace,
             time: datetime) -> np.ndarray:
    levels, before = space.analysis_levels, time - experiment.step
    start = np.repeat(method.start(levels)[:, None], space.grid.size, axis=1)
    if not method.is_carried or time <= experiment.start:
        return start
    path = experiment.folder.at(before).field(name)
    if not path.exists() and experiment.mode == "realtime":
        log.warning("%s: no such file; the adaptive %s starts anew", path, name.replace("_", " "))
        return start
    found = field.read(path, name, space.grid, levels)
    if found.time != before:
        raise ContractError(f"{path}: expected the {name.replace('_', ' ')} of {times.name(before)}, "
                            f"got {times.name(found.time)}")
    return found.data.reshape(start.shape)


def check(analysis: Diagnostics, space: StateSpace, least_spread: float) -> None:
    """Stop where the analysis of the whole grid is no sane state; raises UserError naming channel or field and numbers.

    Channels without background spread, such as a constant field, are let through unless that is all of them.
    """
    area = space.grid.area_weights.reshape(-1) / space.grid.size
    before, after = analysis.background_spread @ area, analysis.spread @ area
    analyses.refuse_no_spread(before)
    for name in (*Diagnostics.BY_CHANNEL, *Diagnostics.BY_LEVEL):
        lost = ~np.isfinite(getattr(analysis, name)).all(axis=0)
        if lost.any():
            raise UserError(f"{name} of the analysis is not finite in {lost.sum()} of {lost.size} columns; nothing was "
                            "written; look for what is not finite in background and observations")
    analyses.refuse_diverged(space, analysis.least.min(axis=1), analysis.most.max(axis=1), before, after, least_spread)


@dataclass(frozen=True)
class Writer:
    """Where and as what the products of one time are written; `disk` flushes them side by side."""

    files: TimeFolder
    space: StateSpace
    time: datetime
    experiment: str

    def members(self, X: np.ndarray, members: Iterable[int], disk: Disk) -> None:
        """`X` (members, channel, column): one file each."""
        for member, x in zip(members, X, strict=True):
            state.write(self.files.analysis.member(member + 1), self._state(x), member + 1, self.experiment, disk=disk)

    def statistics(self, analysis: Diagnostics, disk: Disk) -> None:
        """Mean and spread of the ensemble; fields that the next time reads and a person looks at."""
        for path, data, statistic in ((self.files.analysis.mean, analysis.mean, "mean"),
                                      (self.files.analysis.spread, analysis.spread, "spread")):
            state.write(path, self._state(data), experiment=self.experiment, statistic=statistic, disk=disk)

        self._field(self.files.inflation, "inflation", analysis.inflation, disk)
        for name, data in (("local_observation_count", analysis.count), ("local_weight_sum", analysis.weight),
                           ("relaxation_factor", analysis.relaxation)):
            self._field(self.files.field(name), name, data, disk)

    def left_out(self, analysis: Diagnostics, disk: Disk) -> None:
        """Observations within reach that were left out for nearer ones, where their number is limited."""
        self._field(self.files.field(_LEFT_OUT), _LEFT_OUT, analysis.left_out, disk)

    def signal(self, analysis: Diagnostics, disk: Disk) -> None:
        """Degrees of freedom for signal, of a solver that has them."""
        self._field(self.files.field(_SIGNAL), _SIGNAL, analysis.signal, disk)

    def alpha(self, analysis: Diagnostics, disk: Disk) -> None:
        """α of an adaptive relaxation, which the next time reads."""
        self._field(self.files.field(_ALPHA), _ALPHA, analysis.alpha, disk)

    def _field(self, path: Path, name: str, data: np.ndarray, disk: Disk) -> None:
        """`data` (level, column), dimensionless."""
        levels = self.space.analysis_levels
        shaped = data.reshape(levels.size, *self.space.grid.shape)
        field.write(path, Field(name, "1", self.space.grid, levels, shaped, self.time), self.experiment, disk)

    def _state(self, x: np.ndarray) -> State:
        return State(self.space, x.reshape(self.space.shape), self.time)
