"""Any forecast model with errors that it made in other years added to each step: model error with memory.

    r(t) = x(t + step) - M(x(t))              the archive (`residuals`), of a nature run, in order of time
    x(n + 1) = M(x(n)) + factor e(n)          e by `segments`, or, without memory, by `season`

Errors of a network remain for a day or more, and noise of their size that is drawn anew at each step spreads an
ensemble too little later.  Humidity that the noise would make negative is zero.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol, cast

import numpy as np

from contracts import humidity, times
from contracts.config import Experiment
from contracts.errors import UserError
from model_server.config import Model, ResidualNoise
from model_server.models.archive import Note, contents
from model_server.models.around import Around, with_error
from model_server.models.base import Batch, ForecastModel, Restart, seen_by
from model_server.models.season import Common, Gaussian, Season
from model_server.models.segments import WHERE, Consecutive, Segments
from networks.data.shards import Series, ShardFolder
from networks.unseen import refuse_overlap, refuse_seen

log = logging.getLogger("model_server.noise")


class Errors(Protocol):
    """What is added to the steps of an ensemble; `remembers` says whether a step depends on the one before."""

    @property
    def remembers(self) -> bool: ...

    def drawn(self, batch: Batch) -> tuple[list[np.ndarray], list[Mapping[str, np.ndarray]]]:
        """Each member's error (channel, lat, lon) of the step that begins at the batch's time, and what it keeps."""
        ...

    def refuse_gap(self, time: datetime) -> None:
        """Raises UserError where a step that begins at `time` could have none."""
        ...


@dataclass(frozen=True)
class Noisy(Around):
    """`model`, to whose fields `factor` times `errors` are added after each step.

    A model that keeps a state of its own takes them up as it does an analysis: by the increment of its fields.
    """

    errors: Errors
    factor: np.float32
    humid: np.ndarray  # (channel,) bool

    @property
    def keeps_restart(self) -> bool:
        return self.errors.remembers or self.model.keeps_restart  # where each member stands in its segment

    def step(self, batch: Batch) -> Batch:
        later = self.model.step(replace(batch, restart=tuple(map(self._own, batch.restart))))
        errors, kept = self.errors.drawn(batch)
        made = [with_error(fields, self.factor * error, self.humid)
                for fields, error in zip(later.data, errors, strict=True)]
        if count := sum(negative for _, negative in made):
            log.info("%s: noise made %d humidities negative, they are zero", times.name(later.time), count)
        restart = tuple({**(own or {}), **more} if self.keeps_restart else None
                        for own, more in zip(later.restart, kept, strict=True))
        return replace(later, data=np.stack([data for data, _ in made]), restart=restart)

    def _own(self, kept: Restart | None) -> Restart | None:
        """What the model itself keeps."""
        if not self.model.keeps_restart or kept is None:
            return None
        return {name: array for name, array in kept.items() if name != WHERE}


def added(model: ForecastModel, chosen: Model, settings: ResidualNoise, experiment: Experiment) -> ForecastModel:
    """The `chosen` model with the noise of `settings`.

    Raises UserError where there is none, or one of another model, of times of the experiment, of times
    that the model has seen, or without segments for some step of the experiment.
    """
    folder = experiment.in_work(settings.archive)
    note = Note(folder)
    if not note.is_complete:
        raise UserError(f"{folder}: no complete archive of residuals is there; python -m model_server residuals "
                        "EXPERIMENT.toml makes it")
    note.refuse_other(contents(model, chosen, settings))
    refuse_overlap(folder, *settings.period, chosen.unseen_in(experiment), "[model]")
    refuse_seen(model.name, seen_by(model), *settings.period)
    made = Noisy(model, errors(settings, Series(ShardFolder(folder), model.space, memory_bytes=0), model),
                 np.float32(settings.factor), humidity.humid(model.space))
    for time in times.every(experiment.start.astimezone(UTC), experiment.end.astimezone(UTC), model.time_step):
        made.errors.refuse_gap(time)
    return cast(ForecastModel, made)


def errors(settings: ResidualNoise, series: Series, model: ForecastModel) -> Errors:
    """What `settings` ask for, of the residuals of `model` in `series`."""
    step, days, length = int(model.time_step.total_seconds()), settings.season_days, settings.segment_steps
    alone = series.starts(*settings.period, step, 0)[:, 0]
    if settings.errors == "seasonal_mean":
        return Common(series, alone, days)
    if settings.errors == "gaussian":
        return Gaussian(series, alone, days, centred=not settings.seasonal_mean)
    index = series.starts(*settings.period, step, length + settings.blend_steps - 1)
    return Consecutive(Segments(series, series.seconds[index[:, 0]], index, settings.blend_steps), days,
                       model.time_step, None if settings.seasonal_mean else Season(series, alone, days))
