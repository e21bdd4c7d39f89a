"""Additive inflation: draws from a climate are added to the background (Mitchell & Houtekamer 2000, MWR 128, 416).

Differences of climatological states stand for errors of the model (Whitaker & Hamill 2012, MWR 140, 3078).  For each
time k different states x_1 … x_k are drawn and member i gets

    η_i = s √((k−1)/2k) (x_i − x_{i+1}),     x_{k+1} = x_1

Their sum is zero, so the mean of the background stays to rounding although each member needs two files only, and in
expectation over the draws

    Σ η_i η_iᵀ / (k−1) = s² C

with the sample covariance C of the climate.  Humidity that the analysis keeps as in the background gets no draws; where
they make another negative it is set to 0, the one thing that moves a mean.  Draws follow from seed and time, and not
from who reads which member.
"""

from datetime import datetime

import numpy as np

from contracts import humidity, times
from contracts.config import Experiment, PositiveFloat, Section
from contracts.state import StateSpace
from letkf_mpi.static.climatology import Climatology

_STREAM = 4  # tells these draws from others of the same seed and time


class Additive(Section, frozen=True):
    """[inflation.additive]"""

    states: str  # pattern of state files in the work folder, such as "nature/*.nc"
    scale: PositiveFloat = 0.1  # s, of the climate's standard deviation


def drawn(seed: int, time: datetime, members: int, states: int) -> np.ndarray:
    """(member, 2) numbers of the two states whose difference each member gets; `states` ≥ `members`."""
    order = np.random.default_rng((seed, int(times.name(time)), _STREAM)).permutation(states)[:members]
    return np.stack([order, np.roll(order, -1)], axis=1)


def added(background: np.ndarray, additive: Additive, experiment: Experiment, time: datetime, members: np.ndarray,
          space: StateSpace, humidity_below_hpa: float = 0.0) -> tuple[np.ndarray, int]:
    """`background` (members, channel, column) of these `members` with their draws, `space` has the channels of it; and
    how many negative humidities were set to 0.  What stands at and above `humidity_below_hpa` is kept.

    Raises UserError where there are fewer states than members in the experiment.
    """
    climate = Climatology.find(experiment, additive.states, experiment.members, "[inflation.additive] states")
    pairs = drawn(experiment.seed, time, experiment.members, len(climate))
    kept = humidity.kept(space, humidity_below_hpa)
    with_draws = background + perturbations(climate, space, pairs, members, additive.scale)
    with_draws[:, kept] = background[:, kept]
    found, clipped = humidity.not_negative(with_draws, humidity.humid(space) & ~kept)
    return found, int(clipped.sum())


def perturbations(climate: Climatology, space: StateSpace, pairs: np.ndarray, mine: np.ndarray,
                  scale: float) -> np.ndarray:
    """η (mine, channel, column) of the members `mine`, from the `pairs` (member, 2) of all."""
    k = len(pairs)
    first, second = (climate.read(pairs[mine, side], space) for side in (0, 1))
    return np.float32(scale * np.sqrt((k - 1) / (2 * k))) * (first - second)
