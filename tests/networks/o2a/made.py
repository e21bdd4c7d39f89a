"""A work folder with weather, stations and a climate, and an experiment file: what the tests of corrected optimal
interpolation share."""

from pathlib import Path

import numpy as np

from contracts import times
from networks.climate import file, fit
from networks.climate.gaussian import Climate
from tests.networks.climax_builders import START, STEP
from tests.networks.o2l import made
from tests.networks.o2l.made import SPACE

TRAINING = """
[experiment]
name = "{name}"
start = 1990-01-01T00:00:00Z
end = 1990-01-16T18:00:00Z
seed = 3
[grid]
nlat = 16
nlon = 32
[state]
levels_hpa = [500, 850, 925]
on_levels = ["geopotential", "temperature"]
at_surface = ["2m_temperature"]
[network]
kind = "o2a"
prior = "climate.nc"
footprints = "footprints/many.nc"
group = 25
draws = 8
widths = [12, 16]
blocks = 1
[training]
source = "weatherbench"
data = "{work}/era5"
validation_start = 1990-01-17T06:00:00Z
validation_end = 1990-01-24T18:00:00Z
batch = 4
days_per_shard = 10
leads_hours = [6]
validation_samples = 6
threads = 1
precision = "float32"
{more}
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
    path = work / f"{name}.toml"
    path.write_text(TRAINING.format(name=name, epochs=epochs, more=more, work=work))
    return path
