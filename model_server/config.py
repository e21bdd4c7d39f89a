"""The sections of the experiment file that the model server reads."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from contracts import config
from contracts.config import NotNegative, NotNegativeFloat, Positive
from contracts.nature import Nature, refuse_part_of_an_hour
from contracts.slots import Slots
from model_server import memory


class SpectralFilter(config.Section, frozen=True):
    """[model] spectral_filter: harmonics of degree n are multiplied by exp(-strength (n / truncation)^order)."""

    truncation: Annotated[int, msgspec.Meta(ge=1, le=127)]  # N; harmonics beyond are taken out
    order: Positive = 16  # how sharply it falls
    strength: NotNegativeFloat = 2.0  # 2 leaves 0.14 at n = N; 0 truncates only
    of: Literal["state", "change"] = "state"  # what is filtered: the fields, or their change over the step


class NoNoise(config.Section, frozen=True, tag_field="method", tag="none"):
    """[model.noise] method = "none"."""


class ResidualNoise(config.Section, frozen=True, tag_field="method", tag="residuals"):
    """[model.noise] method = "residuals": errors that the model made in other years, some steps of them in a row."""

    archive: str  # folder of the residuals, in the work folder or an absolute path
    nature: str  # folder of the nature run that they are made from
    first: datetime  # of its states, both ends included: years that the model has not seen
    last: datetime
    factor: NotNegativeFloat = 1.0
    segment_steps: Positive = 20  # from the beginning of one segment to that of the next
    blend_steps: NotNegative = 4  # over which one fades while the next begins
    season_days: Annotated[int, msgspec.Meta(ge=1, le=183)] = 30  # a segment begins so near the date, in any year
    errors: Literal["segments", "gaussian", "seasonal_mean"] = "segments"  # with memory; drawn anew at each step from
    # the Gaussian of the season and hour; or of every member the mean of these, which corrects a bias and no more
    seasonal_mean: bool = True  # false: segments and draws without what all residuals of season and hour have in common

    def __post_init__(self):
        refuse_part_of_an_hour("first", self.first)
        refuse_part_of_an_hour("last", self.last)
        if self.blend_steps > self.segment_steps:
            raise ValueError(f"blend_steps must be at most segment_steps, {self.segment_steps}, got {self.blend_steps}")
        if self.errors == "seasonal_mean" and not self.seasonal_mean:
            raise ValueError('errors = "seasonal_mean" without seasonal_mean is no noise at all: leave one of them out')

    @property
    def period(self) -> tuple[datetime, datetime]:
        """First and last state, in UTC."""
        return self.first.astimezone(UTC), self.last.astimezone(UTC)


class Drawn(config.Section, frozen=True):
    """A parameter with a draw for each member."""

    mean: float
    spread: NotNegativeFloat  # standard deviation


class Model(config.Section, frozen=True):
    """[model] The forecast model of the cycle; `options` are the model's own."""

    name: str = "speedy"
    options: dict[str, Any] = {}
    python: str = ""  # the interpreter that it runs in; default: this one, or that of an environment of its own
    # (`environment`)
    batch: Positive | None = None  # members in memory together; default: as many as half of what is free holds
    grid: config.GridSettings | None = None  # of the model itself, if not that of the experiment; its members stay on
    # it, and the analysis gives increments (`models.regridded`)
    spectral_filter: SpectralFilter | None = None  # of every step's fields; default: none
    before: Literal["written", "shifted"] = "written"  # a model that needs two states gets the earlier one as it was
    # written, or with the present increment of the analysis added to it
    noise: NoNoise | ResidualNoise = NoNoise()  # added to the fields of every step
    # An experiment in times that the model was trained on is refused, unless those were of another world, such as a
    # nature run's, while this experiment sees real observations.
    seen: Literal["refused", "another_world"] = "refused"
    parameters: dict[str, float | Drawn] = {}  # of the model, by name; default: the usual ones, which are not written

    def __post_init__(self):
        if self.parameters and isinstance(self.noise, ResidualNoise):
            raise ValueError('parameters and noise method = "residuals" do not go together: the residuals are those of '
                             "the model with its usual parameters; take one of them out")

    def unseen_in(self, experiment: config.Experiment) -> config.Experiment | None:
        """The experiment whose times nothing may have seen, none where they were of another world."""
        return experiment if self.seen == "refused" else None


class Initial(config.Section, frozen=True):
    """[initial] Members are states of a nature run, `every_hours` apart from `first` on, re-dated to the start; or,
    with source = "states", states of the real atmosphere on the same days of other years (`beginnings`)."""

    source: Literal["nature", "states"] = "nature"
    first: datetime | None = None  # default: the start of the nature run
    every_hours: Positive = 12  # apart; of states around the date 24 keeps the hour of the day
    folder: str | None = None  # of the nature run; default: that of [nature]
    states: tuple[str, ...] = ()  # files or stores of `networks.data.states`, by the time of the state
    years: tuple[int, int] | None = None  # first and last from which states are taken; that of the start is left out
    within_days: Annotated[int, msgspec.Meta(ge=0, le=183)] = 15  # of the date, in any year
    centre: tuple[str, ...] = ()  # files of a state at the start; then only deviations come from the years
    factor: Annotated[float, msgspec.Meta(gt=0, le=10)] = 1.0  # of these deviations
    static: str = ""  # a file with orography and land-sea mask, where those of the states have none
    regrid: Literal["conservative", "bilinear"] = "conservative"  # from their grid to the experiment's

    def __post_init__(self):
        refuse_part_of_an_hour("first", self.first)
        if self.source == "states" and not (self.states and self.years):
            raise ValueError('source = "states" needs states, where the files are, and years, from which they are')
        if self.years and not 1 <= self.years[0] <= self.years[1] <= 9999:
            raise ValueError(f"years: expected the first and the last, got {list(self.years)}")


class Settings(config.Section, frozen=True):
    """What the model server reads of an experiment file."""

    experiment: config.Experiment
    grid: config.GridSettings = config.GridSettings()
    state: config.StateSettings = config.StateSettings()
    slots: Slots | None = None
    model: Model = Model()
    nature: Nature = Nature()
    initial: Initial = Initial()

    @property
    def space(self):
        """Where the states of the experiment live."""
        return self.state.space(self.grid.grid())

    @property
    def nature_start(self) -> datetime:
        return (self.nature.start or self.experiment.start).astimezone(UTC)

    @property
    def nature_end(self) -> datetime:
        return (self.nature.end or self.experiment.end).astimezone(UTC)

    @property
    def nature_folder(self) -> Path:
        return self.experiment.in_work(self.nature.folder)

    @property
    def initial_folder(self) -> Path:
        return self.experiment.in_work(self.initial.folder or self.nature.folder)

    @property
    def batch(self) -> int:
        """Members handed to the model at once; no result depends on it."""
        finest = max((self.grid, self.model.grid or self.grid), key=lambda one: one.grid().size)
        return self.model.batch or memory.members_that_fit((len(self.space.channels), *finest.grid().shape))


def load(path: Path) -> Settings:
    """The experiment file; raises UserError with the place of what is wrong."""
    return config.load(path, Settings)
