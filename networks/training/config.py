"""The sections of the experiment file that only training reads: [network] and [training]."""

from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from contracts import config
from contracts.config import NotNegative, NotNegativeFloat, Positive, PositiveFloat
from contracts.errors import UserError
from contracts.nature import Nature
from contracts.paths import ExperimentFolder
from contracts.state import StateSpace
from networks import kinds, starter
from networks.card import Damping

Fraction = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Phase(config.Section, frozen=True):
    """[[training.phases]] Epochs of forecasts of `rollout` steps; it begins with the best weights of the one before."""

    rollout: Positive = 1
    epochs: Positive = 20
    samples: Positive | None = None  # of an epoch, other ones each time; default: all there are
    noise: NotNegativeFloat = 0.0  # added to the first state, in tendency standard deviations
    mixing: NotNegativeFloat = 0.0  # share of a difference of two other states, added likewise
    learning_rate: PositiveFloat = 5e-4
    warmup_steps: NotNegative = 500
    final_fraction: Fraction = 0.01  # of the learning rate, where the cosine ends


class Period(config.Section, frozen=True):
    """[[training.periods]] Times to train on, both ends included; no sample reaches from one period into another."""

    start: datetime
    end: datetime

    def __post_init__(self):
        _utc(start=self.start, end=self.end)


Precision = Literal["auto", "float32", "tf32", "bfloat16"]
FOR_MIXING = 4  # states of a batch: one, two others, and a third so that they are others
PHASES = (Phase(), Phase(rollout=4, epochs=2, learning_rate=5e-5, warmup_steps=100))


class Training(config.Section, frozen=True):
    """[training] Data, loss and schedule."""

    validation_start: datetime  # a year that no step is trained on
    validation_end: datetime
    test_start: datetime | None = None  # a period that `skill` scores the finished weights in
    test_end: datetime | None = None
    periods: tuple[Period, ...] = ()  # default: that of [experiment]
    source: Literal["nature", "weatherbench", "spread", "shards"] = "nature"  # shards: all of them are made already
    natures: tuple[str, ...] = ()  # nature: folders of several runs, of different times; default: that of [nature]
    data: str = ""  # weatherbench: the folder of NetCDF files or the zarr store; $NAME for the environment; spread: the
    # folder in the work folder of an experiment whose backgrounds' logarithms of spread are the states
    shards: str = "shards"  # beside the experiments in the work folder, or an absolute path
    storage: Literal["float16", "float32"] = "float16"  # of anomalies in shards
    days_per_shard: Positive = 30
    memory_gb: PositiveFloat = 6.0  # shards up to this size are held in memory

    predicts: Literal["tendency", "field"] = "tendency"
    damping: Damping | None = None  # of what the step carries on by itself, where the network predicts the tendency
    unobserved: dict[str, PositiveFloat] = {}  # channel: RMS, in tendency std, of errors of first states
    begin: str = ""  # weights to begin with: a name that comes with the code, or a path; default: drawn from the seed
    trained: tuple[str, ...] = ()  # beginnings of the names of the parameters that are trained, such as "blocks.5"; the
    # rest, and what the network knows of its fields, stay as `begin` has them; default: all
    batch: Positive = 16
    phases: tuple[Phase, ...] = PHASES
    loss: Literal["square", "afcrps"] = "square"  # afcrps: of ensembles, of a network with noise
    members: Annotated[int, msgspec.Meta(ge=2, le=4)] = 2  # of these
    alpha: Fraction = 0.95  # 1: the fair CRPS

    optimiser: Literal["adamw", "muon"] = "adamw"
    weight_decay: NotNegativeFloat = 1e-5
    gradient_norm: PositiveFloat = 1.0  # longer gradients are shortened to it
    patience: Positive = 5  # epochs without a better validation before a phase ends

    validation_samples: Positive = 48  # forecasts, evenly spread over the validation period
    leads_hours: tuple[Positive, ...] = (6, 24, 72, 120)

    device: str = "auto"
    threads: Positive | None = None  # of a CPU: default all cores; another number rounds otherwise
    precision: Precision = "auto"  # bfloat16 where the processor multiplies it, else float32
    weights: Literal["float16", "float32"] = "float16"  # of the finished file
    save_minutes: PositiveFloat = 5.0  # a kill loses no more than this

    def __post_init__(self):
        _utc(validation_start=self.validation_start, validation_end=self.validation_end)
        if (self.test_start is None) != (self.test_end is None):
            raise ValueError("test_start and test_end belong together")
        if self.test_start and self.test_end:
            _utc(test_start=self.test_start, test_end=self.test_end)
        if not self.phases:
            raise ValueError("at least one phase is needed")
        if self.trained and not self.begin:
            raise ValueError("trained leaves the rest of the parameters as they were, but begin names no weights")
        if self.batch < FOR_MIXING and any(phase.mixing for phase in self.phases):
            raise ValueError(f"mixing takes other states from the batch: batch must be {FOR_MIXING} or more, "
                             f"got {self.batch}")


# What may differ when a training goes on: the result depends on none of it, but for rounding.
MAY_CHANGE = ("test_start", "test_end", "source", "natures", "data", "shards", "memory_gb", "device", "threads",
              "save_minutes", "weights", "precision")


class Settings(config.Section, frozen=True):
    """What training reads of an experiment file."""

    experiment: config.Experiment
    training: Training
    grid: config.GridSettings = config.GridSettings()
    state: config.StateSettings = config.StateSettings()
    nature: Nature = Nature()
    network: dict[str, Any] = {}  # kind (default "climax") and the settings of that kind

    @property
    def space(self) -> StateSpace:
        """Where the states to train on live."""
        return self.state.space(self.grid.grid())

    @property
    def kind(self) -> str:
        return self.network.get("kind", kinds.DEFAULT)

    @property
    def sizes(self) -> config.Section:
        """What [network] says in the words of its kind; raises UserError where that kind does not know them."""
        return kinds.settings(self.network)

    @property
    def periods(self) -> tuple[tuple[datetime, datetime], ...]:
        """First and last time of each period of training, in order."""
        whole = Period(self.experiment.start, self.experiment.end)
        chosen = self.training.periods or (whole,)
        return tuple(sorted((period.start.astimezone(UTC), period.end.astimezone(UTC)) for period in chosen))

    @property
    def validation(self) -> tuple[datetime, datetime]:
        return self.training.validation_start.astimezone(UTC), self.training.validation_end.astimezone(UTC)

    @property
    def test(self) -> tuple[datetime, datetime] | None:
        """Times that neither training nor the choice of weights sees."""
        if self.training.test_start is None or self.training.test_end is None:
            return None
        return self.training.test_start.astimezone(UTC), self.training.test_end.astimezone(UTC)

    @property
    def nature_folders(self) -> tuple[Path, ...]:
        """Nature runs to train on."""
        return tuple(map(self.experiment.in_work, self.training.natures or (self.nature.folder,)))

    @property
    def ensembles(self) -> ExperimentFolder:
        """The experiment whose ensembles are trained on, of [training] data; raises UserError where none is named."""
        if not self.training.data:
            raise UserError("[training] data: name the folder, in the work folder, of the experiment whose ensembles "
                            "are trained on")
        return ExperimentFolder(self.experiment.in_work(self.training.data))

    @property
    def shards_folder(self) -> Path:
        return self.experiment.in_work(self.training.shards)

    @property
    def begin(self) -> Path | None:
        """Weights to begin with, a relative path in the work folder; raises UserError on an unknown bare name."""
        chosen = self.training.begin
        return self.experiment.in_work(str(starter.find(chosen, ".safetensors"))) if chosen else None

    @property
    def folder(self) -> Path:
        """Where the training keeps itself, its curves and its weights."""
        return self.experiment.folder.folder / "training"

    @property
    def weights(self) -> Path:
        """The best weights so far, their card beside them."""
        return self.folder / f"{self.experiment.name}.safetensors"


def _utc(**when: datetime) -> None:
    for name, time in when.items():
        if time.tzinfo is None:
            raise ValueError(f"{name} must be in UTC such as 1998-01-01T00:00:00Z, got {time}")


def load(path: Path) -> Settings:
    """The experiment file; raises UserError with the place of what is wrong."""
    settings = config.load(path, Settings)
    try:
        kinds.settings(settings.network)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    _refuse_ignored(path, settings)
    first, last = settings.validation
    named = [("validation", first, last), *(("training", start, end) for start, end in settings.periods)]
    named += [("test", *settings.test)] if settings.test else []
    for what, start, end in named:
        if end <= start:
            raise UserError(f"{path}: [training] the {what} period {start:%Y-%m-%d} to {end:%Y-%m-%d} ends first")
    for (_, start, end), (_, after, _) in pairwise(sorted(named, key=lambda period: period[1])):
        if after <= end:
            raise UserError(
                f"{path}: [training] the period from {start:%Y-%m-%d} to {end:%Y-%m-%d} overlaps the one that starts "
                f"on {after:%Y-%m-%d}; no time may be in two of training, validation and test"
            )
    unknown = set(settings.training.unobserved) - {channel.name for channel in settings.space.channels}
    if unknown:
        raise UserError(f"{path}: [training] unobserved names {', '.join(sorted(unknown))}, not a channel of [state]")
    for lead in settings.training.leads_hours:
        if lead % settings.experiment.step_hours:
            raise UserError(f"{path}: [training] leads_hours {lead} is no multiple of step_hours")
    return settings


def _refuse_ignored(path: Path, settings: Settings) -> None:
    """Raises UserError that names the settings of [training] which say something, and nothing to the kind of
    network."""
    ignored = getattr(kinds.module(settings.kind), "IGNORES", ())
    said = [name for name in _not_by_default(settings.training) if name in ignored]
    said += sorted({name for phase in settings.training.phases for each in _not_by_default(phase)
                    if (name := f"phases.{each}") in ignored})
    if said:
        raise UserError(f"{path}: [training] {', '.join(said)}: say nothing to a network of the kind {settings.kind}; "
                        "leave them out")


def _not_by_default(section: config.Section) -> list[str]:
    """Names of its settings that are not what they are where nothing is said."""
    return [field.name for field in msgspec.structs.fields(section)
            if not field.required and getattr(section, field.name) != _default(field)]


def _default(field: msgspec.structs.FieldInfo) -> Any:
    return field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
