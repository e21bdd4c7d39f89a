"""A training from WeatherBench files on a small grid: it begins as optimal interpolation, learns what that has missed,
goes on where it was killed, and leaves its card."""

import numpy as np
import pytest
import torch

from contracts.errors import UserError
from networks import checkpoint as checkpoints
from networks import train
from networks.o2a import analyses
from networks.training import config, loop
from tests.networks import training_case
from tests.networks.o2a import made
from tests.networks.training_case import prepared, rmse, table


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    folder = tmp_path_factory.mktemp("work")
    made.write_work(folder)
    return folder


@pytest.fixture
def file(work, monkeypatch):
    """file(name, epochs, more) -> an experiment file in the work folder."""
    monkeypatch.setenv("WORK", str(work))
    return lambda *arguments: made.experiment_file(work, *arguments)


def test_it_learns_what_interpolation_has_missed_and_leaves_its_card(file):
    path = file("learns", 4)
    train.main([str(path)])
    settings = config.load(path)
    rows, of = table(settings.folder / "curves.csv"), rmse(path)
    assert of["4", "temperature_500", "analysis"] < 0.9 * of["", "temperature_500", "interpolation"]
    assert float(rows[-1]["validation_loss"]) < float(rows[0]["training_loss"])
    card = checkpoints.read(settings.weights).card
    assert card.kind == "o2a" and card.network.footprints == "footprints/many.nc" and card.network.draws == 8
    assert [time.day for period in card.seen for time in period] == [1, 16, 17, 24]


def test_before_it_has_learned_it_is_optimal_interpolation_to_the_bit(file):
    task = prepared(file("untrained"))
    given = task.given(task.unseen, task.data.series.seconds[task.numbers])
    assert given.analysis.std() > 0.1 and not task.network(given).any()
    scores = {score.channel: score.rmse for score in task.scores(loop.Place()).scores}
    assert scores == {score.channel: score.rmse for score in task.references()}


def test_analyses_of_a_group_are_of_its_stations_and_leave_what_they_leave(file):
    task = prepared(file("groups"))
    seconds = task.data.series.seconds
    inside = seconds[(seconds >= seconds[0]) & (seconds <= seconds[63])]
    assert sorted(task.trained.place) == sorted(inside.tolist())
    shares = [stored["used"][:].mean() for stored in task.trained.files]
    assert min(shares) < 0.95 and task.unseen.files[0]["used"][:].all()
    stored = task.trained.files[0]
    (kept,) = np.nonzero(stored["used"][:])
    z = torch.tensor(stored["analysis"][:].astype(np.float64)).flatten(1).numpy()
    numbers = np.searchsorted(seconds, stored["seconds"][:])
    truth = task.making.dimensionless(task.data.series.fields(numbers), stored["seconds"][:]).reshape(len(z), -1)
    errors = stored["left"][:] - (task.making.A[kept] @ (truth - z).T).T
    assert errors.std() == pytest.approx(1, abs=0.05)  # of the observations, in their own units


def test_killed_and_resumed_it_ends_with_the_same_bits(file, monkeypatch):
    whole, cut = file("unbroken", 2), file("broken", 2, "save_minutes = 1e-9")
    training_case.same_bits_after_a_kill(whole, cut, 16, monkeypatch)


def test_with_weights_to_begin_with_it_goes_on_from_them_and_has_seen_what_they_have(file):
    first, second = file("first"), file("second", 1, 'begin = "first/training/first.safetensors"')
    train.main([str(first)])
    of = checkpoints.read(config.load(first).weights)
    text = second.read_text()
    second.write_text(text.replace(day := "validation_end = 1990-01-24", "validation_end = 1990-01-23"))
    assert day in text
    task = prepared(second)
    for name, array in of.weights.items():
        np.testing.assert_array_equal(task.network.state_dict()[name].numpy(), array)
    assert set(of.card.seen) < set(task.card.seen)


def test_analyses_of_other_settings_are_refused_and_damaged_ones_too(file):
    path = file("once")
    settings = config.load(path)
    train.write_shards(settings)
    loop.prepared(settings)
    path.write_text(path.read_text().replace("draws = 8", "draws = 9"))
    with pytest.raises(UserError, match="holds analyses of other states, stations, prior or settings"):
        loop.prepared(config.load(path))
    for damaged in (settings.folder / "analyses").glob("0*.h5"):
        damaged.write_bytes(b"no")
    with pytest.raises(UserError, match="is no readable HDF5 file .*; remove it and make it again|half a file"):
        loop.prepared(settings)


def test_groups_hold_each_state_once_and_are_drawn_from_the_seed():
    groups = analyses.grouped([np.arange(10, 33)[:, None]], 10, 0.6, seed=1)
    assert sorted(np.concatenate([group.numbers[:, 0] for group in groups])) == list(range(10, 33))
    assert [len(group.numbers) for group in groups] == [10, 10, 3]
    assert all(0 <= group.dropped < 0.6 for group in groups)
    again = analyses.grouped([np.arange(10, 33)[:, None]], 10, 0.6, seed=1)
    np.testing.assert_array_equal(groups[1].numbers, again[1].numbers)
