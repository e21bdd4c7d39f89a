"""`python -m verify scores|summary|figures|observations EXPERIMENT.toml [TIME]`: what an experiment was worth.

scores   of one time -> scores.nc: against the truth where [verify] names one, and against the observations
summary  the tables of all times that have scores, on standard output
figures  figures/series.png and figures/increment.png in the experiment's folder
observations  of one time: counts before and after thinning, and their map, figures/observations_TIME.png
"""

import logging
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np

from contracts import config, observations, program, state, static, times
from contracts.errors import UserError
from verify import ensembles, fit, score_file, scores, summary
from verify.config import Settings
from verify.score_file import Scores

log = logging.getLogger("verify")


def main(arguments: Sequence[str]) -> None:
    """Entry point; raises UserError."""
    parser = program.parser("python -m verify", __doc__ or "",
                            "python -m verify scores run/experiments/twin_speedy.toml 2001010106")  # fmt: skip
    parser.add_argument("what", choices=("scores", "summary", "figures", "observations"), help="what to make")
    program.add_experiment(parser)
    parser.add_argument("time", nargs="?", type=times.parse, metavar="TIME",
                        help="YYYYMMDDHH in UTC, for scores and observations")  # fmt: skip
    chosen = parser.parse_args(arguments)
    settings = config.load(chosen.experiment, Settings)
    if (chosen.what in ("scores", "observations")) == (chosen.time is None):
        parser.error("scores and observations need a TIME, summary and figures take none")
    if chosen.what == "scores":
        program.log_to_file(settings.experiment.folder.at(chosen.time).log("verify"))
        write_scores(settings, chosen.time)
    elif chosen.what == "summary":
        print(summary.text(read_cycles(settings), settings.verify.headline))
    elif chosen.what == "observations":
        show_observations(settings, chosen.time)
    else:
        draw(settings)


def write_scores(settings: Settings, time: datetime) -> None:
    """Score one time and write `scores.nc`."""
    experiment, verify = settings.experiment, settings.verify
    space = settings.state.space(settings.grid.grid())
    here = experiment.folder.at(time)
    departures, _ = observations.read_departures(here.departures)
    truth = settings.truth(time)
    against_truth: dict[str, np.ndarray] = {}
    if truth is not None:
        try:
            weights = scores.region_weights(space.grid, verify.regions)
        except ValueError as error:
            raise UserError(f"[verify] {error}") from None
        for name, ensemble in ensembles.ensembles(experiment.folder, time).items():
            values = ensembles.score(ensemble, experiment.members, truth, space, time, weights, verify.memory_gib)
            against_truth |= {f"{name}_{score}": numbers for score, numbers in values.items()}
    result = Scores(time, experiment.members, str(truth or ""), tuple(verify.regions),
                    tuple(channel.name for channel in space.channels),
                    fit.statistics(departures, verify.layers_hpa), departures.counts(), against_truth)  # fmt: skip
    score_file.write(here.scores, result, experiment.name)
    log.info("%s: %d groups of observations, %s", here.scores, len(result.fit),
             f"scores against {truth}" if truth else "no truth to score against")  # fmt: skip


def show_observations(settings: Settings, time: datetime) -> Path:
    """Print what thinning left of the observations of one time, draw its map and print where that is."""
    from verify import coverage  # here, because matplotlib takes a second to import

    folder, grid = settings.experiment.folder, settings.grid.grid()
    table, _ = observations.read(folder.at(time).observations)
    fields = static.read(folder.static, grid) if folder.static.exists() else None
    path = folder.folder / "figures" / f"observations_{times.name(time)}.png"
    title = f"Experiment {settings.experiment.name}: observations of {times.name(time)}"
    try:
        coverage.draw(path, table, fields, title)
    except ValueError as error:
        raise UserError(f"{folder.at(time).observations}: {error}") from None
    print(coverage.counts(table))
    print(path)
    return path


def read_cycles(settings: Settings) -> list[Scores]:
    """The scores of all times that have them, in order; raises UserError where there are none."""
    folder = settings.experiment.folder
    found = [folder.at(time).scores for time in settings.experiment.times() if folder.at(time).scores.exists()]
    if not found:
        raise UserError(f"{folder.folder}: no time has scores yet; run: run/cycle.sh EXPERIMENT.toml")
    return [score_file.read(path) for path in found]


def draw(settings: Settings) -> list[Path]:
    """Draw both figures and print their paths."""
    from verify import figures  # here, because matplotlib takes a second to import

    experiment, cycles = settings.experiment, read_cycles(settings)
    folder, space = experiment.folder, settings.state.space(settings.grid.grid())
    here = folder.at(cycles[-1].time)
    series, increment = folder.folder / "figures" / "series.png", folder.folder / "figures" / "increment.png"
    title = f"Experiment {experiment.name}"
    figures.series(series, cycles, settings.verify.headline, f"{title}, {experiment.members} members")
    background, analysis = (state.read(ensemble.mean, space) for ensemble in (here.background, here.analysis))
    departures, _ = observations.read_departures(here.departures)
    fields = static.read(folder.static, space.grid) if folder.static.exists() else None
    try:
        figures.increment(increment, background, analysis, settings.verify.map_channel, departures, fields, title)
    except ValueError as error:
        raise UserError(f"[verify] map_channel: {error}") from None
    for path in (series, increment):
        print(path)
    return [series, increment]


if __name__ == "__main__":
    program.run(main, "verify")
