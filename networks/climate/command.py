"""`climate`: fit a Gaussian climate to states of nature runs, or of a WeatherBench-like archive, and say how good a
description of them it is."""

import logging
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np

from contracts import program, progress, times
from contracts.errors import UserError
from networks.climate import config, draws, file, fit, memory, wiener
from networks.climate.gaussian import Climate
from networks.data import sources
from networks.data.sources import Source

log = logging.getLogger("networks.climate")
LEAST_STATES = 8  # fewer have no two halves to speak of


def main(arguments: Sequence[str]) -> None:
    parser = program.parser(
        "python -m networks climate",
        "Fit the Gaussian climate that [climate] describes: mean by season, scale, and correlations that are the\n"
        "same all along a circle of latitude.\n"
        "Analyses from observations alone (neural_da) and samples of the climate are made with it.",
        "python -m networks climate run/experiments/neural/climate_t31.toml",
    )
    program.add_experiment(parser)
    parser.add_argument("--draws", action="store_true",
                        help="write the state files of [climate.draws] from the climate that was fitted before")
    chosen = parser.parse_args(arguments)
    (draw if chosen.draws else make)(chosen.experiment)


def draw(path: Path) -> None:
    """Write the draws that the experiment file `path` asks for; raises UserError where there is no climate."""
    settings = config.load(path)
    if settings.climate.draws is None:
        raise UserError(f"{path}: has no [climate.draws], which says how many, from which date and where to; write it")
    draws.write(file.read(settings.in_work(settings.climate.file), settings.space), settings, settings.climate.draws)


def make(path: Path) -> Climate:
    """Fit and write the climate of the experiment file `path`; raises UserError where states are missing."""
    settings = config.load(path)
    chosen = settings.climate
    wanted = chosen.times()
    if len(wanted) < LEAST_STATES:
        raise UserError(f"{path}: [climate] names {len(wanted)} states; at least {LEAST_STATES} are needed")
    log.info("%s", memory.expect(settings.space, len(wanted), chosen.modes, chosen.memory_gb))
    source = sources.of(chosen.source, settings.space, [settings.in_work(name) for name in chosen.natures], chosen.data)
    assert source is not None
    states = _read(source, wanted)
    seconds = np.array([times.to_seconds(time) for time in wanted], np.int64)
    climate, variance = fit.fit(settings.space, states, seconds, chosen.modes, chosen.harmonics)
    tell(climate, variance)
    if chosen.check is not None:
        tell_errors(climate, source, chosen.check.times())
    file.write(settings.in_work(chosen.file), climate, f"python -m networks climate {path}", settings.experiment.name)
    log.info("%s: climate of %d states from %s to %s", settings.in_work(chosen.file), len(wanted),
             times.name(wanted[0]), times.name(wanted[-1]))
    return climate


def _read(source: Source, wanted: Sequence[datetime]) -> np.ndarray:
    """(time, channel, lat, lon) float32 of all times, in memory."""
    states = np.empty((len(wanted), *source.space.shape), np.float32)
    for number, time in enumerate(progress.reported(wanted, "states", log)):
        states[number] = source.read([time])[0]
    return states


def tell_errors(climate: Climate, source: Source, wanted: Sequence[datetime]) -> None:
    """Log what the climate is worth for states at times that it has not seen."""
    found = wiener.ratios(climate, ((time, source.read([time])[0]) for time in wanted))
    log.info("error of the Wiener filter over what the climate expects, %d states of %s to %s: %s", len(wanted),
             times.name(wanted[0]), times.name(wanted[-1]),
             ", ".join(f"{ratio:.2f} (noise {sigma:g})" for sigma, ratio in found.items()))


def tell(climate: Climate, variance: np.ndarray) -> None:
    """Log what the fit is worth: `variance` (channel, lat, lon) is the local one of the states."""
    ratio = (climate.variance() / np.where(variance > 0, variance, np.nan)).ravel()
    low, middle, high = np.nanpercentile(ratio, [5, 50, 95])
    log.info("variance of the climate / local variance of the states: %.2f in the middle, %.2f to %.2f for nine in ten "
             "places and channels", middle, low, high)
    C = climate.correlation
    rows = C.modes.shape[2]
    total = C.variance.sum(axis=1) + (rows - C.variance.shape[1]) * C.rest
    share = 1 - C.variance.sum(axis=1) / total
    log.info("white rest, variance in each direction: %.3g (wavenumber 0) %.3g (1) %.3g (%d); %.0f, %.0f and %.0f per "
             "cent of the power", C.rest[0], C.rest[1], C.rest[-1], len(C.rest) - 1, *100 * share[[0, 1, -1]])
