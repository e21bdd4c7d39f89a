"""All of it from a WeatherBench-like archive on another grid: a latent, an autoencoder, what they are worth."""

import csv

import numpy as np
import pytest

from contracts.state import StateSpace
from contracts.static import Static
from networks import checkpoint as checkpoints
from networks import train
from networks.autoencoder import reading
from networks.latent import card, making
from networks.look import command
from networks.training import config
from tests import builders
from tests.networks import climax_builders as made
from tests.networks.climax_builders import START, STEP
from tests.networks.test_training_data import weatherbench_netcdf

LEVELS = (500, 700, 850)
ON_LEVELS = ("geopotential", "u_component_of_wind", "v_component_of_wind", "temperature")
SPACE = StateSpace.of(builders.space(16, 32).grid, tuple(100.0 * level for level in LEVELS), ON_LEVELS, ())
STATES = 48
COMMON = """
[experiment]
name = "{name}"
start = 1990-01-01T00:00:00Z
end = 1990-01-07T18:00:00Z
work = "{work}"
[grid]
nlat = 16
nlon = 32
[state]
levels_hpa = [500, 700, 850]
on_levels = ["geopotential", "u_component_of_wind", "v_component_of_wind", "temperature"]
at_surface = []
"""
LATENT = COMMON + """
[latent]
file = "latent/own.safetensors"
source = "weatherbench"
data = "{work}/era"
checkpoint = "{work}/small.safetensors"
lead_hours = 12
patch = [4, 4]
modes = 24
overlap = true
fit = {{ first = 1990-01-01T00:00:00Z, last = 1990-01-07T00:00:00Z, errors = 16 }}
check = {{ first = 1990-01-08T00:00:00Z, last = 1990-01-12T00:00:00Z, errors = 4 }}
"""
LOOK = LATENT + """
[look]
autoencoder = "encoder/training/encoder.safetensors"
errors = 6
leads_hours = [6, 12]
sample = 8
longitudes = 2
backgrounds = 2
"""
TRAINING = COMMON + """
[network]
kind = "autoencoder"
latent = "latent/own.safetensors"
hidden = 6
layers = 2
[training]
source = "weatherbench"
data = "{work}/era"
validation_start = 1990-01-08T00:00:00Z
validation_end = 1990-01-10T18:00:00Z
batch = 4
weights = "float32"
validation_samples = 4
threads = 1
[[training.phases]]
epochs = 2
learning_rate = 2e-3
warmup_steps = 2
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """A work folder with an archive `era` of moving waves and noise, and weights that forecast it badly."""
    work = tmp_path_factory.mktemp("work")
    noise = np.random.default_rng(2).standard_normal((STATES, *SPACE.shape))
    std = np.array([builders.CLIMATE[channel.variable][1] for channel in SPACE.channels])[:, None, None]
    data = np.stack([made.moving_waves(SPACE, START + n * STEP) for n in range(STATES)]) + 0.1 * std * noise
    weatherbench_netcdf(work / "era", {name: (list(LEVELS), data[:, SPACE.index(name)]) for name in ON_LEVELS},
                        Static(SPACE.grid, np.zeros(SPACE.grid.shape), np.indices(SPACE.grid.shape)[1] % 2), SPACE.grid)
    checkpoints.write(work / "small.safetensors", made.checkpoint(made.card(SPACE)))
    return work


def file(work, name: str, text: str):
    path = work / f"{name}.toml"
    path.write_text(text.format(name=name, work=work))
    return path


def test_a_latent_an_autoencoder_and_what_they_are_worth(archive, capsys):
    latent = making.make(file(archive, "own", LATENT))
    where = archive / "latent/own.safetensors"
    assert len(latent.grids()) == 4 and 'natures = [\n    "weatherbench",' in card.beside(where).read_text()
    path = file(archive, "encoder", TRAINING)
    train.main([str(path)])
    trained = reading.read(config.load(path).weights, where, SPACE)
    assert not trained.variance.equal(trained.linear.variance)
    command.main([str(file(archive, "looked", LOOK))])
    with open(archive / "looked/look/look.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    value = {(row["about"], row["what"], row["of"]): float(row["value"]) for row in rows}
    assert np.isfinite(list(value.values())).all() and (archive / "looked/look/look.png").stat().st_size
    assert 0 < value["lost of errors", "temperature_500", "own"] < value["errors", "temperature_500", "own"]
    assert value["T500 over land, 2 backgrounds", "change of the increment", "autoencoder"] > 0
    assert "| share lost of errors |" in capsys.readouterr().out
