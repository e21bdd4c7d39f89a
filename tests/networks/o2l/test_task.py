"""A training from WeatherBench files on a small grid: it learns, goes on where it was killed, and leaves its card."""

from hashlib import sha256

import numpy as np
import pytest
import torch

from contracts.constants import HOUR
from contracts.errors import UserError
from networks import checkpoint as checkpoints
from networks import train
from networks.o2l import estimate
from networks.training import config, loop
from tests.networks import training_case
from tests.networks.o2l import made
from tests.networks.o2l.made import SPACE
from tests.networks.training_case import prepared, rmse, table

NETWORK = """\
kind = "o2l"
latent = "latent/small.safetensors"
footprints = ["footprints/many.nc", "footprints/few.nc"]
shares = [0.7, 0.3]
widths = [8, 12]
blocks = 1"""
TRAINING = """\
leads_hours = [6]
validation_samples = 6"""
PHASES = """\
[[training.phases]]
epochs = {epochs}
samples = 48
learning_rate = 1e-2
warmup_steps = 5
"""


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A work folder with WeatherBench files, a latent, and what stations see."""
    folder = tmp_path_factory.mktemp("work")
    made.write_weather(folder / "era5")
    made.write_latent(folder / "latent/small.safetensors")
    made.write_footprints(folder / "footprints", many=60, few=20)
    return folder


@pytest.fixture
def file(work, monkeypatch):
    """file(name, epochs, more) -> an experiment file in the work folder."""
    monkeypatch.setenv("WORK", str(work))

    def write(name: str, epochs: int = 1, more: str = ""):
        return training_case.on_weatherbench(work, name, more, network=NETWORK, training=TRAINING,
                                             phases=PHASES.format(epochs=epochs))

    return write


def read(settings: config.Settings) -> estimate.Observer:
    path = settings.experiment.in_work("latent/small.safetensors")
    return estimate.read(settings.weights, made.operator(torch.float32), sha256(path.read_bytes()).hexdigest(), SPACE)


def test_it_learns_what_the_climate_does_not_know_and_leaves_its_card(file):
    path = file("learns", epochs=5)
    train.main([str(path)])
    settings = config.load(path)
    rows, of = table(settings.folder / "curves.csv"), rmse(path)
    assert float(rows[-1]["validation_loss"]) < float(rows[0]["training_loss"]) - 0.2
    assert of["5", "temperature_500", "estimate"] < 0.6 * of["", "temperature_500", "climatology"]
    card = checkpoints.read(settings.weights).card
    assert card.kind == "o2l" and card.network.footprints == ("footprints/many.nc", "footprints/few.nc")
    assert [time.day for period in card.seen for time in period] == [1, 16, 17, 24]
    assert "python -m networks train learns.toml" in card.command
    assert read(settings).log_climate.std() > 0


def test_killed_and_resumed_it_ends_with_the_same_bits(file, monkeypatch):
    whole, cut = file("unbroken", 2), file("broken", 2, "save_minutes = 1e-9")
    training_case.same_bits_after_a_kill(whole, cut, 13, monkeypatch)


def test_with_weights_to_begin_with_the_mean_goes_on_and_the_variance_too_where_the_latent_is_the_same(file):
    first, second = file("first"), file("second", 1, 'begin = "first/training/first.safetensors"')
    train.main([str(first)])
    begun = prepared(second).network.state_dict()
    for name, array in checkpoints.read(config.load(first).weights).weights.items():
        if not name.startswith(("season", "log_climate")):
            np.testing.assert_array_equal(begun[name].numpy(), array)


def test_weights_know_one_latent_and_are_refused_with_another(file):
    path = file("refused")
    train.main([str(path)])
    with pytest.raises(UserError, match="knows the latent of sha256 .*; name that latent, or train for this one"):
        estimate.read(config.load(path).weights, made.operator(torch.float32), "0" * 64, SPACE)


@pytest.mark.parametrize(("before", "after", "words"), [
    ("widths = [8, 12]", "widths = [4, 4, 4, 4, 4, 4]", "multiples of 32, got the 16 x 32 grid"),
    ("samples = 48", "noise = 1.0", "rollout, noise and mixing are for forecasts"),
    ("shares = [0.7, 0.3]", "shares = [1.0]", "one for each of the 2 footprints"),
])
def test_what_cannot_be_is_refused_in_words(file, before, after, words):
    path = file("odd")
    path.write_text(path.read_text().replace(before, after))
    with pytest.raises(UserError, match=words):
        settings = config.load(path)
        train.write_shards(settings)
        loop.prepared(settings)


def test_the_loss_is_the_likelihoods_where_nothing_is_evened_out(file):
    path = file("plain")
    path.write_text(path.read_text().replace("blocks = 1", "blocks = 1\nevenness = 0.0"))
    task, place = prepared(path), loop.Place()
    series = task.data.series
    numbers = series.starts(*task.settings.periods[0], 6 * HOUR, 0)[:4, 0]
    batch = loop.Batch(series.fields(numbers)[None], series.seconds[numbers][None])
    latent = task.network.latent
    z = latent.encode(torch.from_numpy(batch.fields[0]).flatten(2)).double()
    c = task.network.climate.double()
    mu = latent.project(task.network.mean_of(batch.seconds[0])).double()
    expected = (0.5 * ((z - mu) ** 2 / c.exp() + c)).mean()  # before it has learned
    assert float(task.loss(batch, place)) == pytest.approx(float(expected), rel=1e-4)
