"""The errors of a forecast model over one step, from states of a nature run: what `[model.noise]` adds to forecasts.

    r(t) = x(t + step) - M(x(t))        at every step of the years that [model.noise] names

in files of ten days (`networks.data.shards`).  Files that are complete stay, so that a killed run goes on.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from contracts import program, state, static, times
from contracts.constants import HOUR
from contracts.errors import UserError
from contracts.nature import NatureFolder
from contracts.state import StateSpace
from contracts.static import Static
from model_server import config, environment, initial
from model_server.chosen import bare, filtered_as
from model_server.config import ResidualNoise
from model_server.models import archive
from model_server.models.base import ForecastModel, advance, begun, seen_by
from networks.data import shards
from networks.data.shards import Series, ShardFolder
from networks.unseen import refuse_overlap, refuse_seen

log = logging.getLogger("model_server.residuals")
DAYS = 10  # in a file
MEMBER = (0,)  # a nature run's number
STORAGE = "float16"
SAMPLED = 200  # pairs of a lag, at equal distances
LAGS = (1, 2, 4, 8, 16, 40)  # steps


@dataclass(frozen=True)
class ResidualSource:
    """Residuals as a source of fields: `bare` takes up states of the nature run, `model`, perhaps filtered, steps."""

    space: StateSpace
    nature: NatureFolder
    bare: ForecastModel
    model: ForecastModel

    def static(self) -> Static:
        return static.read(self.nature.static, self.space.grid)

    def read(self, begin: Sequence[datetime]) -> np.ndarray:
        """float32 (time, channel, lat, lon) of the steps that begin at these times."""
        return np.stack([self._residual(time) for time in begin])

    def steps(self, first: datetime, last: datetime) -> list[datetime]:
        """Beginnings of all steps whose states lie within `first` to `last`."""
        early, late = (self.model.history - 1) * self.model.time_step, self.model.time_step
        return list(times.every(first + early, last - late, self.model.time_step))

    def needed(self, begin: datetime) -> list[datetime]:
        """Times of the states from which a residual is made."""
        return [begin + number * self.model.time_step for number in range(1 - self.model.history, 2)]

    def _residual(self, begin: datetime) -> np.ndarray:
        batch = begun(self.model, initial.begin_as(self.nature, [begin], self.bare, begin), MEMBER, seed=0)
        *before, _, truth = (self._state(time) for time in self.needed(begin))
        if before:
            batch = replace(batch, before=before[0][None])
        return truth - advance(self.model, batch).data[0]

    def _state(self, time: datetime) -> np.ndarray:
        return state.read(self.nature.state(time), self.space, time).data


def main(arguments: Sequence[str]) -> None:
    parser = program.parser(
        "python -m model_server residuals",
        "Make the archive of a model's errors over one step that [model.noise] asks for, from a nature run in years\n"
        "that the model has not seen.",
        "python -m model_server residuals run/experiments/generative/climax_600km_residuals.toml",
    )
    program.add_experiment(parser)
    residuals(environment.load(parser.parse_args(arguments).experiment))


def residuals(settings: config.Settings) -> None:
    """Write the residuals that are not there yet; raises UserError where states of the nature run are missing,
    or where the model has seen them."""
    asked = settings.model.noise
    if not isinstance(asked, ResidualNoise):
        raise UserError('[model.noise] method = "none" needs no residuals: set method = "residuals" and its settings')
    first, last = asked.period
    folder = settings.experiment.in_work(asked.archive)
    refuse_overlap(folder, first, last, settings.model.unseen_in(settings.experiment), "[model]")
    model = bare(settings)
    refuse_seen(model.name, seen_by(model), first, last)
    source = ResidualSource(settings.space, NatureFolder(settings.experiment.in_work(asked.nature)), model,
                            filtered_as(settings, model))
    step, wanted = int(source.model.time_step.total_seconds()), source.steps(first, last)
    held, note = archive.contents(source.model, settings.model, asked), archive.Note(folder)
    note.refuse_other(held)
    if not note.is_complete:
        _refuse_missing(source, wanted)
        note.write(held, complete=False)
        shards.write(source, ShardFolder(folder), wanted, DAYS, STORAGE)
        note.write(held, complete=True)
    log.info("%s: %d residuals of %s", folder, len(wanted), source.model.name)
    remain = memory(Series(ShardFolder(folder), settings.space, memory_bytes=0), step, LAGS)
    log.info("correlation of an error with that of later steps: %s",
             ", ".join(f"{correlation:.2f} ({lag * step / HOUR:g} h)" for lag, correlation in remain.items()))


def _refuse_missing(source: ResidualSource, begin: Sequence[datetime]) -> None:
    files = dict.fromkeys(source.nature.state(time) for one in begin for time in source.needed(one))
    missing = [path for path in files if not path.exists()]
    if not files:
        raise UserError("[model.noise]: no step of the model lies within first to last; name a longer period")
    if missing:
        raise UserError(f"{missing[0]}: no such file; {len(missing)} of {len(files)} states of the run are missing "
                        "(python -m model_server nature makes them)")


def memory(series: Series, step: int, lags: Sequence[int]) -> dict[int, float]:
    """By lag in steps of `step` seconds the correlation of a residual with a later one, the mean of all channels; empty
    for lags longer than the archive.  What every residual has in common is taken out; one field in memory at a time."""
    weights = series.space.grid.area_weights
    first, last = (times.from_seconds(int(series.seconds[end])) for end in (0, -1))
    found = {}
    for lag in lags:
        rows = series.starts(first, last, step, lag)[:, [0, lag]]
        rows = rows[:: max(1, len(rows) // SAMPLED)]
        if not len(rows):
            continue
        mean = sum(series.fields(pair) for pair in rows) / len(rows)  # (2, channel, lat, lon)
        products = np.zeros((3, series.space.shape[0]))
        for pair in rows:
            now, later = (series.fields(pair) - mean).astype(np.float64)
            products += [(weights * product).mean(axis=(1, 2)) for product in (now * later, now**2, later**2)]
        covariance, *variances = products
        found[lag] = float(np.mean(covariance / np.sqrt(np.prod(variances, axis=0))))
    return found
