"""The section of the experiment file that `python -m networks downscale` reads."""

from pathlib import Path

from contracts import config
from contracts.config import Positive, Section
from contracts.state import StateSpace


class Downscale(Section, frozen=True):
    """[downscale] By which weights backgrounds are brought to a finer grid."""

    weights: str  # in the work folder; python -m networks train makes them, their card beside them
    draws: Positive = 8  # samples of a diffusion that a spread is the mean of, in the logarithm


class Settings(Section, frozen=True):
    """What the command reads of an experiment file."""

    experiment: config.Experiment
    downscale: Downscale
    grid: config.GridSettings = config.GridSettings()
    state: config.StateSettings = config.StateSettings()

    @property
    def space(self) -> StateSpace:
        """Where the states of the experiment live."""
        return self.state.space(self.grid.grid())

    @property
    def weights(self) -> Path:
        return self.experiment.in_work(self.downscale.weights)
