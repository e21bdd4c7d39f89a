"""The last look before anything is written: humidity, valid ranges, spread."""

import logging

import numpy as np

from contracts import analysis, ensemble, humidity
from contracts.errors import UserError
from contracts.state import StateSpace

log = logging.getLogger("neural_da.analysis")


def sane(X: np.ndarray, background: np.ndarray, space: StateSpace, below_hpa: float) -> np.ndarray:
    """`X` (m, channel, column) with the background's humidity at and above `below_hpa`, and none that is negative
    elsewhere.

    The log says how many were.  Raises UserError that names the first channel that is not finite everywhere.
    """
    kept = humidity.kept(space, below_hpa)
    found, clipped = humidity.not_negative(np.where(kept[:, None], background, X), humidity.humid(space) & ~kept)
    log.info("%d negative humidities set to 0", clipped.sum())
    for channel, values in zip(space.channels, found.swapaxes(0, 1), strict=True):
        if lost := np.count_nonzero(~np.isfinite(values)):
            raise UserError(f"{channel.name} of the analysis is not finite in {lost} of {values.size} numbers; nothing "
                            "was written; look for what is not finite in background and observations")
    return found


def moments(X: np.ndarray, background: np.ndarray, space: StateSpace,
            least_spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean and spread (channel, column) of the analysis of all members (k, channel, column).

    Raises UserError where it is no sane state, or has lost its spread.
    """
    mean, spread = ensemble.moments(X)
    area = space.grid.area_weights.reshape(-1) / space.grid.size
    before, after = ensemble.moments(background)[1] @ area, spread @ area
    analysis.refuse_no_spread(before)
    analysis.refuse_diverged(space, X.min(axis=(0, 2)), X.max(axis=(0, 2)), before, after, least_spread)
    return mean, spread
