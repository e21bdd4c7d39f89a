"""A work folder with weather, stations and a climate, and an experiment file: what the tests of corrected optimal
interpolation share."""

from pathlib import Path

import numpy as np

from contracts import times
from networks.climate import file, fit
from networks.climate.gaussian import Climate
from tests.networks import training_case
from tests.networks.climax_builders import START, STEP
from tests.networks.o2l import made
from tests.networks.o2l.made import SPACE

NETWORK = """\
kind = "o2a"
prior = "climate.nc"
footprints = "footprints/many.nc"
group = 25
draws = 8
widths = [12, 16]
blocks = 1"""
TRAINING = """\
leads_hours = [6]
validation_samples = 6"""
PHASES = """\
[[training.phases]]
epochs = {epochs}
samples = 60
learning_rate = 1e-2
warmup_steps = 5
"""


def climate() -> Climate:
    """Of the first weather, with so few modes that a network has something to add."""
    seconds = np.array([times.to_seconds(START + n * STEP) for n in range(60)])
    return fit.fit(SPACE, made.weather()[:60].astype(np.float32), seconds, modes=1, harmonics=0)[0]


def write_work(folder: Path) -> None:
    made.write_weather(folder / "era5")
    made.write_footprints(folder / "footprints", many=60)
    file.write(folder / "climate.nc", climate(), "made")


def experiment_file(work: Path, name: str, epochs: int = 1, more: str = "") -> Path:
    return training_case.on_weatherbench(work, name, more, network=NETWORK, training=TRAINING,
                                         phases=PHASES.format(epochs=epochs))
