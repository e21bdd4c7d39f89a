"""A small world that is not Gaussian, its climate, and a training on it: what the tests of denoisers share."""

from pathlib import Path

import numpy as np

from contracts import times
from contracts.state import StateSpace
from contracts.static import Static
from networks.climate import file, fit
from networks.climate.gaussian import Climate
from tests import builders
from tests.builders import CLIMATE
from tests.networks import training_case
from tests.networks.climax_builders import START, STEP
from tests.networks.test_training_data import weatherbench_netcdf

SPACE = StateSpace.of(builders.space(8, 16).grid, builders.LEVELS, ("geopotential", "temperature"),
                      ("2m_temperature",))
STATES, FITTED = 96, 68  # of the world, and those of them that training and climate see
NETWORK = """\
kind = "denoiser"
climate = "climate.nc"
widths = [16, 16]
blocks = 1"""
TRAINING = """\
leads_hours = [6]
validation_samples = 6"""
PHASES = """\
[[training.phases]]
epochs = {epochs}
samples = 48
learning_rate = 4e-3
warmup_steps = 5
"""


def states() -> np.ndarray:
    """(time, channel, lat, lon) of no weather: fronts, at places of their own, of fields that are otherwise two
    numbers, which a Gaussian of the same covariance knows nothing of."""
    rng = np.random.default_rng(7)
    places = rng.integers(0, 16, STATES)
    steps = np.sign(np.sin(2 * np.pi * (np.arange(16) + 0.5) / 16))
    fronts = np.stack([np.roll(steps, place) for place in places])[:, None, None, :]
    mean, size = np.array([CLIMATE[channel.variable] for channel in SPACE.channels]).T[..., None, None]
    rough = 0.1 * rng.standard_normal((STATES, *SPACE.shape))
    return (mean + 0.3 * size * (fronts + rough)).astype(np.float32)


def climate() -> Climate:
    """That of the states that are trained on."""
    seconds = np.array([times.to_seconds(START + n * STEP) for n in range(FITTED)], np.int64)
    return fit.fit(SPACE, states()[:FITTED].copy(), seconds, 20, 0)[0]


def world(folder: Path) -> Path:
    """A work folder with WeatherBench files of the states, and their climate."""
    fields = states()
    by_name = {name: (None, fields[:, SPACE.index(name)[0]]) if name.startswith("2m")
               else ([500, 850, 925], fields[:, SPACE.index(name)]) for name in SPACE.variables}
    still = Static(SPACE.grid, 100 * np.ones(SPACE.grid.shape), np.zeros(SPACE.grid.shape))
    (folder / "era5").mkdir()
    weatherbench_netcdf(folder / "era5", by_name, still, SPACE.grid)
    file.write(folder / "climate.nc", climate(), "made")
    return folder


def experiment_file(work: Path, name: str, epochs: int = 1, more: str = "") -> Path:
    return training_case.on_weatherbench(work, name, more, nlat=8, nlon=16, unseen_from="1990-01-18T06:00:00Z",
                                             network=NETWORK, training=TRAINING, phases=PHASES.format(epochs=epochs))
