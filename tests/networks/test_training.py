"""The training itself: a small network learns, resumes, and refuses what it cannot do."""

import logging
import signal
import time as clock
from contextlib import nullcontext

import msgspec
import numpy as np
import pytest
import torch

from contracts import times
from contracts.errors import UserError
from networks import train
from networks.climax import emulator
from networks.passes import Passes, emulator_of
from networks.training import config, loop, validation
from tests.networks import climax_builders as made
from tests.networks.climax_builders import START, STEP
from tests.networks.conftest import command
from tests.networks.training_case import SIX_HOURS, TRAINING, experiment_file, table


def test_a_small_network_learns_the_waves_and_serves_as_a_model(settings):
    small = settings("learns", epochs=12)
    train.write_shards(small)
    path = loop.train(small)
    epochs = table(small.folder / "curves.csv")
    assert [row["rollout"] for row in epochs] == ["1"] * 12 + ["2"]
    assert float(epochs[11]["validation_loss"]) < 0.3 < 0.8 < float(epochs[0]["training_loss"])
    assert (small.folder / "curves.png").stat().st_size > 10_000

    scores = {(row["phase"], row["epoch"], row["lead_hours"], row["channel"], row["kind"]): float(row["rmse"])
              for row in table(small.folder / "scores.csv")}
    for lead in ("6", "12"):
        forecast = scores["2", "1", lead, "temperature_500", "forecast"]
        assert forecast < 0.6 * scores["", "", lead, "temperature_500", "persistence"]

    # The weights as the forecast command loads them give the forecasts that were scored.
    members = Passes.of([emulator_of(path, small.space)])
    start = START + 70 * STEP
    first, later = (made.moving_waves(small.space, time) for time in (start, start + STEP))
    ahead = members.step(first[None], times.to_seconds(start))[0]
    rms = np.sqrt(((ahead - later) ** 2).mean(axis=(1, 2)) / ((first - later) ** 2).mean(axis=(1, 2)))
    assert rms.max() < 0.7
    assert members.lanes[0].emulator.stepping.card.normalization["temperature_500"].tendency_std == pytest.approx(
        tendency_std(small, "temperature_500"), rel=1e-3)


def tendency_std(small: config.Settings, name: str) -> float:
    """From all states of the training period, by its definition."""
    number = [channel.name for channel in small.space.channels].index(name)
    count = int((small.experiment.end - START) / STEP) + 1
    fields = np.stack([made.moving_waves(small.space, START + n * STEP)[number] for n in range(count)]).astype(float)
    change, weights = np.diff(fields, axis=0), small.space.grid.area_weights / small.space.grid.size
    mean = (change * weights).sum(axis=(1, 2)).mean()
    return float(np.sqrt(((change - mean) ** 2 * weights).sum(axis=(1, 2)).mean()))


def test_validation_of_a_known_step_is_exact(settings):
    """A network that leaves everything as it is scores as persistence does."""
    small = settings("exact")
    train.write_shards(small)
    trainer = loop.prepared(small)
    cpu = torch.device("cpu")
    scores = trainer.task.validation.scores(lambda fields, seconds: fields, cpu)
    persistence = [score for score in trainer.task.validation.references() if score.kind == "persistence"]
    assert [(s.lead_hours, s.channel, s.rmse, s.acc) for s in scores] == [
        (s.lead_hours, s.channel, s.rmse, s.acc) for s in persistence
    ]
    task = trainer.task
    loss = task.validation.loss(lambda fields, seconds: fields, 1, task.scale, task.weights, cpu)
    by_score = [score.rmse**2 for score in persistence if score.lead_hours == 6]
    assert loss == pytest.approx(np.mean(np.array(by_score) / trainer.task.scale.numpy().ravel() ** 2), rel=1e-4)


def test_no_time_of_the_validation_period_is_trained_on(settings):
    small = settings("apart")
    train.write_shards(small)
    trainer = loop.prepared(small)
    first, last = (times.to_seconds(time) for time in small.validation)
    seen = np.concatenate([window.ravel() for window in trainer.plan.windows])
    trained = trainer.data.series.seconds[np.unique(seen)]
    assert not ((trained >= first) & (trained <= last)).any()
    unseen = trainer.data.series.seconds[trainer.task.validation.windows]
    assert unseen.min() >= first
    assert unseen.max() <= last
    whole = small.experiment.start, small.experiment.end
    np.testing.assert_array_equal(trainer.plan.windows[1], trainer.data.series.starts(*whole, SIX_HOURS, 2))


def test_a_phase_may_be_added_to_a_finished_training(settings):
    """It goes on from the weights that were best, here with noise, and does not begin anew."""
    small = settings("longer")
    train.write_shards(small)
    loop.train(small)
    more = small.folder.parent.parent / "longer.toml"
    more.write_text(more.read_text() + "[[training.phases]]\nepochs = 1\nnoise = 3.0\nlearning_rate = 1e-4\n")
    longer = config.load(more)
    loop.train(longer)
    rows = table(longer.folder / "curves.csv")
    assert [row["phase"] for row in rows] == ["1", "2", "3"]
    assert float(rows[2]["training_loss"]) > float(rows[1]["training_loss"])  # it began with noise
    more.write_text(more.read_text().replace("learning_rate = 4e-3", "learning_rate = 3e-3"))
    with pytest.raises(UserError, match="is a training with phases"):
        loop.train(config.load(more))


PERIODS = """
[[training.periods]]
start = 1990-01-09T00:00:00Z
end = 1990-01-12T18:00:00Z
[[training.periods]]
start = 1990-01-01T00:00:00Z
end = 1990-01-08T18:00:00Z
"""


def test_no_sample_reaches_from_one_period_into_another(settings):
    """Two runs may meet in time; the step from the one into the other never was."""
    small = settings("periods", more=PERIODS)
    train.write_shards(small)
    trainer = loop.prepared(small)
    border = times.to_seconds(START + 32 * STEP)
    for steps, windows in zip((1, 2), trainer.plan.windows, strict=True):
        seconds = trainer.data.series.seconds[windows]
        assert not ((seconds[:, 0] < border) & (seconds[:, -1] >= border)).any()
        assert len(windows) == 32 - steps + 16 - steps
    assert "1990010100 to 1990010818 and 1990010900 to 1990011218" in trainer.task.card.about
    with pytest.raises(UserError, match="overlaps the one that starts on 1990-01-08"):
        settings("overlap", more=PERIODS.replace("1990-01-09", "1990-01-08"))


def test_a_training_killed_at_any_point_ends_with_the_same_bits(work, settings, caplog):
    more = "save_minutes = 0.002\npatience = 50\noptimiser = 'muon'"
    whole, cut = settings("whole", 4, more), settings("cut", 4, more)
    train.write_shards(whole)
    loop.train(whole)
    for _ in range(2):
        killed = command("train", str(work / "cut.toml"), WORK=str(work))
        seen = cut.folder / "state.pt"
        before = seen.stat().st_mtime_ns if seen.exists() else 0
        while killed.poll() is None and (not seen.exists() or seen.stat().st_mtime_ns <= before):
            clock.sleep(0.01)
        clock.sleep(0.1)
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        assert killed.returncode == -signal.SIGKILL
    caplog.set_level(logging.INFO)
    loop.train(cut)
    assert "goes on at phase" in caplog.text
    for name in ("curves.csv", "scores.csv"):
        assert (cut.folder / name).read_text() == (whole.folder / name).read_text()
    weights = [emulator.load(one.folder / f"{one.experiment.name}.safetensors").weights for one in (whole, cut)]
    for name, array in weights[0].items():
        np.testing.assert_array_equal(array, weights[1][name])


def test_a_training_goes_on_only_with_the_settings_it_was_begun_with(settings):
    small = settings("fixed", epochs=1)
    train.write_shards(small)
    loop.train(small)
    with pytest.raises(UserError, match=r"state.pt: is a training with predicts = tendency, asked for field"):
        loop.train(settings("fixed", epochs=1, more='predicts = "field"'))
    loop.train(settings("fixed", epochs=1, more="save_minutes = 1"))
    (small.folder / "state.pt").write_bytes((small.folder / "state.pt").read_bytes()[:5000])
    with pytest.raises(UserError, match="is no training that can go on"):
        loop.train(small)


def test_settings_that_a_training_did_not_know_count_as_their_defaults(settings):
    """Such as come with a later version."""
    small = settings("earlier", epochs=1)
    train.write_shards(small)
    loop.train(small)
    where = small.folder / "state.pt"
    content = torch.load(where, weights_only=True)
    known = msgspec.json.decode(content["settings"])
    del known["training"]["unobserved"], known["training"]["phases"][0]["mixing"], known["network"]["kind"]
    torch.save(content | {"settings": msgspec.json.encode(known).decode()}, where)
    loop.train(small)
    with pytest.raises(UserError, match=r"is a training with unobserved = \{\}, asked for"):
        loop.train(settings("earlier", epochs=1, more="unobserved = { 2m_temperature = 1.0 }"))


def test_a_phase_ends_when_patience_does(settings, monkeypatch):
    small = settings("patient", epochs=9, more="patience = 2")
    train.write_shards(small)
    losses = iter([3.0, 2.0, 2.5, 2.5, 1.0])
    monkeypatch.setattr(validation.Validation, "loss", lambda *_: next(losses))
    loop.train(small)
    found = [(row["phase"], row["epoch"]) for row in table(small.folder / "curves.csv")]
    assert found == [("1", "1"), ("1", "2"), ("1", "3"), ("1", "4"), ("2", "1")]


def test_predicting_the_field_learns_too(settings):
    small = settings("field", epochs=3, more='predicts = "field"')
    train.write_shards(small)
    path = loop.train(small)
    assert emulator.load(path).card.network.predicts == "field"
    rows = table(small.folder / "curves.csv")
    assert float(rows[2]["validation_loss"]) < 0.85 * float(rows[0]["training_loss"])


def test_shards_alone_are_enough_on_another_machine(settings, work, tmp_path, monkeypatch):
    train.main([str(experiment_file(work, "here", 1, f'shards = "{tmp_path / "s"}"')), "--shards-only"])
    monkeypatch.setenv("WORK", str(tmp_path))
    there = experiment_file(tmp_path, "there", 1, f'shards = "{tmp_path / "s"}"\nsource = "shards"')
    train.main([str(there)])
    assert (tmp_path / "there/training/there.safetensors").exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("validation_start = 1990-01-17T06:00:00Z", "validation_start = 1990-01-16T18:00:00Z"), "overlaps"),
        (("leads_hours = [6, 12]", "leads_hours = [7]"), "leads_hours 7 is no multiple"),
        (("rollout = 2", "rolout = 2"), "rolout"),
        (("batch = 8", "batch = 0"), r"\[training\] batch"),
        (("embed_dim = 32", "embed_dimension = 32"), "unknown setting 'embed_dimension'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(tmp_path, change, sentence):
    text = TRAINING.format(name="n", epochs=1, more="")
    assert change[0] in text
    (tmp_path / "e.toml").write_text(text.replace(*change))
    with pytest.raises(UserError, match=sentence):
        config.load(tmp_path / "e.toml")


def test_mixing_is_refused_where_the_batch_has_no_other_states(tmp_path):
    text = TRAINING.format(name="n", epochs=1, more="").replace("rollout = 2", "rollout = 2\nmixing = 0.1")
    for batch, sentence in [(3, "batch must be 4 or more, got 3"), (4, None)]:
        (tmp_path / "e.toml").write_text(text.replace("batch = 8", f"batch = {batch}"))
        with pytest.raises(UserError, match=sentence) if sentence else nullcontext():
            config.load(tmp_path / "e.toml")


def test_too_few_data_are_refused(settings):
    small = settings("few", more="")
    train.write_shards(small)
    few = experiment_file(small.folder.parent.parent, "few", 1)
    few.write_text(few.read_text().replace("batch = 8", "batch = 500"))
    with pytest.raises(UserError, match="at least one batch of 500 is needed"):
        loop.prepared(config.load(few))
