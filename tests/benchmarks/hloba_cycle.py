"""Cycle HLOBA without files in between, and look at each step at what the background's variance is worth.

    python -m tests.benchmarks.hloba_cycle EXPERIMENT.toml --like FOLDER --to FILE.npz

First members, static fields and observations are those of another experiment's FOLDER; the programs' own functions do
the rest.  Lagged forecasts are those of the mean of the analyses.  FILE.npz holds, root mean squares over the globe by
cycle and channel, the error of the mean and the spread of background and analysis; with --compare `<which>_rmse`, the
error of one analysis of the same background with b of the ensemble, of the climatology, of lagged forecasts and of
lagged ones of `SHUFFLED` steps before, of the first step until then; `<which>_ratio`, squared errors in the latent over
b before and over p after it, and `estimate_ratio` those of the network over r; and of the channels of MAPS (cycle, map,
lat, lon) the errors and what they were said to be.
"""

import logging
import time as clock
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from msgspec.structs import replace as changed
from torch import Tensor

from contracts import config, ensemble, observations, paths, program, state, static, times
from contracts.paths import ExperimentFolder
from contracts.static import Static
from model_server import config as served
from model_server import models
from model_server.chosen import model_of
from model_server.models.base import Batch, ForecastModel, advance
from networks.latent import uncertainty
from networks.o2l import estimate
from neural_da import check, observe
from neural_da.config import Settings, load
from neural_da.draws import Draws
from neural_da.hloba import Prepared
from neural_da.problem import Earlier, Problem
from verify.config import Settings as Verified

log = logging.getLogger("hloba_cycle")
LEADS = (12, 24, 36, 48)  # hours
SHUFFLED = 30  # steps
MAPS = ("temperature_500", "u_component_of_wind_500", "geopotential_500")


@dataclass(frozen=True)
class Models:
    """That of the members, and the one of lagged forecasts, without noise."""

    members: ForecastModel
    mean: ForecastModel


@dataclass
class Kept:
    """Numbers by name, one for each cycle; forecasts of the mean by the time that they are valid at."""

    numbers: dict[str, list[np.ndarray]] = field(default_factory=dict)
    forecasts: dict[datetime, dict[int, np.ndarray]] = field(default_factory=dict)
    lagged: list[Tensor] = field(default_factory=list)

    def add(self, name: str, value: np.ndarray) -> None:
        self.numbers.setdefault(name, []).append(np.asarray(value, np.float32))


def main(arguments: Sequence[str]) -> None:
    parser = program.parser("python -m tests.benchmarks.hloba_cycle", __doc__ or "",
                            "python -m tests.benchmarks.hloba_cycle mine.toml --like work/letkf --to hloba.npz")
    program.add_experiment(parser)
    parser.add_argument("--like", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--to", type=Path, required=True, metavar="FILE")
    parser.add_argument("--compare", action="store_true", help="try every variance at each step")
    chosen = parser.parse_args(arguments)
    settings, verified = load(chosen.experiment), config.load(chosen.experiment, Verified)
    model = model_of(served.load(chosen.experiment))
    served_as = served.load(chosen.experiment).model
    plain = models.create(served_as.name, served_as.options, model.space)
    kept = cycle(settings, verified, Models(model, plain), ExperimentFolder(chosen.like), chosen.compare)
    names = [channel.name for channel in model.space.channels]
    with paths.atomic(chosen.to) as partial, open(partial, "wb") as file:
        np.savez(file, channels=names, maps=MAPS, **{name: np.stack(of) for name, of in kept.numbers.items()})


def cycle(settings: Settings, verified: Verified, both: Models, like: ExperimentFolder, compared: bool) -> Kept:
    model = both.members
    experiment, space, kept = settings.experiment, model.space, Kept()
    fixed, method = static.read(like.static, space.grid), settings.neural.prepared(experiment, space)
    start = experiment.times()[0]
    members = ensemble.read_members(like.at(start).background, range(experiment.members), space, start)
    none = {} if model.keeps_restart else None
    batch = Batch(start, members.reshape(-1, *space.shape), (none,) * experiment.members,
                  tuple(range(1, experiment.members + 1)), experiment.seed)
    for time in experiment.times():
        truth = state.read(verified.truth(time), space, time).data.reshape(len(space.channels), -1)
        problem = posed(settings, fixed, model, like, batch, kept)
        score(kept, "background", problem.background, truth, model)
        began = clock.process_time()
        found = method.analyse(problem, Draws(experiment.seed, time, experiment.members))
        kept.add("seconds", np.array(clock.process_time() - began))
        X = check.sane(found.members, problem.background, space, settings.neural.humidity_below_hpa)
        score(kept, "analysis", X, truth, model)
        if isinstance(method, Prepared):
            kept.add("uncertainty_map", shown(found.fields["uncertainty"], model))
            if compared:
                compare(kept, method, problem, truth, model)
        log.info("%s: error of T, u and Z at 500 hPa %s, spread %s; analysis %s", times.name(time),
                 *(kept.numbers[name][-1][index(model)] for name in
                   ("background_rmse", "background_spread", "analysis_rmse")))
        if compared or settings.neural.needs.lagged_forecasts:
            ahead(kept, both.mean, Batch(time, X.mean(axis=0, keepdims=True).reshape(1, *space.shape), (None,)))
        batch = advance(model, replace(batch, data=X.reshape(batch.data.shape)))
    return kept


def posed(settings: Settings, fixed: Static, model: ForecastModel, like: ExperimentFolder, batch: Batch,
          kept: Kept) -> Problem:
    """The problem of the batch's time."""
    table, _ = observations.read(like.at(batch.time).observations)
    background = batch.data.reshape(len(batch.data), len(model.space.channels), -1)
    terms = observe.compare(settings, model.space, fixed, table, background, {}, batch.time).terms()
    known = kept.forecasts.pop(batch.time, {})
    lagged = tuple(known[lead].reshape(background.shape[1:]) for lead in LEADS if lead in known)
    return Problem(batch.time, model.space, background, terms, np.arange(len(background)), len(table),
                   earlier=Earlier(forecasts=lagged))


def ahead(kept: Kept, model: ForecastModel, batch: Batch) -> None:
    """Forecasts of the mean analysis."""
    start = batch.time
    while batch.time - start < timedelta(hours=max(LEADS)):
        batch = advance(model, batch)
        lead = int((batch.time - start) / timedelta(hours=1))
        if lead in LEADS:
            kept.forecasts.setdefault(batch.time, {})[lead] = batch.data[0].astype(np.float32)


def compare(kept: Kept, method: Prepared, problem: Problem, truth: np.ndarray, model: ForecastModel) -> None:
    """One analysis of this background with each variance, and what each says of the background's error."""
    told, z, mean = method.told(problem), method.encoded(problem.background), problem.background.mean(axis=0)
    kept.add("estimate_rmse", rmse(_state(method, told.weighted / told.precision, mean.shape) - truth, model))
    real = method.encode(truth)
    kept.add("estimate_ratio", ((real - told.weighted / told.precision).square() * told.precision).mean().numpy())
    variances = {which: replace(method, settings=changed(method.settings, background=which))
                 .background_variance(problem, z) for which in ("ensemble", "climatology", "lagged")}
    kept.lagged.append(variances["lagged"])
    variances["shuffled"] = kept.lagged[max(0, len(kept.lagged) - 1 - SHUFFLED)]
    for which, b in variances.items():
        moved, p = estimate.combined(z.mean(0), b, told)
        ratios = [(real - one).square() / variance for one, variance in ((z.mean(0), b), (moved, p))]
        kept.add(f"{which}_ratio", np.array([float(ratio.mean()) for ratio in ratios]))
        change = (method.latent.scale * method.latent.put_back((moved - z.mean(0)).float())).numpy()
        kept.add(f"{which}_rmse", rmse(mean + change.reshape(mean.shape) - truth, model))
        kept.add(f"{which}_map", shown(uncertainty.deviation(method.latent, b).numpy().reshape(mean.shape), model))


def _state(method: Prepared, z: Tensor, shape: tuple[int, ...]) -> np.ndarray:
    return method.latent.reconstruct(z.float(), shape[0]).numpy().reshape(shape)


def score(kept: Kept, what: str, X: np.ndarray, truth: np.ndarray, model: ForecastModel) -> None:
    mean, spread = ensemble.moments(X)
    kept.add(f"{what}_rmse", rmse(mean - truth, model))
    kept.add(f"{what}_spread", rmse(spread, model))
    kept.add(f"{what}_error_map", shown(mean - truth, model))
    kept.add(f"{what}_spread_map", shown(spread, model))


def rmse(error: np.ndarray, model: ForecastModel) -> np.ndarray:
    """(channel,)"""
    return np.sqrt((error.astype(float) ** 2 * model.space.grid.area_weights.reshape(-1)).mean(axis=-1))


def index(model: ForecastModel) -> list[int]:
    return [[channel.name for channel in model.space.channels].index(name) for name in MAPS]


def shown(x: np.ndarray, model: ForecastModel) -> np.ndarray:
    """(map, lat, lon) of a state."""
    return x[index(model)].reshape(len(MAPS), *model.space.grid.shape)


if __name__ == "__main__":
    program.run(main, "hloba_cycle")
