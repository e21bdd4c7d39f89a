"""A league of made files: numbers against their definitions, unequal tasks refused, unfinished ones shown."""

import csv
import re
import tomllib
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from contracts import base, config, observations, state, times
from contracts.errors import ContractError, UserError
from contracts.observations import Source
from contracts.paths import LeagueFolder
from contracts.state import State, StateSpace
from contracts.variables import Flag
from tests import builders
from tests.verify.case import departures, no_fit
from tests.verify.test_report import Tree
from verify import __main__ as verify
from verify import score_file
from verify.config import Settings
from verify.league import config as league_config
from verify.league import cost, deterministic, observed, standing
from verify.league.config import Contestant, League
from verify.league.deterministic import Deterministic
from verify.league.fields import Fields, Places, nearest_km
from verify.league.observed import Fits
from verify.league.result import Result
from verify.score_file import Scores

DAYS = 6  # of 00 and 12 UTC; the first is left out, the others are five blocks
CHANNELS = ("temperature_500", "geopotential_500")
TEXT = """{experiment}
step_hours = 12
[grid]
nlat = 8
nlon = 16
[state]
levels_hpa = [500]
at_surface = []
[verify]
truth = "nature/%Y%m%d%H.nc"
headline = ["temperature_500", "geopotential_500"]
"""
LEAGUE = """
[league]
block_days = 1
skip_days = 1
sample_hours = 12
near_km = 1500
void_km = 4000
[[contestant]]
experiment = "control.toml"
title = "the control"
[[contestant]]
experiment = "better.toml"
training_minutes = 2.5
[[contestant]]
experiment = "slower.toml"
"""


def lay(folder: Path, name: str, factor: float, cycles: int) -> Settings:
    """An experiment whose errors are `factor` times those of every other, with so many scored cycles."""
    path = folder / f"{name}.toml"
    path.write_text(TEXT.format(experiment=builders.experiment(
        name, builders.TIME, builders.TIME + timedelta(hours=12 * (2 * DAYS - 1)), members=4).rstrip()))
    settings = config.load(path, Settings)
    space = settings.state.space(settings.grid.grid())
    for n, time in enumerate(settings.experiment.times()[:cycles]):
        rng, here = np.random.default_rng(n), settings.experiment.folder.at(time)
        scores = {f"{which}_{score}": factor * rng.uniform(1, 2, (2, len(space.channels)))
                  for which in ("background", "analysis") for score in ("rmse", "bias", "spread", "crps")}
        names = tuple(channel.name for channel in space.channels)
        score_file.write(here.scores, Scores(time, 4, "nature", ("global", "tropics"), names, no_fit(), {}, scores))
        truth = builders.random_state(space, n, time)
        state.write(settings.truth(time), truth)
        for e, ensemble in enumerate((here.background, here.analysis)):
            error = factor * builders.random_state(space, 100 + 2 * n + e, time).data
            state.write(ensemble.mean, State(space, truth.data + error, time), statistic="mean")
        made = replace(departures(n), flag=np.full(400, Flag.assimilated, np.int8), lat=np.zeros(400),
                       lon=np.full(400, 90.0))
        observations.write(here.departures, made, Source(time, (time, time)))
    return settings


@pytest.fixture
def made(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("WORK", str(tmp_path))
    for name, factor, cycles in (("control", 1.0, 2 * DAYS), ("better", 0.9, 2 * DAYS), ("slower", 1.1, 7)):
        lay(tmp_path, name, factor, cycles)
    path = tmp_path / "short.toml"
    path.write_text(LEAGUE)
    return path


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


def fitted(folder: Path, name: str, factor: float, times: int = 2) -> None:
    """An experiment without a truth, whose means are `factor` times as far from what is observed; of each one some rows
    were not accepted."""
    path = folder / f"{name}.toml"
    path.write_text(TEXT.format(experiment=builders.experiment(
        name, builders.TIME, builders.TIME + timedelta(hours=12), members=4).rstrip()).replace(
        'truth = "nature/%Y%m%d%H.nc"', ""))
    settings = config.load(path, Settings)
    for n, time in enumerate(settings.experiment.times()[:times]):
        table = departures(n)
        rng = np.random.default_rng(n)
        flag = np.where(rng.uniform(size=len(table)) < 0.8, Flag.withheld, Flag.assimilated)
        flag[np.random.default_rng(len(name)).integers(0, len(table), 50)] = Flag.gross_error
        far = rng.standard_normal(len(table))
        station = np.char.mod("S%02d", np.arange(len(table)) % 30).astype("S8")
        made = replace(table, flag=flag.astype(np.int8), station=station, background_mean=table.value - factor * far,
                       analysis_mean=table.value - 0.5 * factor * far)
        observations.write(settings.experiment.folder.at(time).departures, made, Source(time, (time, time)))


def test_without_a_truth_contestants_are_held_against_what_no_analysis_has_seen(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WORK", str(tmp_path))
    for name, factor in (("control", 2.0), ("better", 1.0), ("slower", 1.0)):
        fitted(tmp_path, name, factor, times=1 if name == "slower" else 2)
    path = tmp_path / "short.toml"
    path.write_text(LEAGUE)
    verify.main(["league", str(path)])
    rows = [re.split(r" +\| ", line.strip("| ")) for line in capsys.readouterr().out.splitlines()[2:] if "|" in line]
    assert [row[:3] for row in rows] == [["the control", "-", "-"],
                                         ["better", "−50.0 (−50.0 to −50.0) *", "−50.0 (−50.0 to −50.0) *"]]
    for row in rows:
        for cell in row[3:]:
            before, after = map(float, cell.split(" → "))
            assert after == pytest.approx(before / 2, rel=0.02)
    page = (tmp_path / "short" / "league.html").read_text()
    assert "2 cycles" in page and "slower" in page and "Not finished" in page


def test_rows_count_that_all_contestants_have_withheld(tmp_path, monkeypatch):
    monkeypatch.setenv("WORK", str(tmp_path))
    for name in ("control", "better", "slower"):
        fitted(tmp_path, name, 1.0)
    (tmp_path / "short.toml").write_text(LEAGUE)
    _, contestants = league_config.load(tmp_path / "short.toml")
    fits, waiting = Fits.read(contestants)
    assert waiting == [] and len(fits.times) == 2
    time = fits.times[0]
    tables = [observations.read_departures(each.settings.experiment.folder.at(time).departures)[0]
              for each in contestants]
    held = np.all([table.flag == Flag.withheld for table in tables], axis=0)
    for quantity in fits.quantities():
        which = held & (tables[0].quantity == quantity)
        (sample,) = fits.of(quantity, time)
        assert sample.station.size == which.sum()
        expected = np.sqrt(np.mean((tables[1].value - tables[1].analysis_mean)[which] ** 2))
        assert observed.rms([sample], "oma")[1] == pytest.approx(expected)


LEAGUES = sorted((Path(__file__).parents[2] / "run" / "leagues").glob("*.toml"))


@pytest.mark.parametrize("path", LEAGUES, ids=lambda path: path.stem)
def test_the_leagues_that_come_with_the_code_have_one_task_each(path, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WORK", str(tmp_path))
    verify.main(["league", str(path), "--check"])
    assert "contestants of the same task" in capsys.readouterr().out


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
