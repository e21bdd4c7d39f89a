"""What of an analysis the LETKF alone reads and writes: its slots, and fields of its inflation and relaxation."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

import numpy as np

from contracts.analysis import read_carried, refuse_diverged, refuse_no_spread, slots_at
from contracts.errors import UserError
from contracts.state import StateSpace
from letkf_mpi.config import Inflation, Relaxation, Settings
from letkf_mpi.local.update import Diagnostics
from letkf_mpi.totals import Totals

log = logging.getLogger(__name__)
_INFLATION, _ALPHA = "inflation", "relaxation_alpha"


def slots(settings: Settings, time: datetime) -> tuple[timedelta, ...]:
    """Offsets of the slots at which the background of `time` is to be compared with observations, none where that is
    done at the analysis time."""
    if settings.analysis.time == "instant" or settings.slots is None:
        return ()
    return slots_at(settings.experiment, settings.slots, time)


def learned(shared: Callable[..., np.ndarray], settings: Settings, space: StateSpace,
            time: datetime) -> tuple[np.ndarray, np.ndarray]:
    """(level, column) β of inflation and α of relaxation for this time: what the time before learned, or the start.

    `shared(step, …)` gives all ranks what rank 0 reads; what is the same everywhere takes no room.
    """

    def of(name: str, method: Inflation | Relaxation) -> np.ndarray:
        start = method.start(space.analysis_levels)
        if not method.is_carried:
            return np.broadcast_to(start[:, None], (start.size, space.grid.size))
        return shared(read_carried, name, start, settings.experiment, space, time)

    return of(_INFLATION, settings.inflation), of(_ALPHA, settings.relaxation)


def check(analysis: Totals, space: StateSpace, least_spread: float) -> None:
    """Stop where the analysis of the whole grid is no sane state; raises UserError naming channel or field and numbers.

    Channels without background spread, such as a constant field, are let through unless that is all of them.
    """
    refuse_no_spread(analysis.background_spread)
    for name, columns in analysis.lost.items():
        if columns:
            raise UserError(f"{name} of the analysis is not finite in {columns} of {space.grid.size} columns; nothing "
                            "was written; look for what is not finite in background and observations")
    refuse_diverged(space, analysis.least, analysis.most, analysis.background_spread, analysis.spread, least_spread)


def fields(told: Diagnostics, settings: Settings) -> dict[str, np.ndarray]:
    """(level, column) by name, for the next time or a person to read: always four, and more of the methods that have
    them."""
    found = {_INFLATION: told.inflation, "local_observation_count": told.count, "local_weight_sum": told.weight,
             "relaxation_factor": told.relaxation}
    if settings.analysis.solver.has_signal and not settings.analysis.is_tempered:
        found["degrees_of_freedom_for_signal"] = told.signal
    if settings.localization.nearest is not None:
        found["local_observations_left_out"] = told.left_out
    if settings.relaxation.is_carried:
        found[_ALPHA] = told.alpha
    return found
