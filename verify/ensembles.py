"""Scores of the ensembles of one time: background, analysis, and the ensemble that never saw an observation.

Members are read by groups of variables, so that memory stays flat whatever the grid: what is held at once is
members x channels of the group x columns.
"""

import logging
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np

from contracts import members, state
from contracts.ensemble import read_members
from contracts.paths import EnsembleFolder, ExperimentFolder
from contracts.state import StateSpace
from verify import scores

GIB = 2**30
log = logging.getLogger("verify")


def ensembles(folder: ExperimentFolder, time: datetime) -> dict[str, EnsembleFolder]:
    """Background and analysis, and `free` where it was run."""
    found = {"background": folder.at(time).background, "analysis": folder.at(time).analysis}
    free = folder.free(time)
    return found | ({"free": free} if free.mean.exists() else {})


def score(ensemble: EnsembleFolder, count: int, truth: Path, space: StateSpace, time: datetime,
          weights: np.ndarray, memory_gib: float) -> dict[str, np.ndarray]:
    """Scores (region, channel) of one ensemble; crps is NaN where only its mean and spread were kept, or still are."""
    parts: list[dict[str, np.ndarray]] = []
    tidied = ensemble.tidied.exists()
    if tidied:
        log.warning("%s: its members are no longer kept ([retention]), so it has no CRPS", ensemble.folder)
    kept = not tidied and (bool(members.there(ensemble, count)) or not ensemble.spread.exists())
    for group in groups(space, count if kept else 2, memory_gib * GIB):
        y = state.read(truth, group, time).data.astype(np.float64)
        if kept:
            X = read_members(ensemble, range(count), group, time).reshape(count, *group.shape)
            parts.append(scores.ensemble_scores(X, y, weights))
        else:
            mean, deviation = (state.read(path, group, time).data for path in (ensemble.mean, ensemble.spread))
            moments = scores.moment_scores(mean, deviation, y, weights)
            parts.append(moments | {"crps": np.full_like(moments["rmse"], np.nan)})
    return {name: np.concatenate([part[name] for part in parts], axis=1) for name in scores.NAMES}


def groups(space: StateSpace, count: int, limit: float) -> Iterator[StateSpace]:
    """Spaces of whole variables in the order of `space`, each within `limit` bytes of float64 members."""
    bytes_per_channel = 8 * count * space.grid.size
    chosen: list = []
    for name in space.variables:
        channels = [space.channels[i] for i in space.index(name)]
        if chosen and (len(chosen) + len(channels)) * bytes_per_channel > limit:
            yield StateSpace(space.grid, tuple(chosen))
            chosen = []
        chosen += channels
    yield StateSpace(space.grid, tuple(chosen))
