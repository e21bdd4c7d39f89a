"""A training from WeatherBench files on a small grid: it learns what a Gaussian does not know, goes on where it was
killed, and leaves its card."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from contracts import times
from contracts.constants import HOUR
from contracts.errors import UserError
from networks import train
from networks.climate import file
from networks.denoiser import denoiser
from networks.denoiser.denoiser import Denoiser
from networks.training import config, loop
from tests.networks import training_case
from tests.networks.climax_builders import randomise
from tests.networks.denoiser import made
from tests.networks.denoiser.made import SPACE
from tests.networks.training_case import prepared, rmse


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return made.world(tmp_path_factory.mktemp("work"))


@pytest.fixture
def write(work, monkeypatch):
    """write(name, epochs, more) -> an experiment file in the work folder."""
    monkeypatch.setenv("WORK", str(work))
    return lambda *arguments: made.experiment_file(work, *arguments)


def test_it_learns_what_the_wiener_filter_does_not_see_and_leaves_its_card(write, work):
    path = write("learns", 8)
    train.main([str(path)])
    of = rmse(path)
    assert of["8", "temperature_500", "estimate"] < 0.93 * of["", "temperature_500", "Wiener filter"]

    climate = file.read(work / "climate.nc", SPACE)
    found, checkpoint = denoiser.read(config.load(path).weights, climate)
    assert checkpoint.card.network.noise == (0.02, 5.0)
    assert [time.day for period in checkpoint.card.seen for time in period] == [1, 16, 18, 24]
    z = np.random.default_rng(1).standard_normal((2, *SPACE.shape)).astype(np.float32)
    assert np.abs(found.estimate(z, 1.0, made.START) - Denoiser(climate).estimate(z, 1.0, made.START)).max() > 0.1


def test_killed_and_resumed_it_ends_with_the_same_bits(write, monkeypatch):
    whole, cut = write("unbroken", 2), write("broken", 2, "save_minutes = 1e-9")
    training_case.same_bits_after_a_kill(whole, cut, 13, monkeypatch)


def test_before_it_has_learned_it_is_the_wiener_filter_to_the_bit(write):
    task = prepared(write("untrained"))
    z = np.random.default_rng(1).standard_normal((3, *SPACE.shape)).astype(np.float32)
    for sigma in (0.01, 1.0, 40.0):
        np.testing.assert_array_equal(Denoiser(task.climate, task.network).estimate(z, sigma, made.START),
                                      Denoiser(task.climate).estimate(z, sigma, made.START))


def test_the_loss_is_the_error_of_what_serves(write):
    """In units of what the network may add, and with the noise that the place draws."""
    task, place = prepared(write("loss")), loop.Place()
    randomise(task.network, size=0.05)
    series = task.data.series
    numbers = series.starts(*task.settings.periods[0], 6 * HOUR, 0)[:4, 0]
    batch = loop.Batch(series.fields(numbers)[None], series.seconds[numbers][None])
    z = task.dimensionless(batch.fields[0], batch.seconds[0])
    random = np.random.default_rng((3, 0, 0, 0))
    sigma = task.drawn_noise(random, 4)
    noise = random.standard_normal(z.shape, np.float32)
    serving, total = Denoiser(task.climate, task.network), 0.0
    for one, s, n, seconds in zip(z, sigma, noise, batch.seconds[0], strict=True):
        found = serving.estimate((one + s * n)[None], float(s), times.from_seconds(int(seconds)))[0]
        scale = s / (2 * np.sqrt(1 + s**2))
        total += (SPACE.grid.area_weights * ((found - one) / scale) ** 2).mean() / 4
    assert float(task.loss(batch, place)) == pytest.approx(total, rel=1e-4)
    assert 0.02 < sigma.min() < sigma.max() < 5.0


def test_a_member_has_the_same_bits_whatever_stands_beside_it(write):
    task = prepared(write("beside"))
    randomise(task.network, size=0.05)
    of, z = Denoiser(task.climate, task.network), np.random.default_rng(1).standard_normal((3, *SPACE.shape))
    together = of.estimate(z.astype(np.float32), 0.5, made.START)
    np.testing.assert_array_equal(of.estimate(z[2:].astype(np.float32), 0.5, made.START)[0], together[2])


def test_weights_know_one_climate_and_are_refused_with_another(write, work):
    path = write("refused")
    train.main([str(path)])
    climate = file.read(work / "climate.nc", SPACE)
    other = replace(climate, correlation=replace(climate.correlation, rest=2 * climate.correlation.rest))
    with pytest.raises(UserError, match="corrects a climate of 68 states .* train a network for this one"):
        denoiser.read(config.load(path).weights, other)


@pytest.mark.parametrize(("before", "after", "words"), [
    ("widths = [16, 16]", "widths = [4, 4, 4, 4, 4]", "multiples of 16, got the 8 x 16 grid"),
    ("samples = 48", "noise = 1.0", "rollout, noise and mixing are for forecasts"),
    ("blocks = 1", "blocks = 1\nnoise = [1.0, 0.1]", "the least and the largest"),
    ("1990-01-18T06", "1990-01-17T00", "some of which are those of the validation"),
])
def test_what_cannot_be_is_refused_in_words(write, before, after, words):
    path = write("odd")
    path.write_text(path.read_text().replace(before, after))
    with pytest.raises(UserError, match=words):
        prepared(path)


def test_noise_beyond_what_was_learned_is_told_as_its_end(write):
    network = prepared(write("ends")).network
    told = network.waves(torch.tensor([1e-3, 0.02, 5.0, 40.0]))
    assert torch.equal(told[0], told[1]) and torch.allclose(told[2], told[3], atol=1e-6)
