"""Any forecast model with errors that it made in other years added to each step: model error with memory.

    r(t) = x(t + step) - M(x(t))                       the archive (`residuals`), of a nature run, in order of time
    x(n + 1) = M(x(n)) + factor e(n)
    e = r(s), r(s + step), r(s + 2 step), …            a segment, begun near the date's season and at its hour
    e = cos θ r(end of the last segment + i steps) + sin θ r(s + i steps),   θ = π/2 (i + 1) / (blend + 1)

The last line blends a segment into the next over its first steps; unrelated errors keep their variance so.  Errors of a
network remain for a day or more, and noise of their size that is drawn anew at each step spreads an ensemble too little
later.  Where a member is, in which segments and how far, is kept in its restart.  Humidity that the noise would make
negative is zero.
"""

import json
import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import cast

import msgspec
import numpy as np

from contracts import humidity, paths, times
from contracts.config import Experiment
from contracts.constants import HOUR
from contracts.errors import UserError
from model_server.config import Model, ResidualNoise
from model_server.models.around import Around
from model_server.models.base import NOISE_STREAM, Batch, ForecastModel, Restart, identity_of, seen_by
from networks.data.shards import Series, ShardFolder
from networks.season import YEAR
from networks.unseen import refuse_overlap, refuse_seen

log = logging.getLogger("model_server.noise")
WHERE = "__noise__"  # in a restart
DAY = 24 * HOUR


@dataclass(frozen=True)
class Where:
    """A member's place: where the last and the present segment begin, seconds since 1970, and steps done of it."""

    last: int
    present: int
    step: int


@dataclass(frozen=True)
class Segments:
    """All segments of an archive: `begin` (n,) seconds since 1970, `index` (n, length + blend) of their residuals.

    A segment is alone from step `blend` to `length`, and then fades while the next one begins.
    """

    series: Series
    begin: np.ndarray
    index: np.ndarray
    blend: int

    @property
    def length(self) -> int:
        return self.index.shape[1] - self.blend

    def near(self, time: datetime, days: int) -> np.ndarray:
        """Beginnings, in seconds since 1970, within `days` of the season of `time` and at its hour of the day."""
        away = self.begin - times.to_seconds(time)
        from_season = np.abs((away + YEAR / 2) % YEAR - YEAR / 2)
        found = self.begin[(from_season <= days * DAY) & (away % DAY == 0)]
        if not found.size:
            raise UserError(f"{self.series.folder.folder}: has no {self.index.shape[1]} residuals one after the other "
                            f"that begin at {time:%H} UTC within {days} days of the season of {times.name(time)}; make "
                            "it of whole years, or allow more [model.noise] season_days or fewer segment_steps")
        return found

    def error(self, where: Where) -> np.ndarray:
        """e (channel, lat, lon)"""
        if where.step >= self.blend:
            return self._residual(where.present, where.step)
        theta = np.float32(np.pi / 2 * (where.step + 1) / (self.blend + 1))
        fading, coming = self._residual(where.last, self.length + where.step), self._residual(where.present, where.step)
        return np.cos(theta) * fading + np.sin(theta) * coming

    def _residual(self, begin: int, step: int) -> np.ndarray:
        row = np.searchsorted(self.begin, begin)
        return self.series.fields([self.index[row, step]])[0]


@dataclass(frozen=True)
class Noisy(Around):
    """`model`, to whose fields errors of its own are added after each step.

    A model that keeps a state of its own takes them up as it does an analysis: by the increment of its fields.
    """

    segments: Segments
    settings: ResidualNoise
    humid: np.ndarray  # (channel,) bool

    @property
    def keeps_restart(self) -> bool:
        return True  # where each member stands in its segment

    def step(self, batch: Batch) -> Batch:
        later = self.model.step(replace(batch, restart=tuple(map(self._own, batch.restart))))
        where = self._places(batch)
        factor = np.float32(self.settings.factor)
        made = [with_error(fields, factor * self.segments.error(one), self.humid)
                for fields, one in zip(later.data, where, strict=True)]
        if count := sum(negative for _, negative in made):
            log.info("%s: noise made %d humidities negative, they are zero", times.name(later.time), count)
        restart = tuple({**(own or {}), WHERE: np.array([one.last, one.present, one.step + 1], np.int64)}
                        for own, one in zip(later.restart, where, strict=True))
        return replace(later, data=np.stack([data for data, _ in made]), restart=restart)

    def _own(self, kept: Restart | None) -> Restart | None:
        """What the model itself keeps."""
        if not self.model.keeps_restart or kept is None:
            return None
        return {name: array for name, array in kept.items() if name != WHERE}

    def _places(self, batch: Batch) -> list[Where]:
        """Where each member stands in this step; who begins or has done a segment is given another."""
        near = cache(self._near)
        places = []
        for random, kept in zip(batch.generators(NOISE_STREAM), batch.restart, strict=True):
            if not kept or WHERE not in kept:  # the steps of blending count as done, so its hour is that of their end
                drawn = int(random.choice(near(batch.time - self._into_the_day)))
                places.append(Where(drawn, drawn, self.segments.blend))
                continue
            where = Where(*map(int, kept[WHERE]))
            if where.step == self.segments.length:
                where = Where(where.present, int(random.choice(near(batch.time))), 0)
            places.append(where)
        return places

    def refuse_gaps(self, first: datetime, last: datetime) -> None:
        """Raises UserError where a member could begin no segment at some step from `first` to `last`."""
        for time in times.every(first, last, self.time_step):
            for begin in dict.fromkeys((time, time - self._into_the_day)):
                self._near(begin)

    def _near(self, time: datetime) -> np.ndarray:
        return self.segments.near(time, self.settings.season_days)

    @property
    def _into_the_day(self) -> timedelta:
        return self.segments.blend * self.time_step % timedelta(days=1)


def with_error(fields: np.ndarray, error: np.ndarray, humid: np.ndarray) -> tuple[np.ndarray, int]:
    """Fields and error (channel, lat, lon) added, and the number of humidities that it made negative, which are zero.

    `humid` (channel,) says which they are; where the error is zero the fields stay to the last bit.
    """
    found = np.where(error == 0, fields, fields + error)
    floor = np.where(humid[:, None, None], np.minimum(fields, 0), -np.inf)
    negative = found < floor
    return np.where(negative, floor, found).astype(np.float32), int(np.count_nonzero(negative))


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
    refuse_overlap(folder, *settings.period, experiment)
    refuse_seen(model.name, seen_by(model), *settings.period)
    series = Series(ShardFolder(folder), model.space, memory_bytes=0)
    step = int(model.time_step.total_seconds())
    index = series.starts(*settings.period, step, settings.segment_steps + settings.blend_steps - 1)
    segments = Segments(series, series.seconds[index[:, 0]], index, settings.blend_steps)
    noisy = Noisy(model, segments, settings, humidity.humid(model.space))
    noisy.refuse_gaps(experiment.start.astimezone(UTC), experiment.end.astimezone(UTC))
    return cast(ForecastModel, noisy)


def contents(model: ForecastModel, chosen: Model, settings: ResidualNoise) -> dict[str, object]:
    """What an archive holds: whose residuals, over what, from where."""
    first, last = settings.period
    return {"model": model.name, "identity": msgspec.to_builtins(identity_of(model, chosen.options)),
            "spectral_filter": msgspec.to_builtins(chosen.spectral_filter),
            "step_hours": model.time_step.total_seconds() / HOUR, "nature": settings.nature,
            "first": times.name(first), "last": times.name(last)}


@dataclass(frozen=True)
class Note:
    """What an archive in `folder` says of itself, so that no other is mixed in and none is used before it is whole."""

    folder: Path

    @property
    def path(self) -> Path:
        return self.folder / "made.json"

    @property
    def is_complete(self) -> bool:
        return bool(self._read().get("complete"))

    def write(self, held: dict[str, object], complete: bool) -> None:
        with paths.atomic(self.path) as partial:
            partial.write_text(json.dumps({**held, "complete": complete}, indent=1) + "\n")

    def refuse_other(self, asked: dict[str, object]) -> None:
        """Raises UserError where something else than `asked` is held there; what a note of before does not tell counts
        as agreeing."""
        found = {**asked, **self._read()}
        for name, value in asked.items():
            if found[name] != value:
                raise UserError(f"{self.folder}: holds residuals with {name} = {found[name]!r}, asked for {value!r}; "
                                "name another [model.noise] archive or remove this one")

    def _read(self) -> dict[str, object]:
        return json.loads(self.path.read_text()) if self.path.exists() else {}
