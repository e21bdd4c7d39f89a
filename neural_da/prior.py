"""The climate that an analysis takes for its prior."""

import numpy as np

from contracts import times
from contracts.config import Experiment
from contracts.state import StateSpace
from networks import unseen
from networks.climate import file
from networks.climate.gaussian import Climate
from neural_da.methods import FromClimate, Guided, ThreeDVar


def read(settings: FromClimate | Guided | ThreeDVar, experiment: Experiment, space: StateSpace) -> Climate:
    """That of the file that they name in the work folder, its covariances in their precision; raises ContractError or
    UserError where it is of other states, or has seen times of the experiment."""
    path = experiment.file(settings.prior, experiment.start)
    climate = file.read(path, space)
    first, last = (times.from_seconds(climate.fitted[end]) for end in (0, -1))
    unseen.refuse_overlap(path, first, last, settings.unseen_in(experiment), "[neural]")
    return climate.astype(np.dtype(settings.precision).type)
