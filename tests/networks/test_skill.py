"""Skill of finished weights: the test period apart, drift against its definition, the command from its door."""

from datetime import datetime

import msgspec
import numpy as np
import pytest

from contracts import times
from contracts.errors import UserError
from networks import card, skill, train
from networks import checkpoint as checkpoints
from networks.checkpoint import Checkpoint
from networks.training import config, loop, validation
from networks.training import skill as scored
from networks.training.skill import FreeRun
from networks.training.task import Score
from tests.networks import climax_builders as made
from tests.networks.training_case import experiment_file, table

TEST = "test_start = 1990-01-12T00:00:00Z\ntest_end = 1990-01-16T18:00:00Z"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """An experiment file whose small network is trained; its last days of January's first half are for the test."""
    work = tmp_path_factory.mktemp("skill")
    made.nature_run(work / "nature", made.small_space(), 96)
    path = experiment_file(work, "small", 1, TEST)
    path.write_text(path.read_text().replace("1990-01-16T18:00:00Z\nseed", "1990-01-11T18:00:00Z\nseed"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORK", str(work))
        train.main([str(path)])
        yield path


def test_the_command_prints_and_writes_scores_of_the_test_period(trained, capsys):
    settings = config.load(trained)
    skill.main([str(trained), "--free-days", "3"])
    told = capsys.readouterr().out
    rows = table(settings.folder / "skill.csv")
    assert {row["kind"] for row in rows} == {"forecast", "persistence", "climatology"}
    found = {(row["channel"], row["lead_hours"], row["kind"]): float(row["rmse"]) for row in rows}
    below = 1 - found["temperature_500", "6", "forecast"] / found["temperature_500", "6", "persistence"]
    assert f"| temperature_500 | 6 | {found['temperature_500', '6', 'forecast']:.4g} |" in told
    assert f"| {below:.0%} |" in told
    drift = table(settings.folder / "drift.csv")
    assert [float(row["day"]) for row in drift] == [n / 4 for n in range(13)]


@pytest.fixture(scope="module")
def worse(trained):
    """Another experiment of the same, whose weights are those of `trained` with the head's last bias a little off."""
    other = trained.with_name("worse.toml")
    other.write_text(trained.read_text().replace('name = "small"', 'name = "worse"'))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORK", str(trained.parent))
        found, into = checkpoints.read(config.load(trained).weights), config.load(other).weights
        weights = found.weights | {"head.4.bias": found.weights["head.4.bias"] + np.float32(0.05)}
        checkpoints.write(into, Checkpoint(found.card, weights, found.constants, found.climatology), "float32")
    return other


def test_weights_are_held_against_others_start_by_start(trained, worse, capsys):
    skill.main([str(trained), "--against", str(worse), "--starts", "5"])
    told = capsys.readouterr().out
    settings = config.load(trained)
    rows = [row for row in table(settings.folder / "paired.csv")
            if (row["channel"], row["lead_hours"]) == ("temperature_500", "12")]
    assert len(rows) == 5 and len({row["start"] for row in rows}) == 5
    own, other, still = (np.array([float(row[name]) for row in rows]) for name in ("small", "worse", "persistence"))
    cells = []
    for errors in (other, still):
        each = 100 * (errors / own - 1)
        cells.append(f"{each.mean():+.1f} ± {2.7764 * each.std(ddof=1) / 5**0.5:.1f}")  # Student's t, four degrees
    assert f"| temperature_500 | 12 | {np.sqrt(np.mean(own**2)):.4g} | {' | '.join(cells)} |" in told


def test_the_error_of_a_start_is_that_of_its_forecast(trained):
    settings = config.load(trained)
    series = loop.prepared(settings).data.series
    test = validation.Validation(series, None, np.array([[3, 4, 5]]), (1, 2), 6 * 3600)
    found = test.errors(lambda fields, seconds: fields + 1)
    first, truth = series.fields([3])[0], series.fields([4, 5])
    weights = np.broadcast_to(settings.space.grid.area_weights, (8, 16))
    for lead in (1, 2):
        squares = (first + lead - truth[lead - 1]) ** 2
        expected = [np.sqrt(np.average(square, weights=weights)) for square in squares]
        np.testing.assert_allclose(found[lead - 1, 0], expected, rtol=1e-5)


def test_two_networks_of_one_name_are_refused(trained):
    with pytest.raises(UserError, match="told apart by the names of their experiments, got small, small"):
        skill.main([str(trained), "--against", str(trained)])


def test_no_test_time_is_trained_on_or_validated_with(trained):
    settings = config.load(trained)
    trainer = loop.prepared(settings)
    test = validation.of(trainer.data.series, settings, trainer.data.statistics, settings.test)
    windows = [*trainer.plan.windows, trainer.task.validation.windows]
    seen = np.concatenate([window.ravel() for window in windows])
    assert not np.intersect1d(seen, test.windows).size


def test_a_free_run_leaves_the_climate_on_the_first_day_outside():
    run = FreeRun(np.array([[1.0, 5.0], [1.5, 5.0], [2.5, 5.0], [1.0, 5.0]]), step_hours=6)
    low, high = np.array([0.0, 4.0]), np.array([2.0, 6.0])
    np.testing.assert_array_equal(run.days_inside(low, high), [0.5, np.inf])
    assert scored.stay(run, low, high, 1)[0].endswith("after 0.5 days")
    assert scored.stay(run, low, high, 1)[1].endswith("for all 1 days")


def test_a_free_run_that_blew_up_has_left_the_climate():
    run = FreeRun(np.array([[1.0, 1.0], [1.0, np.inf], [np.nan, np.nan]]), step_hours=12)
    np.testing.assert_array_equal(run.days_inside(np.zeros(2), np.full(2, 2.0)), [1.0, 0.5])


def test_an_interval_of_one_start_is_refused(trained):
    with pytest.raises(UserError, match="--starts must be at least 2, got 1"):
        skill.main([str(trained), "--starts", "1"])


@pytest.mark.parametrize("days", ["0", "-3"])
def test_a_free_run_of_no_days_is_refused(trained, days):
    with pytest.raises(UserError, match=f"--free-days must be at least 1, got {days}"):
        skill.main([str(trained), "--free-days", days])


def test_a_state_without_the_fields_that_are_followed_is_refused(trained):
    other = trained.with_name("other.toml")
    other.write_text(trained.read_text().replace("levels_hpa = [500", "levels_hpa = [550"))
    with pytest.raises(UserError, match=r"\[state\] has no geopotential_500 and no temperature_500"):
        skill.main([str(other)])


def test_the_table_names_what_is_below_persistence():
    scores = [Score(6, "temperature_500", kind, rmse, acc)
              for kind, rmse, acc in (("forecast", 0.3, 0.9), ("persistence", 1.0, 0.5), ("climatology", 2.0, 0.0))]
    assert scored.table(scores)[-1] == "| temperature_500 | 6 | 0.3 | 1 | 2 | 70% | 0.900 |"


@pytest.mark.parametrize(("first", "last", "refused"), [
    ("1990-01-01T00", "1990-01-12T00", True), ("1990-01-16T18", "1990-01-20T00", True),
    ("1990-01-01T00", "1990-01-11T18", False), ("1990-01-17T00", "1990-02-01T00", False),
])
def test_a_test_in_times_that_the_first_weights_have_seen_is_refused(trained, monkeypatch, first, last, refused):
    """The card of weights that were trained on names them."""
    seen = tuple(datetime.fromisoformat(f"{time}:00:00+00:00") for time in (first, last))
    settings = config.load(trained)
    place = settings.weights.with_suffix(".toml")
    before = place.read_text()
    place.write_text(card.to_toml(msgspec.structs.replace(card.read(place, place), seen=(seen,))))
    monkeypatch.setattr(loop, "data_of", lambda settings: pytest.fail("read shards"))
    try:
        told = f"small.safetensors: has seen states of {times.name(seen[0])}.*from 1990011200 to 1990011618"
        with pytest.raises(UserError if refused else pytest.fail.Exception, match=told if refused else "read shards"):
            skill.main([str(trained)])
    finally:
        place.write_text(before)


def test_weights_that_are_not_there_are_told_before_any_shard_is_read(trained, monkeypatch):
    other = trained.with_name("never.toml")
    other.write_text(trained.read_text().replace('name = "small"', 'name = "never"'))
    monkeypatch.setattr(loop, "data_of", lambda settings: pytest.fail("read shards"))
    with pytest.raises(UserError, match=r"never.safetensors: no such file; python -m networks train"):
        skill.main([str(other)])


def test_an_experiment_without_a_test_period_is_refused(trained):
    trained.with_name("untested.toml").write_text(trained.read_text().replace(TEST, ""))
    with pytest.raises(UserError, match="names no test_start"):
        skill.main([str(trained.with_name("untested.toml"))])
