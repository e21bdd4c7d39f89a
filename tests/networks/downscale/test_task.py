"""A training from ensembles on a small grid: it begins as interpolation with the map of the training times, learns what
that has missed, goes on where it was killed, and leaves its card."""

import numpy as np
import pytest
import torch

from contracts import state
from contracts.constants import HOUR
from contracts.errors import UserError
from networks import checkpoint as checkpoints
from networks import train
from networks.data.regrid import Regridding
from networks.downscale import fit
from networks.downscale.network import DAY
from networks.training import config, loop
from tests.networks import training_case
from tests.networks.climax_builders import randomise
from tests.networks.downscale import made
from tests.networks.downscale.made import COARSE, SPACE
from tests.networks.training_case import prepared, rmse


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return made.world(tmp_path_factory.mktemp("work"))


@pytest.fixture
def write(work, monkeypatch):
    """write(name, epochs, more, of, method) -> an experiment file in the work folder."""
    monkeypatch.setenv("WORK", str(work))
    return lambda *arguments: made.training(work, *arguments)


def states(task, count: int = 4) -> tuple[torch.Tensor, np.ndarray]:
    """y of the first states of the validation, and their times."""
    series, numbers = task.data.series, task.numbers[:count]
    seconds = series.seconds[numbers]
    y = task.samples.drawn(series.fields(numbers), seconds, np.random.default_rng(1))
    return y, seconds.repeat(len(y) // len(seconds))


def test_it_learns_what_the_map_misses_and_leaves_its_card(write):
    path = write("learns", 8)
    train.main([str(path)])
    of = rmse(path)
    assert of["8", "temperature_500", "network"] < 0.8 * of["", "temperature_500", "bilinear and map"]
    card = checkpoints.read(config.load(path).weights).card
    assert (card.kind, card.network.of, card.network.coarse.nlat) == ("downscale", "spread", 4)
    assert [time.day for period in card.seen for time in period] == [1, 12, 14, 15]


@pytest.mark.parametrize(("of", "method"), [("spread", "gaussian"), ("members", "diffusion")])
def test_killed_and_resumed_it_ends_with_the_same_bits(write, monkeypatch, of, method):
    whole, cut = (write(f"{name}_{of}", 2, more, of, method) for name, more in
                  (("unbroken", ""), ("broken", "save_minutes = 1e-9")))
    training_case.same_bits_after_a_kill(whole, cut, 3, monkeypatch)


def test_it_goes_on_from_weights_and_fits_its_own_map(write):
    first = write("first")
    train.main([str(first)])
    known = checkpoints.read(config.load(first).weights)
    later = write("later", 1, 'begin = "first/training/first.safetensors"')
    later.write_text(later.read_text().replace("start = 1990-01-01", "start = 1990-01-06"))
    task = prepared(later)
    found = task.network.state_dict()
    np.testing.assert_array_equal(found["enter.weight"], known.weights["enter.weight"])
    assert (found["map"] != torch.from_numpy(known.weights["map"])).any()
    assert task.card.seen[0] == known.card.seen[0]


@pytest.mark.parametrize("of", ["spread", "members"])
def test_before_it_has_learned_it_is_the_guess(write, of):
    task = prepared(write(f"untrained_{of}", 1, "", of))
    y, seconds = states(task, 2)
    network = task.network
    given = network.given(network.quantity.coarse(y), seconds)
    mean, deviation = network.gaussian(given)
    torch.testing.assert_close(mean, given.guess, atol=1e-4, rtol=0)
    assert torch.equal(deviation, network.scale.expand_as(deviation))
    scores = {score.channel: score.rmse for score in task.scores(loop.Place()).scores}
    assert scores == pytest.approx({score.channel: score.rmse for score in task.references()}, rel=1e-4)


def test_the_map_is_the_mean_error_of_training_times_alone(write):
    task = prepared(write("map"))
    seen = made.log_spread()[:48].astype(np.float32).astype(np.float64)
    cells = np.log(np.sqrt(Regridding(SPACE.grid, COARSE)(np.exp(2 * seen))))
    off = seen - Regridding(COARSE, SPACE.grid, "bilinear")(cells)
    np.testing.assert_allclose(task.network.map, off.mean(axis=0), atol=2e-3)
    folds = np.split(np.arange(48), [20, 40])
    for fold, others in zip(folds, (folds[2], np.concatenate([folds[0], folds[2]]), folds[0]), strict=True):
        found = task.maps.map(task.data.series.seconds[fold])
        np.testing.assert_allclose(found, np.broadcast_to(off[others].mean(axis=0), found.shape), atol=2e-3)


def test_the_map_is_of_the_last_days_and_that_of_a_fold_of_those_around_it():
    seconds = np.arange(0, 60 * 24, 6) * HOUR
    folds = fit.cut(np.arange(240), seconds)
    assert [(fold.first // DAY, fold.last // DAY) for fold in folds] == [(n, n + 4) for n in range(0, 60, 5)]
    chosen = fit.around(folds, 30)
    assert chosen[0].tolist() == [2, 3] and chosen[5].tolist() == [2, 3, 7, 8]
    assert fit.around(folds[:1], 30)[0].tolist() == [0] and fit.around(folds[:2], 30)[0].tolist() == [1]


def test_members_have_no_map_and_are_what_is_left_of_their_mean(write, work):
    task = prepared(write("members", 1, "", "members"))
    assert not task.network.map.any() and not task.network.middle.any()
    time, folder = made.time_of(4), task.settings.ensembles.at(made.time_of(4)).background
    found = task.samples.of(time, [2, 0])
    expected = state.read(folder.member(3), SPACE).data - state.read(folder.mean, SPACE).data
    unit = [task.card.normalization[channel.name].std for channel in SPACE.channels]
    np.testing.assert_allclose(found[0], expected / np.array(unit)[:, None, None], rtol=1e-4, atol=1e-5)


def test_the_loss_of_diffusion_is_the_error_of_what_it_removes(write):
    task = prepared(write("loss", 1, "", "spread", "diffusion"))
    randomise(task.network, size=0.05)
    y, seconds = states(task)
    given = task.network.given(task.network.quantity.coarse(y), seconds)
    random = np.random.default_rng(2)
    sigma = task.noises(random, len(y))
    n = random.standard_normal(y.shape, np.float32)
    r, total = ((y - given.guess) / task.network.scale), 0.0
    with torch.no_grad():
        found = float(task.missed(y, given, np.random.default_rng(2)))
        for one in range(len(y)):
            part = type(given)(*(getattr(given, name)[one : one + 1] for name in ("coarse", "guess", "told")))
            noisy = r[one : one + 1] + sigma[one] * torch.from_numpy(n[one])
            back = task.network.denoised(noisy, sigma[one : one + 1], part)
            size = float(sigma[one] / (1 + sigma[one] ** 2).sqrt())
            total += float((task.weights * ((back - r[one]) / size).square()).mean()) / len(y)
    assert found == pytest.approx(total, rel=1e-3)
    assert 0.02 < sigma.min() < sigma.max() < 10.0


@pytest.mark.parametrize("of", ["spread", "members"])
def test_whatever_the_network_says_cells_keep_their_means(write, of):
    task = prepared(write(f"cells_{of}", 1, "", of, "diffusion"))
    randomise(task.network, size=0.02)
    y, seconds = states(task, 2)
    quantity = task.network.quantity
    given = task.network.given(quantity.coarse(y), seconds)
    first, second = (task.network.sample(given, np.random.default_rng(seed)) for seed in (1, 2))
    assert (first - second).std() > 0.01
    for sample in (first, second):
        torch.testing.assert_close(quantity.coarse(sample), given.coarse, atol=0.01 if of == "spread" else 1e-4, rtol=0)


@pytest.mark.parametrize(("before", "after", "words"), [
    ("widths = [8, 8]", "widths = [4, 4, 4, 4, 4, 4]", "multiples of 32, got the 16 x 32 grid"),
    ("nlat = 4, nlon = 8", "nlat = 16, nlon = 32", "expected fewer rows and columns"),
    ("blocks = 1", "blocks = 1\nnoise = [1.0, 0.1]", "the least and the largest"),
    ('data = "ensembles"', 'data = "none"', "must name the folder of an experiment that has run"),
    ('data = "ensembles"', "", "name the folder, in the work folder"),
    ("learning_rate = 4e-3", "noise = 1.0", "phases.noise: say nothing to a network of the kind downscale"),
])
def test_what_cannot_be_is_refused_in_words(write, before, after, words):
    path = write("odd")
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))
    with pytest.raises(UserError, match=words):
        prepared(path)
