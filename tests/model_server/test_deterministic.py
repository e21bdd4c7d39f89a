"""Deterministic forecasts from means: what they are, whom they leave alone, and what is made again."""

import os
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pytest
import xarray

from contracts import config as contracts_config
from contracts import state, times
from contracts.errors import UserError
from contracts.paths import LeagueFolder
from contracts.state import State, StateSpace
from model_server import config, deterministic
from model_server.models import persistence
from model_server.models.base import Batch
from tests import builders

HOURS = timedelta(hours=1)
TEXT = """[model]
name = "persistence"
batch = 2
[grid]
nlat = 8
nlon = 16
[state]
levels_hpa = [500, 850]
"""
START = builders.TIME


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Folder and settings of three experiments with an analysis mean each, the last one with none."""
    monkeypatch.setenv("WORK", str(tmp_path))
    monkeypatch.setattr(persistence.Persistence, "step", warmer)
    settings = []
    for seed, name in enumerate("abcd"):
        path = tmp_path / f"{name}.toml"
        path.write_text(builders.experiment(name, end=START + 12 * HOURS, members=3) + TEXT)
        settings.append(contracts_config.load(path, config.Settings))
        if name != "d":
            write(settings[-1], seed)
    return tmp_path, settings


def write(settings, seed: int, time=START) -> None:
    mean = settings.experiment.folder.at(time).analysis.mean
    state.write(mean, builders.random_state(settings.space, seed, time), statistic="mean")


def warmer(self, batch):
    """Persistence that warms by one degree a step."""
    data = batch.data.copy()
    data[:, self.space.index("temperature")] += 1.0
    return type(batch)(batch.time + self.time_step, data, batch.restart)


def run(folder, leads=(12, 6), names="abcd") -> None:
    deterministic.main([str(folder / "a.toml"), "--into", str(folder / "league"), "--starts", times.name(START),
                        "--of", *(str(folder / f"{name}.toml") for name in names), "--leads", *map(str, leads)])


def files(folder) -> dict[str, bytes]:
    """Fields by file: the header says when it was written."""
    space = contracts_config.load(folder / "a.toml", config.Settings).space
    return {str(path.relative_to(folder)): state.read(path, space).data.tobytes()
            for path in sorted((folder / "league").rglob("*.nc"))}


def test_each_is_so_many_steps_of_one_model_from_its_mean_and_who_has_none_is_passed_over(made):
    folder, settings = made
    run(folder)
    assert list(files(folder)) == [f"league/forecasts/{name}/{times.name(START)}/deterministic/{lead:03d}h.nc"
                                   for name in "abc" for lead in (6, 12)]
    for each in settings[:3]:
        mean = state.read(each.experiment.folder.at(START).analysis.mean, each.space).data.copy()
        for steps in (1, 2):
            mean[each.space.index("temperature")] += 1.0
            path = LeagueFolder(folder / "league").of(each.experiment.name).at(START).deterministic(6 * steps * HOURS)
            np.testing.assert_array_equal(state.read(path, each.space, START + 6 * steps * HOURS).data, mean)
    with xarray.open_dataset(path, decode_timedelta=False) as dataset:
        assert dataset["temperature"].coords["forecast_period"] == 12.0
        assert dataset["temperature"].coords["forecast_reference_time"] == np.datetime64("1989-01-01T06:00")


def test_no_forecast_depends_on_who_else_is_there(made):
    folder, _ = made
    run(folder, names="b")
    alone = files(folder)
    run(folder)
    assert {name: files(folder)[name] for name in alone} == alone


def test_what_is_complete_stays_and_what_is_missing_or_older_than_its_analysis_is_made(made):
    folder, settings = made
    run(folder)
    before = files(folder)
    stamps = {name: (folder / name).stat().st_mtime_ns for name in before}
    missing, *_, last = before
    (folder / missing).unlink()
    write(settings[2], 9)
    os.utime(folder / last, ns=(0, 0))
    run(folder)
    after = files(folder)
    assert after[missing] == before[missing] and after[last] != before[last]
    assert {name for name in before if (folder / name).stat().st_mtime_ns == stamps[name]} == {
        name for name in before if "/b/" in name}


def test_forecasts_by_another_model_are_not_mixed_in(made):
    folder, _ = made
    run(folder)
    path = folder / "a.toml"
    path.write_text(path.read_text().replace("batch = 2", "batch = 2\noptions = { step_hours = 3 }"))
    with pytest.raises(UserError, match=r"holds forecasts by a model with .*remove this folder to make them anew"):
        run(folder)


def test_one_that_leaves_its_range_is_told_and_stops_no_other(made, caplog):
    folder, settings = made
    hot = builders.random_state(settings[1].space, 1, START).data.copy()
    hot[settings[1].space.index("temperature")] = 359.5
    state.write(settings[1].experiment.folder.at(START).analysis.mean, State(settings[1].space, hot, START))
    run(folder)
    assert "the forecast of b from 1989010106, 6 h: temperature_500 is 360.5" in caplog.text
    assert [name.split("/")[2] for name in files(folder)] == ["a", "a", "c", "c"]


@pytest.mark.parametrize(("replaced", "by", "words"), [
    ("[500, 850]", "[850]", "b: its states have no geopotential_500, "),
    ("nlat = 8", "nlat = 10", "b: its states have no "),
])
def test_whose_states_do_not_fit_is_told_and_passed_over(made, caplog, replaced, by, words):
    folder, _ = made
    path = folder / "b.toml"
    path.write_text(path.read_text().replace(replaced, by))
    run(folder)
    assert words in caplog.text and "which persistence needs" in caplog.text
    assert [name.split("/")[2] for name in files(folder)] == ["a", "a", "c", "c"]


@pytest.mark.parametrize("lead", [9, -6, 0])
def test_a_lead_that_is_no_number_of_steps_is_refused_before_anything_is_made(made, lead):
    folder, _ = made
    with pytest.raises(UserError, match=f"a lead of {lead} h is no number of steps of persistence, of 6 h"):
        run(folder, [6, lead])
    assert not (folder / "league").exists()


def test_a_model_that_needs_two_states_gets_the_mean_before(made):
    _, settings = made
    source = deterministic.Source(settings[0].experiment, LeagueFolder(made[0] / "league").of("a"))
    write(settings[0], 7, START + 6 * HOURS)
    model = TwoStates(settings[0].space)
    means = [builders.random_state(settings[0].space, seed).data for seed in (0, 7)]
    for start, (before, now) in ((START, (means[0], means[0])), (START + 6 * HOURS, means)):
        deterministic.forecast(model, [source], start, [6 * HOURS])
        found = state.read(source.target.at(start).deterministic(6 * HOURS), model.space, start + 6 * HOURS).data
        np.testing.assert_array_equal(found, np.float32(0.75) * now + np.float32(0.25) * before)


@dataclass(frozen=True)
class TwoStates:
    """Between what was and what is."""

    space: StateSpace
    name: str = "two"
    time_step: timedelta = 6 * HOURS
    history: int = 2
    keeps_restart: bool = False

    def step(self, batch: Batch) -> Batch:
        data = np.float32(0.75) * batch.data + np.float32(0.25) * batch.before
        return Batch(batch.time + self.time_step, data, batch.restart)
