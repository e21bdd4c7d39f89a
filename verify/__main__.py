"""`python -m verify WHAT EXPERIMENT.toml [TIME]`: what an experiment was worth.

scores   of one time -> scores.nc: against the truth where [verify] names one, and against the observations; with
         --follow instead of TIME of all times that have none, as their analyses appear
summary  the tables of all times that have scores, on standard output
figures  figures/series.png and figures/increment.png in the experiment's folder
observations  of one time: counts before and after thinning, and their map, figures/observations_TIME.png
consistency  errors given against errors estimated, ranks, spread and skill, over all times -> consistency.nc, and
         estimated.toml, a table that [observations] errors of the next experiment can name
compare  tables of several experiments in Markdown
skill-spread  error, spread, CRPS and ranks of extended forecasts by lead -> skill_spread.nc
dataset  all states in one NetCDF file or zarr store, lazily readable
grib     the states of one time as GRIB2
departures  the departures of all times as one Parquet table
status   status.json and status.prom: what is done, what is at work, what is STALLED
serve    the status as a page, on this machine only
report   report.html: all of the above in one file
league   contestants of one task side by side: a table, and league.html

The last nine have more options: `python -m verify compare --help`.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
from tqdm import tqdm

from contracts import config, estimated_errors, frozen, observations, program, state, static, texts, times
from contracts.errors import UserError
from contracts.estimated_errors import EstimatedErrors
from contracts.follow import Follower
from obsoperator import aircraft_bias
from verify import (
    blocks,
    compare,
    consistency,
    consistency_report,
    ensembles,
    fit,
    score_file,
    scores,
    serve,
    skill_spread,
    summary,
    watch,
)
from verify.config import Settings
from verify.exports import dataset, departures, grib
from verify.score_file import Scores

log = logging.getLogger("verify")


def main(arguments: Sequence[str]) -> None:
    """Entry point; raises UserError."""
    if arguments and arguments[0] in OWN_ARGUMENTS:
        OWN_ARGUMENTS[arguments[0]](arguments[1:])
        return
    parser = program.parser("python -m verify", __doc__ or "",
                            "python -m verify scores run/experiments/twin_speedy.toml 2001010106")
    parser.add_argument("what", choices=("scores", "summary", "figures", "observations", "consistency", *OWN_ARGUMENTS),
                        help="what to make")
    program.add_experiment(parser)
    parser.add_argument("time", nargs="?", type=times.parse, metavar="TIME",
                        help="YYYYMMDDHH in UTC, for scores and observations")
    parser.add_argument("--follow", action="store_true", help="scores of all times, as their analyses appear")
    chosen = parser.parse_args(arguments)
    settings = config.load(chosen.experiment, Settings)
    if chosen.follow and (chosen.what != "scores" or chosen.time):
        parser.error("--follow belongs to scores, and stands instead of a TIME")
    if not chosen.follow and (chosen.what in ("scores", "observations")) == (chosen.time is None):
        parser.error("scores and observations need a TIME, summary, figures and consistency take none")
    if chosen.follow:
        frozen.refuse_other(chosen.experiment, settings.experiment)
        follow(settings)
    elif chosen.what == "scores":
        write_scores(settings, chosen.time)
    elif chosen.what == "summary":
        print(summary.text(read_cycles(settings), settings.verify.headline))
    elif chosen.what == "consistency":
        show_consistency(settings)
    elif chosen.what == "observations":
        show_observations(settings, chosen.time)
    else:
        draw(settings)


def follow(settings: Settings) -> None:
    """Score all times that have no scores, each when its analysis is complete; raises Stopped if asked to end."""
    experiment = settings.experiment
    with Follower(experiment, log.name) as follower:
        for time in follower.each_time(experiment.times(), what="the analysis",
                                       ready=lambda time: experiment.folder.at(time).departures.exists(),
                                       made=lambda time: experiment.folder.at(time).scores.exists(),
                                       done=lambda time: experiment.folder.at(time).scores.exists()):
            write_scores(settings, time)


def write_scores(settings: Settings, time: datetime) -> None:
    """Score one time and write `scores.nc`."""
    with program.logging_to_file(settings.experiment.folder.at(time).log("verify")):
        _score(settings, time)


def _score(settings: Settings, time: datetime) -> None:
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
                    fit.statistics(departures, verify.layers_hpa), departures.counts(), against_truth)
    score_file.write(here.scores, result, experiment.name)
    log.info("%s: %d groups of observations, %s", here.scores, len(result.fit),
             f"scores against {truth}" if truth else "no truth to score against")


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


def show_consistency(settings: Settings) -> Path:
    """Print what the observations of all times say of spread and errors, and write `consistency.nc`."""
    experiment, layers = settings.experiment, settings.verify.layers_hpa
    times_of_it = [time for time in experiment.times() if experiment.folder.at(time).departures.exists()]
    if not times_of_it:
        raise UserError(f"{experiment.folder.folder}: no time has an analysis yet; run: run/cycle.sh EXPERIMENT.toml")
    sums, biases = [], aircraft_bias.Biases()
    for time in tqdm(times_of_it, unit="time", disable=None):
        departures, _ = observations.read_departures(experiment.folder.at(time).departures)
        sums.append(consistency.Sums.of(departures, layers, experiment.members))
        biases = biases.moved(departures, were_taken=False)
    whole, path = consistency.Sums.join(sums), experiment.folder.folder / "consistency.nc"
    consistency_report.write(path, whole, layers, experiment.name)
    estimates = EstimatedErrors(experiment=experiment.name, first=times_of_it[0], last=times_of_it[-1],
                                otherwise=_errors_given(settings), bias=biases.told(),
                                estimate=consistency_report.estimates(whole, settings.verify))
    estimated_errors.write(path.with_name("estimated.toml"), estimates)
    print(consistency_report.text(whole, layers))
    print(f"{path.with_name('estimated.toml')}: {len(estimates.estimate)} errors, for [observations] errors, and "
          f"{len(estimates.bias)} biases of aircraft, for [observations] aircraft_bias")
    print(path)
    return path


def _errors_given(settings: Settings) -> str:
    """What [observations] errors of the experiment says, on which estimates stand."""
    experiment = settings.experiment
    path = experiment.folder.settings
    given = texts.table(texts.read(path), str(path)).get("observations", {}).get("errors", "") if path.exists() else ""
    file = config.file_of(given, experiment.start)
    return str(file.resolve()) if file.is_file() else given or "cdas"


def read_cycles(settings: Settings) -> list[Scores]:
    """The scores of all times that have them, in order; raises UserError where there are none."""
    folder = settings.experiment.folder
    found = [folder.at(time).scores for time in settings.experiment.times() if folder.at(time).scores.exists()]
    if not found:
        raise UserError(f"{folder.folder}: no time has scores yet; run: run/cycle.sh EXPERIMENT.toml")
    return [score_file.read(path) for path in found]


def compare_experiments(arguments: Sequence[str]) -> None:
    """Print the tables of those experiments that have scores; raises UserError where none has."""
    parser = program.parser("python -m verify compare", (compare.__doc__ or "").partition("\n\n")[0],
                            "python -m verify compare run/experiments/year/climax_*.toml")
    parser.add_argument("experiments", nargs="+", type=Path, metavar="EXPERIMENT.toml")
    parser.add_argument("--all", action="store_true", help="all channels, not only those of [verify] headline")
    parser.add_argument("--monthly", action="store_true", help="also the analysis of each month")
    parser.add_argument("--blocks", type=int, metavar="DAYS",
                        help="instead: means over blocks of so many days, with intervals, against the first experiment")
    parser.add_argument("--skip", type=int, default=10, metavar="DAYS", help="left out before the first block [10]")
    parser.add_argument("--region", metavar="NAME", help="one of [verify.regions], such as tropics [the first, global]")
    chosen = parser.parse_args(arguments)
    found = []
    for settings in (config.load(path, Settings) for path in chosen.experiments):
        try:
            found.append((settings, read_cycles(settings)))
        except UserError as error:
            log.warning("left out: %s", error)
    if not found:
        raise UserError("none of these experiments has scores yet")
    channels = found[0][1][0].channels if chosen.all else found[0][0].verify.headline
    if chosen.region is not None:
        found = [(settings, [cycle.of_region(chosen.region) for cycle in cycles]) for settings, cycles in found]
        print(f"{chosen.region.replace('_', ' ')}\n")
    if chosen.blocks is not None:
        named = [blocks.Named(settings.experiment.name, cycles) for settings, cycles in found]
        print(blocks.markdown(named, channels, chosen.blocks, chosen.skip))
        return
    rows = [compare.of(settings, cycles, channels) for settings, cycles in found]
    print(compare.markdown(rows, channels))
    if chosen.monthly and all(cycle.against_truth for row in rows for cycle in row.cycles):
        print("\n" + compare.monthly(rows, channels))


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


def write_report(arguments: Sequence[str]) -> None:
    """Write `report.html` and print where it is."""
    from verify import report  # here, because matplotlib takes a second to import

    report.main(arguments)


def show_league(arguments: Sequence[str]) -> None:
    """Write the page of a league and print its table."""
    from verify import league  # here, because matplotlib takes a second to import

    league.main(arguments)


OWN_ARGUMENTS: dict[str, Callable[[Sequence[str]], None]] = {
    "compare": compare_experiments, "skill-spread": skill_spread.main, "dataset": dataset.main, "grib": grib.main,
    "departures": departures.main, "status": watch.main, "serve": serve.main, "report": write_report,
    "league": show_league,
}


if __name__ == "__main__":
    program.run(main, "verify")
