"""A league of three small experiments, laid down without running them."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np

from contracts import config, observations, state
from contracts.observations import Source
from contracts.state import State
from contracts.variables import Flag
from tests import builders
from tests.verify.case import departures, no_fit
from verify import score_file
from verify.config import Settings
from verify.score_file import Scores

DAYS = 6  # of 00 and 12 UTC; the first is left out, the others are five blocks
CHANNELS = ("temperature_500", "geopotential_500")
TEXT = """{experiment}
step_hours = 12
[grid]
nlat = 8
nlon = 16
[state]
levels_hpa = [500]
at_surface = []
[verify]
truth = "nature/%Y%m%d%H.nc"
headline = ["temperature_500", "geopotential_500"]
"""
LEAGUE = """
[league]
block_days = 1
skip_days = 1
sample_hours = 12
near_km = 1500
void_km = 4000
[[contestant]]
experiment = "control.toml"
title = "the control"
[[contestant]]
experiment = "better.toml"
training_minutes = 2.5
[[contestant]]
experiment = "slower.toml"
"""


def lay(folder: Path, name: str, factor: float, cycles: int) -> Settings:
    """An experiment whose errors are `factor` times those of every other, with so many scored cycles."""
    path = folder / f"{name}.toml"
    path.write_text(TEXT.format(experiment=builders.experiment(
        name, builders.TIME, builders.TIME + timedelta(hours=12 * (2 * DAYS - 1)), members=4).rstrip()))
    settings = config.load(path, Settings)
    space = settings.state.space(settings.grid.grid())
    for n, time in enumerate(settings.experiment.times()[:cycles]):
        rng, here = np.random.default_rng(n), settings.experiment.folder.at(time)
        scores = {f"{which}_{score}": factor * rng.uniform(1, 2, (2, len(space.channels)))
                  for which in ("background", "analysis") for score in ("rmse", "bias", "spread", "crps")}
        names = tuple(channel.name for channel in space.channels)
        score_file.write(here.scores, Scores(time, 4, "nature", ("global", "tropics"), names, no_fit(), {}, scores))
        truth = builders.random_state(space, n, time)
        state.write(settings.truth(time), truth)
        for e, ensemble in enumerate((here.background, here.analysis)):
            error = factor * builders.random_state(space, 100 + 2 * n + e, time).data
            state.write(ensemble.mean, State(space, truth.data + error, time), statistic="mean")
        made = replace(departures(n), flag=np.full(400, Flag.assimilated, np.int8), lat=np.zeros(400),
                       lon=np.full(400, 90.0))
        observations.write(here.departures, made, Source(time, (time, time)))
    return settings


def fitted(folder: Path, name: str, factor: float, times: int = 2) -> None:
    """An experiment without a truth, whose means are `factor` times as far from what is observed; of each one some rows
    were not accepted."""
    path = folder / f"{name}.toml"
    path.write_text(TEXT.format(experiment=builders.experiment(
        name, builders.TIME, builders.TIME + timedelta(hours=12), members=4).rstrip()).replace(
        'truth = "nature/%Y%m%d%H.nc"', ""))
    settings = config.load(path, Settings)
    for n, time in enumerate(settings.experiment.times()[:times]):
        table = departures(n)
        rng = np.random.default_rng(n)
        flag = np.where(rng.uniform(size=len(table)) < 0.8, Flag.withheld, Flag.assimilated)
        flag[np.random.default_rng(len(name)).integers(0, len(table), 50)] = Flag.gross_error
        far = rng.standard_normal(len(table))
        station = np.char.mod("S%02d", np.arange(len(table)) % 30).astype("S8")
        made = replace(table, flag=flag.astype(np.int8), station=station, background_mean=table.value - factor * far,
                       analysis_mean=table.value - 0.5 * factor * far)
        observations.write(settings.experiment.folder.at(time).departures, made, Source(time, (time, time)))


def small_league(folder: Path) -> Path:
    """The league file; of the three contestants the last is not through."""
    for name, factor, cycles in (("control", 1.0, 2 * DAYS), ("better", 0.9, 2 * DAYS), ("slower", 1.1, 7)):
        lay(folder, name, factor, cycles)
    path = folder / "short.toml"
    path.write_text(LEAGUE)
    return path
