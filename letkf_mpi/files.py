"""What of an analysis the LETKF alone reads and writes: its slots, and fields of its inflation and relaxation."""

import logging
from datetime import datetime, timedelta

import numpy as np

from contracts.analysis import Writer, read_carried, refuse_diverged, refuse_no_spread, slots_at
from contracts.errors import UserError
from contracts.paths import Disk
from contracts.state import StateSpace
from letkf_mpi.config import Inflation, Relaxation, Settings
from letkf_mpi.local.update import Diagnostics

log = logging.getLogger(__name__)
_INFLATION, _ALPHA = "inflation", "relaxation_alpha"


def slots(settings: Settings, time: datetime) -> tuple[timedelta, ...]:
    """Offsets of the slots at which the background of `time` is to be compared with observations, none where that is
    done at the analysis time."""
    if settings.analysis.time == "instant" or settings.slots is None:
        return ()
    return slots_at(settings.experiment, settings.slots, time)


def read_learned(settings: Settings, space: StateSpace, time: datetime) -> tuple[np.ndarray, np.ndarray]:
    """(level, column) β of inflation and α of relaxation for this time: what the time before learned, or the start."""
    return (_carried(_INFLATION, settings.inflation, settings, space, time),
            _carried(_ALPHA, settings.relaxation, settings, space, time))


def _carried(name: str, method: Inflation | Relaxation, settings: Settings, space: StateSpace,
             time: datetime) -> np.ndarray:
    start = method.start(space.analysis_levels)
    if not method.is_carried:
        return np.repeat(start[:, None], space.grid.size, axis=1)
    return read_carried(name, start, settings.experiment, space, time)


def check(analysis: Diagnostics, space: StateSpace, least_spread: float) -> None:
    """Stop where the analysis of the whole grid is no sane state; raises UserError naming channel or field and numbers.

    Channels without background spread, such as a constant field, are let through unless that is all of them.
    """
    area = space.grid.area_weights.reshape(-1) / space.grid.size
    before, after = analysis.background_spread @ area, analysis.spread @ area
    refuse_no_spread(before)
    for name in (*Diagnostics.BY_CHANNEL, *Diagnostics.BY_LEVEL):
        lost = ~np.isfinite(getattr(analysis, name)).all(axis=0)
        if lost.any():
            raise UserError(f"{name} of the analysis is not finite in {lost.sum()} of {lost.size} columns; nothing was "
                            "written; look for what is not finite in background and observations")
    refuse_diverged(space, analysis.least.min(axis=1), analysis.most.max(axis=1), before, after, least_spread)


def write_statistics(out: Writer, told: Diagnostics, settings: Settings, disk: Disk) -> None:
    """Mean and spread of the ensemble; fields that the next time reads and a person looks at."""
    out.statistics(told.mean, told.spread, disk)
    for name, data in _fields(told, settings).items():
        out.field(name, data, disk)


def _fields(told: Diagnostics, settings: Settings) -> dict[str, np.ndarray]:
    """(level, column) by name: always four, and more of the methods that have them."""
    fields = {_INFLATION: told.inflation, "local_observation_count": told.count, "local_weight_sum": told.weight,
              "relaxation_factor": told.relaxation}
    if settings.analysis.solver.has_signal and not settings.analysis.is_tempered:
        fields["degrees_of_freedom_for_signal"] = told.signal
    if settings.localization.nearest is not None:
        fields["local_observations_left_out"] = told.left_out
    if settings.relaxation.is_carried:
        fields[_ALPHA] = told.alpha
    return fields
