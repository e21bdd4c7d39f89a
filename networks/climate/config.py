"""The sections of the experiment file that fitting a climate reads."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from contracts import config, times
from contracts.config import Positive, PositiveFloat
from contracts.nature import refuse_part_of_an_hour
from contracts.state import StateSpace


class Draws(config.Section, frozen=True):
    """[climate.draws] States drawn from the climate, as files (python -m networks climate EXPERIMENT.toml --draws)."""

    folder: str  # in the work folder
    first: datetime
    count: Positive = 100
    every_hours: Positive = 12
    seed: int = 1
    factor: PositiveFloat = 1.0  # of the deviations from the mean of the date

    def __post_init__(self):
        refuse_part_of_an_hour("first", self.first)

    def times(self) -> list[datetime]:
        """Of the draws, ascending."""
        return [self.first.astimezone(UTC) + number * timedelta(hours=self.every_hours) for number in range(self.count)]


class Check(config.Section, frozen=True):
    """[climate] check: states of a year that is not fitted, for which the climate's own errors are told."""

    start: datetime
    end: datetime
    every_hours: Positive = 240

    def __post_init__(self):
        refuse_part_of_an_hour("start", self.start)
        refuse_part_of_an_hour("end", self.end)

    def times(self) -> list[datetime]:
        """Of the states, ascending."""
        step = timedelta(hours=self.every_hours)
        return list(times.every(self.start.astimezone(UTC), self.end.astimezone(UTC), step))


class Climate(config.Section, frozen=True):
    """[climate] Which states a Gaussian climate is fitted to, and with how much detail."""

    start: datetime  # of the states, both ends included
    end: datetime
    source: Literal["nature", "weatherbench"] = "nature"
    natures: tuple[str, ...] = ()  # nature: folders of runs in the work folder; the first that has a state gives it
    data: str = ""  # weatherbench: the folder of NetCDF files or the zarr store; $NAME for the environment
    every_hours: Positive = 24  # between one state and the next: closer ones are hardly new
    harmonics: Annotated[int, msgspec.Meta(ge=0, le=4)] = 1  # of the year, in the mean
    modes: Positive = 140  # of each wavenumber along longitude, at most
    file: str = "climate.nc"  # what is made, in the work folder
    memory_gb: PositiveFloat | None = None  # a fit that needs more is refused
    check: Check | None = None
    draws: Draws | None = None

    def __post_init__(self):
        refuse_part_of_an_hour("start", self.start)
        refuse_part_of_an_hour("end", self.end)
        where = "natures" if self.source == "nature" else "data"
        if not getattr(self, where):
            raise ValueError(f'source = "{self.source}" needs {where}, where the states are')
        if self.end < self.start:
            raise ValueError(f"end {self.end} lies before start {self.start}")
        if self.check and self.check.end >= self.start and self.check.start <= self.end:
            raise ValueError(f"check from {self.check.start} to {self.check.end} meets the states that are fitted, "
                             "whose errors say nothing of others: take another year")

    def times(self) -> list[datetime]:
        """Of the states, ascending."""
        step = timedelta(hours=self.every_hours)
        return list(times.every(self.start.astimezone(UTC), self.end.astimezone(UTC), step))


class Settings(config.Section, frozen=True):
    """All that the command reads of an experiment file."""

    experiment: config.Experiment
    climate: Climate
    grid: config.GridSettings = config.GridSettings()
    state: config.StateSettings = config.StateSettings()

    @property
    def space(self) -> StateSpace:
        """Where the states live."""
        return self.state.space(self.grid.grid())

    def in_work(self, name: str) -> Path:
        """A file or folder beside the experiments in the work folder, or one of an absolute path."""
        return self.experiment.folder.folder.parent / name


def load(path: Path) -> Settings:
    """The experiment file; raises UserError with the place of what is wrong."""
    return config.load(path, Settings)
