"""Logarithms of the spread of an experiment's backgrounds, as states to train on.

    l = ln max(s, LEAST S),   S² the mean of s² over the globe

Members that are all the same somewhere, as humidity that is nothing but zero, have no logarithm of their spread; S is
the same on any grid that keeps means.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from contracts import state, static
from contracts.errors import UserError
from contracts.grid import Grid
from contracts.paths import ExperimentFolder
from contracts.state import StateSpace
from contracts.static import Static

LEAST = 0.01  # of the spread of the globe


@dataclass(frozen=True)
class SpreadSource:
    """A `networks.data.sources.Source` of them."""

    space: StateSpace
    folder: ExperimentFolder

    def static(self) -> Static:
        return static.read(self.folder.static, self.space.grid)

    def read(self, times: Sequence[datetime]) -> np.ndarray:
        return np.stack([of_time(self.folder, self.space, time) for time in times])


def of(space: StateSpace, folder: ExperimentFolder) -> SpreadSource:
    """Raises UserError where the experiment's folder is not there."""
    if not folder.static.exists():
        raise UserError(f"{folder.static}: no such file; [training] data must name the folder of an experiment that "
                        "has run")
    return SpreadSource(space, folder)


def of_time(folder: ExperimentFolder, space: StateSpace, time: datetime) -> np.ndarray:
    """float32 (channel, lat, lon) of the background of `time`; raises ContractError where it has no spread file."""
    path = folder.at(time).background.spread
    return logarithm(state.read(path, space, time).data, space, str(path))


def logarithm(spread: np.ndarray, space: StateSpace, whose: str) -> np.ndarray:
    """float32 l of `spread` (channel, lat, lon); raises UserError where a channel has none anywhere."""
    whole = globe(spread, space.grid)
    if not (whole > 0).all() or (spread < 0).any():
        channel = space.channels[int(np.argmin(np.where((spread < 0).any((-2, -1)), -1, whole)))]
        raise UserError(f"{whose}: {channel.name} has no spread, which has no logarithm; take it out of [state]")
    return np.log(np.maximum(spread, LEAST * whole[:, None, None])).astype(np.float32)


def globe(spread: np.ndarray, grid: Grid) -> np.ndarray:
    """S (channel,)"""
    return np.sqrt((grid.area_weights * spread.astype(np.float64) ** 2).mean(axis=(-2, -1)))
