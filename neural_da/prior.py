"""The climate that an analysis takes for its prior."""

from typing import Literal

import numpy as np

from contracts import times
from contracts.config import Experiment
from contracts.state import StateSpace
from networks import unseen
from networks.climate import file
from networks.climate.gaussian import Climate


def read(name: str, experiment: Experiment, space: StateSpace, precision: Literal["float32", "float64"]) -> Climate:
    """That of the file `name` in the work folder, its covariances in a `precision`; raises ContractError or UserError
    where it is of other states, or has seen times of the experiment."""
    path = experiment.file(name, experiment.start)
    climate = file.read(path, space)
    first, last = (times.from_seconds(climate.fitted[end]) for end in (0, -1))
    unseen.refuse_overlap(path, first, last, experiment)
    return climate.astype(np.dtype(precision).type)
