"""A training from observations: it learns, has seen nothing of a field but through stations, goes on where it was
killed."""

import numpy as np
import pytest

from networks import checkpoint as checkpoints
from networks import train
from networks.data.shards import Series
from networks.o2f import stations
from networks.training import config, loop
from tests.networks import training_case
from tests.networks.o2f import made
from tests.networks.training_case import table


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


def weights(path) -> dict[str, np.ndarray]:
    return dict(checkpoints.read(config.load(path).weights).weights)


@pytest.fixture(scope="module")
def trained(work):
    """The experiment file of a training that is done."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORK", str(work))
        path = made.experiment_file(work, "trained", 4)
        train.main([str(path)])
    return path


def test_it_learns_what_comes_where_it_looks_and_where_it_does_not(trained, file):
    settings = config.load(trained)
    rows, scores = table(settings.folder / "curves.csv"), table(settings.folder / "scores.csv")
    assert float(rows[-1]["validation_loss"]) < 0.7 * float(rows[0]["training_loss"])
    of = {(row["epoch"], row["lead_hours"], row["channel"], row["kind"]): float(row["rmse"]) for row in scores}
    last = rows[-1]["epoch"]
    for kind in ("", "_withheld"):
        climate = of["", "6", "temperature_500", f"climatology{kind}"]
        assert of[last, "6", "temperature_500", f"forecast{kind}"] < 0.8 * climate


def test_its_card_names_what_stations_see_and_how_it_was_trained(trained, file):
    card = checkpoints.read(config.load(trained).weights).card
    assert card.kind == "o2f" and card.network.step_hours == 6 and card.network.times == 2
    assert "temperature_500" in card.outputs and "geopotential_500" not in card.outputs
    assert [time.day for period in card.seen for time in period] == [1, 16, 17, 24]


def test_nothing_is_learned_of_a_field_but_through_the_stations_of_the_training(trained, file, monkeypatch):
    """Fields that differ, and much, in all that no station sees, or only those that are withheld: the same weights,
    curves and card to the bit; a change of what one sees is seen."""
    known = made.known()
    used = ~stations.withheld(known.station, 0.2, 3)
    unseen = made.unseen(used)
    assert used.mean() < 0.9 and unseen.mean() > 0.5 and not unseen.all()
    real = Series.fields

    def altered(self, index):
        fields = real(self, index)
        return fields + 100 * unseen * np.random.default_rng(1).standard_normal(fields.shape).astype(np.float32)

    monkeypatch.setattr(Series, "fields", altered)
    path = file("altered", 4)
    train.main([str(path)])
    first, second = weights(trained), weights(path)
    for name, array in first.items():
        np.testing.assert_array_equal(second[name], array)
    folders = [config.load(each).folder for each in (trained, path)]
    assert (folders[0] / "curves.csv").read_text() == (folders[1] / "curves.csv").read_text()
    moments = [checkpoints.read(config.load(each).weights).card.normalization for each in (trained, path)]
    assert moments[0] == moments[1]
    at_stations = [[row for row in table(folder / "scores.csv") if "withheld" not in row["kind"]] for folder in folders]
    assert at_stations[0] == at_stations[1]

    place = np.argwhere(~unseen)[0]
    settings = config.load(path)
    task = loop.prepared(settings).task
    numbers = np.arange(12).reshape(3, 4)
    fields = real(task.data.series, numbers.ravel()).reshape(3, 4, *task.data.series.space.shape)
    batch = loop.Batch(fields, task.data.series.seconds[numbers])
    before = float(task.loss(batch, loop.Place()).detach())
    batch.fields[(slice(None), slice(None), *place)] += 1.0
    assert float(task.loss(batch, loop.Place()).detach()) != before


def test_killed_and_resumed_it_ends_with_the_same_bits(trained, file, monkeypatch):
    cut = file("broken", 4, "save_minutes = 1e-9")
    training_case.killed_and_resumed(cut, 13, monkeypatch)
    first, second = weights(trained), weights(cut)
    for name, array in first.items():
        np.testing.assert_array_equal(second[name], array)


def test_before_it_has_learned_an_anomaly_dies_away_and_the_loss_of_the_climate_is_one(file):
    settings = config.load(file("fresh"))
    train.write_shards(settings)
    task = loop.prepared(settings).task
    numbers = np.arange(40).reshape(2, 20)
    fields = task.data.series.fields(numbers.ravel()).reshape(2, 20, *task.data.series.space.shape)
    batch = loop.Batch(fields, task.data.series.seconds[numbers])
    assert float(task.loss(batch, loop.Place()).detach()) == pytest.approx(1.0, abs=0.1)
