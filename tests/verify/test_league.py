"""A league of made files: numbers against their definitions, unequal tasks refused, unfinished ones shown."""

import csv
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

from contracts import base, state
from contracts.errors import ContractError, UserError
from tests import builders
from tests.verify.leagues import LEAGUE, lay
from tests.verify.test_report import Tree
from verify import __main__ as verify
from verify.league import config as league_config
from verify.league import cost, standing
from verify.league.config import Contestant, League
from verify.league.fields import Fields, Places, nearest_km
from verify.league.result import Result


def test_the_table_and_the_page_have_places_intervals_and_who_is_not_through(made, capsys):
    verify.main(["league", str(made)])
    told = capsys.readouterr().out
    rows = [re.split(r" +\| ", line.strip("| ")) for line in told.splitlines() if line.startswith("| ")]
    assert ["1 better", "6", "−10.0 (−10.0 to −10.0) *", "1", "-"] in [row[:5] for row in rows]
    assert ["2 the control", "6", "-", "2", "-"] in [row[:5] for row in rows]
    assert ["3 slower", "3.5 of 6", "+10.0 (+10.0 to +10.0), 2 blocks", "-", "-"] in [row[:5] for row in rows]
    assert ["3 slower", "stopped", "7 of 12"] in [row[:3] for row in rows]
    page = (made.parent / "short" / "league.html").read_text()
    tree = Tree(page)
    assert [each["id"] for each in tree.all("section")] == [
        "standing", "fields", "regions", "stations", "gains", "balance", "cost", "contestants"]
    assert all(each.get("aria-label") for each in tree.all("svg")) and "<script" not in page
    assert "−10.0" in page and "2.5" in page


def test_the_numbers_of_the_page_stand_in_a_table_too(made):
    verify.main(["league", str(made)])
    with (made.parent / "short" / "league.csv").open(newline="") as file:
        rows = {(row["contestant"], row["field"], row["where"], row["score"]): row for row in csv.DictReader(file)}
    league, contestants = league_config.load(made)
    result = Result.read(contestants[1], league, None)
    found = rows["better", "temperature_500", "tropics", "analysis_rmse"]
    error = result.score("analysis_rmse", "temperature_500", "tropics").mean()
    assert float(found["value"]) == pytest.approx(error, 1e-3)
    assert (float(found["percent"]), found["blocks"], found["first"]) == (pytest.approx(-10), "5", "1")
    assert rows["the control", "all fields", "globe", "analysis_rmse"]["last"] == "2"
    assert rows["slower", "temperature_500", "globe", "analysis_rmse"]["first"] == ""
    assert float(rows["better", "temperature_500", "globe", "analysis_spread_error"]["value"]) == pytest.approx(
        result.ratio("analysis", "temperature_500").mean(), 1e-3)
    assert ("better", "geopotential_500", "near stations", "analysis_rmse") in rows


def test_an_error_of_a_block_is_the_root_of_its_mean_square_and_a_bias_a_mean(made):
    (league, contestants) = league_config.load(made)
    result = Result.read(contestants[0], league, None)
    for name, average in (("analysis_rmse", lambda x: np.sqrt(np.mean(x**2))), ("analysis_bias", np.mean)):
        found = result.score(name, "temperature_500", "tropics")
        cycles = [np.array([cycle.score(name, "temperature_500", 1) for cycle in result.cycles[2 + 2 * b : 4 + 2 * b]])
                  for b in range(5)]
        np.testing.assert_allclose(found, [average(block) for block in cycles])
    squares = [result.score(f"analysis_{name}", "temperature_500") for name in ("spread", "rmse")]
    np.testing.assert_allclose(result.ratio("analysis", "temperature_500"), np.sqrt(5 / 4) * squares[0] / squares[1])


def test_who_is_not_distinguishable_says_so(made):
    league, contestants = league_config.load(made)
    control, better, _ = (Result.read(each, league, None) for each in contestants)
    weather = np.array([0.3, -0.2, 0.1, -0.4, 0.25])
    shift = {"the control": 0 * weather, "better": weather}
    places = standing.places([control, better], lambda each: shift[each.title])
    assert [str(place) for place in places.values()] == ["1 to 2", "1 to 2"]
    assert places["better"].equals == (0,) and places["the control"].equals == (1,)


def test_columns_are_classed_by_the_great_circle_to_the_nearest_station():
    grid = builders.space().grid
    lat, lon = np.array([30.0, -45.0]), np.array([350.0, 100.0])
    found = nearest_km(grid, lat, lon)
    a, b = np.deg2rad(grid.column_lat), np.deg2rad(grid.column_lon)
    each = [6371.22 * np.arccos(np.clip(np.sin(a) * np.sin(p) + np.cos(a) * np.cos(p) * np.cos(b - q), -1, 1))
            for p, q in zip(np.deg2rad(lat), np.deg2rad(lon), strict=True)]
    np.testing.assert_allclose(found.ravel(), np.min(each, axis=0), rtol=1e-4)
    places = Places.of(grid, lat, lon, (0, 3000, 3001, np.inf), ("near", "nowhere", "far"))
    assert places.names == ("near", "far")
    np.testing.assert_allclose(places.weights.sum(axis=(1, 2)), 1)
    assert ((places.weights[0] > 0) == (found < 3000)).all()


def test_errors_near_stations_are_those_of_the_files(made):
    league, (contestant, *_) = league_config.load(made)
    settings = contestant.settings
    places = Places.read(settings, league)
    result = Result.read(contestant, league, places)
    space = settings.state.space(settings.grid.grid())
    near = nearest_km(space.grid, np.zeros(1), np.full(1, 90.0)) < 1500
    channel, squares = [each.name for each in space.channels].index("temperature_500"), []
    for time in settings.experiment.times()[4:6]:  # the second block
        error = (state.read(settings.experiment.folder.at(time).analysis.mean, space).data
                 - state.read(settings.truth(time), space).data)[channel]
        squares.append(np.average(error[near] ** 2, weights=space.grid.area_weights[near]))
    found = result.error_at("analysis", "near stations", "temperature_500")
    assert found[1] == pytest.approx(np.sqrt(np.mean(squares)))
    assert result.fields.balance is not None and set(result.fields.energy) == {"kinetic energy", "temperature"}


def test_the_truth_itself_has_all_the_energy_of_the_truth(tmp_path, monkeypatch):
    monkeypatch.setenv("WORK", str(tmp_path))
    settings = lay(tmp_path, "perfect", 0.0, 6)
    league = League(block_days=1, skip_days=0, sample_hours=12)
    places = Places.read(settings, league)
    found = Fields.read(settings, league, places, 6)
    assert found.energy == {"kinetic energy": pytest.approx(1), "temperature": pytest.approx(1)}
    assert not found.square.any() and found.balance is None


@pytest.mark.parametrize(("replaced", "by", "words"), [
    ("step_hours = 12", "step_hours = 6", "[experiment] step_hours is 6, and not 12"),
    ("step_hours = 12", "step_hours = 12\nseed = 7", "[experiment] seed is 7, and not its default"),
    ("nlat = 8", "nlat = 10", "[grid] nlat is 10, and not 8"),
    ('truth = "nature', 'truth = "other', "[verify] truth is 'other"),
    ("[verify]", "[initial]\nfirst = 1980-01-01T00:00:00Z\n[verify]", "[initial] first is "),
    ("[verify]", '[synthetic]\ntruth = "x"\n[verify]', "[synthetic] truth is 'x', and not its default"),
])
def test_a_contestant_with_another_task_is_refused(made, replaced, by, words):
    path = made.parent / "better.toml"
    path.write_text(path.read_text().replace(replaced, by))
    with pytest.raises(UserError) as refused:
        verify.main(["league", str(made), "--check"])
    assert words in str(refused.value) and str(refused.value).startswith(f"{path}: ")
    assert "change it or leave this one out" in str(refused.value)


def test_further_contestants_stand_behind_the_league_file(made, capsys):
    lay(made.parent, "mine", 1.0, 0)
    mine = made.parent / "mine.toml"
    verify.main(["league", str(made), str(mine), "--list"])
    assert capsys.readouterr().out.split() == [str(made.parent / f"{name}.toml")
                                               for name in ("control", "better", "slower", "mine")]
    verify.main(["league", str(made), str(mine), "--check"])
    assert "4 contestants of the same task" in capsys.readouterr().out
    with pytest.raises(UserError, match="experiment 'better' stands there twice"):
        verify.main(["league", str(made), str(made.parent / "better.toml")])


def test_a_league_can_lay_another_task_over_all_its_contestants(made, capsys):
    other = made.parent / "summer.toml"
    other.write_text(LEAGUE + '[task.experiment]\nstart = 2020-07-01T00:00:00Z\nend = 2020-07-03T00:00:00Z\n'
                     '[task.synthetic]\nstations = [1, 2, 3, 4, 5]\n')
    _, contestants = league_config.load(other)
    assert [each.settings.experiment.name for each in contestants] == [
        "summer_control", "summer_better", "summer_slower"]
    assert [each.title for each in contestants] == ["the control", "better", "slower"]
    first = contestants[0]
    assert len(first.settings.experiment.times()) == 5 and first.settings.grid.nlat == 8
    assert tomllib.loads(base.complete(first.path))["synthetic"] == {"stations": [1, 2, 3, 4, 5]}
    before = first.path.stat().st_mtime_ns
    verify.main(["league", str(other), "--list"])
    assert capsys.readouterr().out.split() == [str(each.path) for each in contestants]
    assert first.path.stat().st_mtime_ns == before


@pytest.mark.parametrize(("text", "words"), [
    ("[league]\nblock_days = 0\n[[contestant]]\nexperiment = 'a.toml'", "block_days"),
    ("[league]\nblok_days = 3\n[[contestant]]\nexperiment = 'a.toml'", "blok_days"),
    ("[league]\nnear_km = 9.0\nvoid_km = 8.0\n[[contestant]]\nexperiment = 'a.toml'", "near_km must lie below void_km"),
    ("contestant = []", "length >= 1"),
    ("[[contestant]]\nexperiment = 'nowhere.toml'", "no experiment file can be read there"),
])
def test_a_league_file_that_cannot_be_is_refused(tmp_path, text, words):
    path = tmp_path / "league.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=re.escape(words)):
        league_config.load(path)


def test_before_the_control_has_scores_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("WORK", str(tmp_path))
    lay(tmp_path, "control", 1.0, 0)
    (tmp_path / "one.toml").write_text("[[contestant]]\nexperiment = 'control.toml'")
    with pytest.raises(UserError, match="has no scores yet; run: run/league.sh"):
        verify.main(["league", str(tmp_path / "one.toml")])


def test_cost_is_that_of_all_runs_over_all_their_cycles(tmp_path):
    (tmp_path / "log").mkdir()
    assert cost.read(tmp_path) is None
    (tmp_path / "log" / "cost.csv").write_text("cycles,cpu_seconds,peak_mib\n10,40.5,300\n30,39.5,0\n")
    assert cost.read(tmp_path) == cost.Cost(40, 2.0, 300.0)
    (tmp_path / "log" / "cost.csv").write_text("cycles,cpu_seconds\n10,4x\n")
    with pytest.raises(ContractError, match="expected columns of numbers cycles, cpu_seconds, peak_mib"):
        cost.read(tmp_path)


def test_a_contestant_without_files_has_begun_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("WORK", str(tmp_path))
    settings = lay(tmp_path, "nothing", 1.0, 0)
    result = Result.read(Contestant("x", tmp_path / "nothing.toml", settings), League(), None)
    assert (result.days, result.blocks, result.finished, result.state) == (0, [], False, "not begun")
    assert result.score("analysis_rmse", "temperature_500").size == 0


LEAGUES = sorted((Path(__file__).parents[2] / "run" / "leagues").glob("*.toml"))


@pytest.mark.parametrize("path", LEAGUES, ids=lambda path: path.stem)
def test_the_leagues_that_come_with_the_code_have_one_task_each(path, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WORK", str(tmp_path))
    verify.main(["league", str(path), "--check"])
    assert "contestants of the same task" in capsys.readouterr().out
