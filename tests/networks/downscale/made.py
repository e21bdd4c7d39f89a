"""Ensembles on a grid of 16 x 32 points and three levels, made up: what the tests of downscaling share.

    ln s = (1 + 2 a(t)) pattern of the place + a(t) cos(latitude)          a(t) differs from time to time

so that cells of 4 x 8 tell a(t), and a mean of the times knows nothing of it.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from contracts import state, static, times
from contracts.grid import Grid
from contracts.paths import ExperimentFolder
from contracts.state import State, StateSpace
from contracts.static import Static

START, STEP, TIMES, MEMBERS = datetime(1990, 1, 1, tzinfo=UTC), timedelta(hours=6), 72, 4
SPACE = StateSpace.of(Grid.regular(16, 32), (50_000, 70_000, 85_000), ("temperature", "u_component_of_wind"), ())
COARSE = Grid.regular(4, 8)
EXPERIMENT = """
[experiment]
name = "{name}"
start = {start}
end = {end}
members = 4
seed = 3
[grid]
nlat = {nlat}
nlon = {nlon}
[state]
levels_hpa = [500, 700, 850]
on_levels = ["temperature", "u_component_of_wind"]
at_surface = []
"""
TRAINING = """
[network]
kind = "downscale"
coarse = {{ nlat = 4, nlon = 8 }}
of = "{of}"
method = "{method}"
members = 4
widths = [8, 8]
blocks = 1
[training]
source = "spread"
data = "ensembles"
shards = "shards_{step_hours}"
validation_start = 1990-01-14T00:00:00Z
validation_end = 1990-01-15T18:00:00Z
batch = 4
leads_hours = [{step_hours}]
validation_samples = 8
threads = 1
precision = "float32"
weights = "float32"
{more}
[[training.phases]]
epochs = {epochs}
learning_rate = 4e-3
warmup_steps = 5
"""


def log_spread() -> np.ndarray:
    """(time, channel, lat, lon)"""
    rng = np.random.default_rng(5)
    lat, lon = (np.deg2rad(axis.reshape(SPACE.grid.shape)) for axis in (SPACE.grid.column_lat, SPACE.grid.column_lon))
    amplitude = 0.4 * rng.standard_normal((TIMES, 1, 1, 1))
    level = np.arange(6)[:, None, None]
    pattern = 0.3 * np.sin(12 * lon) * np.cos(7 * lat)
    of_time = (1 + 2 * amplitude) * pattern + amplitude * np.cos(lat) + 0.1 * level
    return of_time + 0.02 * rng.standard_normal((TIMES, *SPACE.shape))


def world(work: Path) -> Path:
    """A work folder with their backgrounds: spread and mean of every time, members of some."""
    rng, folder = np.random.default_rng(6), ExperimentFolder(work / "ensembles")
    for number, found in enumerate(log_spread()):
        time = START + number * STEP
        here = folder.at(time).background
        state.write(here.spread, State(SPACE, np.exp(found), time), statistic="spread")
        if number % 4 == 0:
            mean = 200.0 + rng.standard_normal(SPACE.shape)
            state.write(here.mean, State(SPACE, mean, time), statistic="mean")
            for member in range(1, MEMBERS + 1):
                away = np.exp(found) * rng.standard_normal(SPACE.shape)
                state.write(here.member(member), State(SPACE, mean + away, time), member)
    still = np.zeros(SPACE.grid.shape)
    static.write(folder.static, Static(SPACE.grid, still, still))
    return work


def training(work: Path, name: str, epochs: int = 1, more: str = "", of: str = "spread", method: str = "gaussian",
             ) -> Path:
    """The experiment file of a training; members are there once a day."""
    hours = 6 if of == "spread" else 24
    text = EXPERIMENT.format(name=name, start="1990-01-01T00:00:00Z", end="1990-01-12T18:00:00Z", nlat=16, nlon=32)
    text = text.replace("seed = 3", f"seed = 3\nstep_hours = {hours}")
    path = work / f"{name}.toml"
    path.write_text(text + TRAINING.format(of=of, method=method, epochs=epochs, more=more, step_hours=hours))
    return path


def downscaling(work: Path, name: str, weights: str, grid: Grid = SPACE.grid, start: int = 64, end: int = 71) -> Path:
    """The experiment file of `python -m networks downscale`, of the times with these numbers."""
    first, last = (f"{START + number * STEP:%Y-%m-%dT%H:%M:%SZ}" for number in (start, end))
    path = work / f"{name}_{grid.lat.size}.toml"
    path.write_text(EXPERIMENT.format(name=name, start=first, end=last, nlat=grid.lat.size, nlon=grid.lon.size)
                    + f'[downscale]\nweights = "{weights}/training/{weights}.safetensors"\n')
    return path


def time_of(number: int) -> datetime:
    return times.parse(times.name(START + number * STEP))
