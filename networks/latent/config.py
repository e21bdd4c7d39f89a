"""The section of the experiment file that `latent` reads."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from contracts import config
from contracts.config import Positive, Section


class Period(Section, frozen=True):
    """Beginning of the first forecast and end of the last one, and how many errors, spread over it."""

    first: datetime
    last: datetime
    errors: Positive

    def __post_init__(self):
        for name in ("first", "last"):
            if getattr(self, name).tzinfo is None:
                raise ValueError(f"{name} must be in UTC such as 1993-01-01T00:00:00Z, got {getattr(self, name)}")
        if self.last <= self.first:
            raise ValueError(f"last {self.last} must lie after first {self.first}")

    @property
    def whole(self) -> tuple[datetime, datetime]:
        """Both ends, UTC."""
        return self.first.astimezone(UTC), self.last.astimezone(UTC)


class Latent(Section, frozen=True):
    """[latent] What `python -m networks latent` fits, and from which errors."""

    file: str  # in the work folder, such as "latent/eof.safetensors"; the card stands beside it
    fit: Period  # of years that the network has not seen; others are refused
    source: Literal["nature", "weatherbench"] = "nature"  # of the states that are forecast and verified with
    natures: tuple[str, ...] = ()  # nature: folders of runs in the work folder
    data: str = ""  # weatherbench: the folder of NetCDF files or the zarr store; $NAME for the environment
    check: Period | None = None  # other years: what is lost of their errors is told
    kind: Literal["eof"] = "eof"
    checkpoint: str = "climax_t31"  # a name that comes with the code, or weights.safetensors beside their card
    lead_hours: Positive = 24
    patch: tuple[Positive, Positive] = (4, 4)  # rows, columns
    modes: Positive = 192  # numbers that stand for a patch
    overlap: bool = False  # four patch grids, half a patch apart, instead of one

    def __post_init__(self):
        if self.source == "nature" and not self.natures:
            raise ValueError("natures must name the folders of nature runs, or source be another one")

    @property
    def lead(self) -> timedelta:
        return timedelta(hours=self.lead_hours)


class Settings(Section, frozen=True):
    """What the command reads of an experiment file."""

    experiment: config.Experiment
    latent: Latent
    grid: config.GridSettings = config.GridSettings()
    state: config.StateSettings = config.StateSettings()

    @property
    def space(self):
        """Where the states live."""
        return self.state.space(self.grid.grid())

    @property
    def path(self) -> Path:
        """The latent's file."""
        return self.in_work(self.latent.file)

    def in_work(self, name: str) -> Path:
        """A file or folder beside the experiments."""
        return self.experiment.folder.folder.parent / name


def load(path: Path) -> Settings:
    """The experiment file; raises UserError with the place of what is wrong."""
    return config.load(path, Settings)
