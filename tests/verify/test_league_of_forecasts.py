"""Forecasts from the means of contestants' analyses, by the one model of all."""

import csv
import re
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from contracts import state, times
from contracts.errors import UserError
from contracts.paths import LeagueFolder
from contracts.state import State, StateSpace
from tests import builders
from tests.verify.leagues import CHANNELS, LEAGUE, fitted
from verify import __main__ as verify
from verify.league import config as league_config
from verify.league import deterministic, standing
from verify.league.deterministic import Deterministic
from verify.league.result import Result

ASKED = "[league.forecasts]\nleads_hours = [24, 6]\nevery_hours = 12\n"


def foretold(made: Path, factors: dict[str, float]) -> LeagueFolder:
    """The league asks for forecasts, and has such whose errors are so many times the same ones, of all leads."""
    made.write_text(made.read_text().replace("[[contestant]]", f"{ASKED}[[contestant]]", 1))
    league, contestants = league_config.load(made)
    folder = deterministic.folder(made, contestants[0].settings)
    for contestant in contestants:
        settings, name = contestant.settings, contestant.settings.experiment.name
        space = settings.state.space(settings.grid.grid())
        for n, start in enumerate(deterministic.starts(league, settings)):
            for hours in (6, 24):
                lead = timedelta(hours=hours)
                truth = settings.truth(start + lead)
                if not truth.exists():
                    state.write(truth, builders.random_state(space, 50 + n, start + lead))
                if name not in factors:
                    continue
                error = factors[name] * builders.random_state(space, 200 + n + hours, start + lead).data
                state.write(folder.of(name).at(start).deterministic(lead),
                            State(space, state.read(truth, space).data + error, start + lead), start=start)
    folder.model.write_text('{"model": "a_network"}')
    return folder


def test_forecasts_of_a_model_with_fewer_channels_are_scored_where_it_has_them(made):
    folder = foretold(made, {"better": 0.8})
    league, (_, contestant, _) = league_config.load(made)
    whole = Deterministic.read(contestant, league, folder)
    space = contestant.settings.state.space(contestant.settings.grid.grid())
    fewer = StateSpace(space.grid, tuple(each for each in space.channels if each.variable != "specific_humidity"))
    for start in deterministic.starts(league, contestant.settings):
        for hours in (6, 24):
            lead = timedelta(hours=hours)
            path = folder.of("better").at(start).deterministic(lead)
            state.write(path, state.read(path, fewer), start=start)
    found = Deterministic.read(contestant, league, folder)
    assert set(whole.channels) - set(found.channels) == {"specific_humidity_500"}
    assert found.rmse(24, "specific_humidity_500").size == 0
    np.testing.assert_array_equal(found.rmse(24, "temperature_500"), whole.rmse(24, "temperature_500"))


def test_words_for_the_forecasts_name_model_analyses_starts_and_leads(made, capsys):
    verify.main(["league", str(made), "--forecasts"])
    assert capsys.readouterr().out == "\n"
    made.write_text(made.read_text().replace("[[contestant]]", f"{ASKED}model = 'slower.toml'\n[[contestant]]", 1))
    verify.main(["league", str(made), "--forecasts"])
    model, *words = capsys.readouterr().out.split()
    folder = made.parent
    begin = [times.name(builders.TIME + timedelta(days=1, hours=12 * n)) for n in range(10)]
    assert model == str(folder / "slower.toml")
    assert words == ["--into", str(folder / "short"), "--of", *(str(folder / f"{name}.toml") for name in
                     ("control", "better", "slower")), "--starts", *begin, "--leads", "24", "6"]


def test_a_forecast_is_held_against_the_truth_of_its_own_time_and_ranked_by_block(made):
    folder = foretold(made, {"control": 1.0, "better": 0.8, "slower": 1.2})
    league, contestants = league_config.load(made)
    result = Result.read(contestants[1], league, None, folder)
    settings = contestants[1].settings
    space = settings.state.space(settings.grid.grid())
    channel, squares = [each.name for each in space.channels].index("temperature_500"), []
    for start in deterministic.starts(league, settings)[2:4]:  # the second block
        valid = start + timedelta(hours=24)
        error = (state.read(folder.of("better").at(start).deterministic(timedelta(hours=24)), space).data.astype(float)
                 - state.read(settings.truth(valid), space).data)[channel]
        squares.append(np.average(error**2, weights=space.grid.area_weights))
    found = result.deterministic.rmse(24, "temperature_500")
    assert len(found) == 5 and found[1] == pytest.approx(np.sqrt(np.mean(squares)))
    verify.main(["league", str(made)])
    with (made.parent / "short" / "league.csv").open(newline="") as file:
        rows = {(row["contestant"], row["field"], row["score"]): row for row in csv.DictReader(file)}
    one = rows["better", "all fields", "forecast_024h_rmse"]
    assert (float(one["percent"]), one["first"], one["last"]) == (pytest.approx(-20, abs=0.1), "1", "1")
    assert rows["slower", "geopotential_500", "forecast_006h_rmse"]["first"] == ""  # it is not through
    page = (made.parent / "short" / "league.html").read_text()
    assert "One model for all, a_network, without noise" in page and 'id="forecasts"' in page
    assert "all fields, 24 h ahead" in page and "−20.0" in page


def test_blocks_end_before_a_forecast_that_is_missing_and_a_start_without_truth_counts_for_none(made):
    folder = foretold(made, {"control": 1.0, "better": 0.8})
    league, contestants = league_config.load(made)
    begin, day = deterministic.starts(league, contestants[0].settings), timedelta(hours=24)
    contestants[0].settings.truth(begin[-1] + day).unlink()
    folder.of("better").at(begin[7]).deterministic(day).unlink()
    control, better, slower = (Result.read(each, league, None, folder) for each in contestants)
    assert [len(each.deterministic.rmse(24, "temperature_500")) for each in (control, better, slower)] == [5, 3, 0]
    assert [each.deterministic.count for each in (control, better, slower)] == [10, 10, 0]
    places = standing.places([control, better], lambda each: each.deterministic.overall(24, CHANNELS))
    assert places == {}  # two are needed that have as many blocks


@pytest.mark.parametrize(("asked", "words"), [
    ("every_hours = 25", "forecasts.every_hours must be at most 24, so that each block of 1 days has a start, got 25"),
    ("leads_hours = []", "length >= 1"),
    ("lead = 3", "lead"),
    ("every_hours = 5", "every_hours = 5 is no multiple of the 12 h from one analysis to the next"),
])
def test_forecasts_that_cannot_be_are_refused(made, asked, words):
    made.write_text(made.read_text().replace("[[contestant]]", f"[league.forecasts]\n{asked}\n[[contestant]]", 1))
    with pytest.raises(UserError, match=re.escape(words)):
        verify.main(["league", str(made), "--forecasts"])


def test_forecasts_without_a_truth_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("WORK", str(tmp_path))
    for name in ("control", "better", "slower"):
        fitted(tmp_path, name, 1.0, times=0)
    (tmp_path / "short.toml").write_text(LEAGUE.replace("[[contestant]]", f"{ASKED}[[contestant]]", 1))
    with pytest.raises(UserError, match=r"\[league.forecasts\] need a truth to be held against"):
        verify.main(["league", str(tmp_path / "short.toml"), "--check"])
