"""The section [predict] of the experiment file, which `predict` and `sensitivity` read."""

from pathlib import Path

from contracts import config
from contracts.config import Positive, PositiveFloat, Section
from contracts.state import StateSpace


class Predict(Section, frozen=True):
    """[predict] Forecasts from observations."""

    weights: str = "o2f/o2f.safetensors"  # in the work folder; python -m networks train makes them
    climate: str = "climate.nc"  # in the work folder; python -m networks climate makes it
    hours: Positive = 120  # to forecast
    max_height_difference_m: PositiveFloat = 300.0  # station against model orography


class Settings(Section, frozen=True):
    """What the command reads of an experiment file."""

    experiment: config.Experiment
    grid: config.GridSettings = config.GridSettings()
    state: config.StateSettings = config.StateSettings()
    predict: Predict = Predict()

    @property
    def space(self) -> StateSpace:
        return self.state.space(self.grid.grid())


def load(path: Path) -> Settings:
    return config.load(path, Settings)
