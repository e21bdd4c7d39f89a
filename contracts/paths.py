"""Where each file of a cycle lives, and how a file comes into being.

One folder per valid time holds everything about that time:

    <work>/<experiment>/experiment.toml  static.nc
                        2016010106/observations.nc  background/m0001.nc …  analysis/m0001.nc …
                                   inflation.nc  departures.nc  scores.nc  log/<stage>.log
                        free/2016010106/mean.nc  spread.nc          the ensemble without any analysis

A file is written under a temporary name in its own folder, flushed to the disk and renamed:
a file that exists under its name is complete, whatever was killed meanwhile.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from contracts import times


@dataclass(frozen=True)
class EnsembleFolder:
    """The members of one ensemble at one time with their mean and spread."""

    folder: Path

    def member(self, number: int) -> Path:
        """Members count from 1: `m0001.nc`."""
        return self.folder / f"m{number:04d}.nc"

    @property
    def mean(self) -> Path:
        return self.folder / "mean.nc"

    @property
    def spread(self) -> Path:
        return self.folder / "spread.nc"

    def members(self, count: int) -> list[Path]:
        """Paths of members 1 … count, in order."""
        return [self.member(number) for number in range(1, count + 1)]

    def is_complete(self, count: int) -> bool:
        """Whether all members and both statistics exist."""
        return all(path.exists() for path in [*self.members(count), self.mean, self.spread])


@dataclass(frozen=True)
class TimeFolder:
    """Everything about one valid time."""

    folder: Path

    @property
    def observations(self) -> Path:
        return self.folder / "observations.nc"

    @property
    def background(self) -> EnsembleFolder:
        return EnsembleFolder(self.folder / "background")

    @property
    def analysis(self) -> EnsembleFolder:
        return EnsembleFolder(self.folder / "analysis")

    @property
    def inflation(self) -> Path:
        return self.folder / "inflation.nc"

    @property
    def departures(self) -> Path:
        """Written last by the analysis: its presence says that the analysis is complete."""
        return self.folder / "departures.nc"

    @property
    def scores(self) -> Path:
        return self.folder / "scores.nc"

    def field(self, name: str) -> Path:
        """A diagnostic field of the analysis, such as `relaxation_factor`."""
        return self.folder / f"{name}.nc"

    def log(self, stage: str) -> Path:
        return self.folder / "log" / f"{stage}.log"


@dataclass(frozen=True)
class ExperimentFolder:
    """The folder of one experiment."""

    folder: Path

    @property
    def settings(self) -> Path:
        """The experiment file as it was run."""
        return self.folder / "experiment.toml"

    @property
    def static(self) -> Path:
        return self.folder / "static.nc"

    def at(self, time: datetime) -> TimeFolder:
        return TimeFolder(self.folder / times.name(time))

    def free(self, time: datetime) -> EnsembleFolder:
        """Ensemble that has run from the first background without any analysis."""
        return EnsembleFolder(self.folder / "free" / times.name(time))


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success flush it and rename it to `path`, on failure remove it.

    The temporary name is fixed, so that what a killed writer left behind is overwritten by the next one
    and never piles up.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.part")
    try:
        yield partial
        _flush(partial)
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    _flush(path.parent)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
