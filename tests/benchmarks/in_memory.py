"""Cycle an analysis of [neural] without files in between, to choose settings by: a third of the time of run/cycle.sh.

    python -m tests.benchmarks.in_memory EXPERIMENT.toml --like FOLDER --to scores.npz

First members, static fields and observations are those of another experiment's FOLDER, as `tests.benchmarks.near_truth`
and a run of it left them; the programs' own functions do the rest, with the same bits.  scores.npz holds by channel, of
the background and of the analysis, the error of the mean against [verify] truth and the spread, root mean squares over
the globe:  (cycle, channel) as background_rmse, background_spread, analysis_rmse, analysis_spread;  and channels, CPU
seconds.
"""

import logging
import time as clock
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from contracts import config, observations, paths, program, state, static, times
from contracts.paths import ExperimentFolder
from model_server import config as served
from model_server.chosen import model_of
from model_server.models.base import Batch, ForecastModel, advance
from neural_da import check, observe
from neural_da.config import Settings, load
from neural_da.draws import Draws
from neural_da.problem import Problem
from verify.config import Settings as Verified
from verify.scores import moment_scores, region_weights

log = logging.getLogger("in_memory")


def main(arguments: Sequence[str]) -> None:
    parser = program.parser("python -m tests.benchmarks.in_memory", __doc__ or "",
                            "python -m tests.benchmarks.in_memory mine.toml --like work/letkf --to scores.npz")
    program.add_experiment(parser)
    parser.add_argument("--like", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--to", type=Path, required=True, metavar="FILE")
    chosen = parser.parse_args(arguments)
    settings, verified = load(chosen.experiment), config.load(chosen.experiment, Verified)
    model, began = model_of(served.load(chosen.experiment)), clock.process_time()
    scores = cycle(settings, verified, model, ExperimentFolder(chosen.like))
    names = [channel.name for channel in model.space.channels]
    with paths.atomic(chosen.to) as partial, open(partial, "wb") as file:
        np.savez(file, channels=names, seconds=clock.process_time() - began, **scores)


def cycle(settings: Settings, verified: Verified, model: ForecastModel,
          like: ExperimentFolder) -> dict[str, np.ndarray]:
    """(cycle, channel) of each score."""
    experiment, space = settings.experiment, model.space
    fixed, method = static.read(like.static, space.grid), settings.neural.prepared(experiment, space)
    weights, names = region_weights(space.grid, {"global": (-90.0, 90.0)}), [channel.name for channel in space.channels]
    found: dict[str, list[np.ndarray]] = {}

    def score(what: str, X: np.ndarray, truth: np.ndarray) -> None:
        of = moment_scores(X.mean(axis=0, dtype=float), X.std(axis=0, ddof=1, dtype=float), truth, weights)
        for name in ("rmse", "spread"):
            found.setdefault(f"{what}_{name}", []).append(of[name][0])

    batch = begun(settings, model, like)
    for time in experiment.times():
        table, _ = observations.read(like.at(time).observations)
        background = batch.data.reshape(len(batch.data), len(space.channels), -1)
        terms = observe.compare(settings, space, fixed, table, background, {}, time).terms()
        problem = Problem(time, space, background, terms, np.arange(experiment.members), len(table))
        X = method.analyse(problem, Draws(experiment.seed, time, experiment.members)).members
        X = check.sane(X, background, space, settings.neural.humidity_below_hpa).reshape(batch.data.shape)
        truth = state.read(verified.truth(time), space, time).data
        score("background", batch.data, truth)
        score("analysis", X, truth)
        log.info("%s: temperature_500 %.3f K, mean error over spread %.2f", times.name(time),
                 found["analysis_rmse"][-1][names.index("temperature_500")],
                 (found["analysis_rmse"][-1] / found["analysis_spread"][-1]).mean())
        batch = advance(model, replace(batch, data=X))
    return {name: np.array(values) for name, values in found.items()}


def begun(settings: Settings, model: ForecastModel, like: ExperimentFolder) -> Batch:
    """The first members of the other experiment."""
    experiment = settings.experiment
    start, folder = experiment.times()[0], like.at(experiment.times()[0]).background
    data = np.stack([state.read(folder.member(number), model.space, start).data
                     for number in range(1, experiment.members + 1)])
    return Batch(start, data, tuple({} if model.keeps_restart else None for _ in data),
                 tuple(range(1, experiment.members + 1)), experiment.seed)


if __name__ == "__main__":
    program.run(main, "in_memory")
