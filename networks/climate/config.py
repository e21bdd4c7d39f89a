"""The sections of the experiment file that fitting a climate reads."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import msgspec

from contracts import config, times
from contracts.config import Positive
from contracts.state import StateSpace


class Climate(config.Section, frozen=True):
    """[climate] Which states of nature runs a Gaussian climate is fitted to, and with how much detail."""

    natures: tuple[str, ...]  # folders of nature runs in the work folder; a state is taken from the first that has it
    start: datetime  # of the states, both ends included
    end: datetime
    every_hours: Positive = 24  # between one state and the next: closer ones are hardly new
    harmonics: Annotated[int, msgspec.Meta(ge=0, le=4)] = 1  # of the year, in the mean
    modes: Positive = 140  # of each wavenumber along longitude, at most
    file: str = "climate.nc"  # what is made, in the work folder

    def __post_init__(self):
        for name, time in (("start", self.start), ("end", self.end)):
            if time.tzinfo is None or (time.minute, time.second, time.microsecond) != (0, 0, 0):
                raise ValueError(f"{name} must be a full hour in UTC such as 1981-01-01T00:00:00Z, got {time}")
        if self.end < self.start:
            raise ValueError(f"end {self.end} lies before start {self.start}")

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
