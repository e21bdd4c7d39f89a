"""The tables of a sweep against the definitions, computed slowly."""

from datetime import timedelta

import numpy as np
import pytest

from contracts import field, times
from contracts.config import decode
from contracts.errors import UserError
from contracts.field import Field
from contracts.variables import Flag, Quantity
from tests.verify.case import LAYERS, departures, no_fit
from verify import blocks, compare, fit
from verify.config import Settings
from verify.score_file import Scores

TEXT = """
[experiment]
name = "swept"
start = 1990-01-31T00:00:00Z
end = 1990-02-01T12:00:00Z
[grid]
nlat = 4
nlon = 8
[state]
levels_hpa = [500, 850]
on_levels = ["temperature"]
at_surface = []
"""
CHANNELS = ("temperature_500", "temperature_850")
SCORES = ("background_rmse", "background_spread", "analysis_rmse", "analysis_spread", "free_rmse")


@pytest.fixture
def settings(tmp_path, monkeypatch) -> Settings:
    monkeypatch.setenv("WORK", str(tmp_path))
    return decode(TEXT, Settings, "test")


def cycles(settings: Settings, count: int, **given: float) -> list[Scores]:
    """Random scores of the first `count` times; those in `given` are the same at all times."""
    rng = np.random.default_rng(1)
    made = []
    for time in settings.experiment.times()[:count]:
        against = {name: rng.uniform(1, 2, (1, 2)) for name in SCORES if name != "free_rmse"}
        against |= {name: np.full((1, 2), value) for name, value in given.items()}
        made.append(Scores(time, 20, "truth", ("global",), CHANNELS, no_fit(), {}, against))
    return made


def test_scores_are_averages_over_the_last_half(settings):
    made = cycles(settings, 7)
    row = compare.of(settings, made, CHANNELS)
    for name in compare.SHOWN:
        for i, channel in enumerate(CHANNELS):
            slow = sum(made[number].against_truth[name][0, i] for number in (3, 4, 5, 6)) / 4
            assert row.scores[name, channel] == pytest.approx(slow)


def test_inflation_is_weighted_by_area(settings):
    made, space = cycles(settings, 2), settings.state.space(settings.grid.grid())
    levels = np.array([50_000.0, 85_000.0])
    one = np.ones(space.grid.shape)
    beta = np.stack([np.where(np.abs(space.grid.lat)[:, None] < 45, 3.0, 1.0) * one, one])
    field.write(settings.experiment.folder.at(made[1].time).inflation,
                Field("inflation", "1", space.grid, levels, beta, made[1].time))
    row = compare.of(settings, made, CHANNELS)
    tropics = np.sin(np.deg2rad(45.0))  # share of the sphere within 45 degrees
    assert row.inflation == pytest.approx((tropics * 3 + (1 - tropics) * 1 + 1) / 2)


def test_without_inflation_files_there_is_no_mean(settings):
    assert np.isnan(compare.of(settings, cycles(settings, 2), CHANNELS).inflation)


@pytest.mark.parametrize(("count", "given", "words"), [
    (7, {"analysis_rmse": 1.0, "free_rmse": 1.1}, "no"),
    (7, {"analysis_rmse": 1.2, "free_rmse": 1.1}, "2 of 2 channels worse than the climate"),
    (7, {"analysis_rmse": 1.0, "background_rmse": 0.9}, "2 of 2 channels worse than the climate"),
    (7, {"analysis_rmse": float("nan"), "free_rmse": 1.1}, "2 of 2 channels worse than the climate"),
    (5, {"analysis_rmse": 1.0, "free_rmse": 1.1}, "stopped after 5 of 7"),
])
def test_diverged_is_worse_than_the_climate_or_stopped(settings, count, given, words):
    assert compare.of(settings, cycles(settings, count, **given), CHANNELS).diverged == words


def test_the_tables_are_markdown_with_a_row_for_each_experiment(settings):
    made = cycles(settings, 7, analysis_rmse=1.25, analysis_spread=0.5)
    rows = [compare.of(settings, made, CHANNELS)] * 2
    lines = compare.markdown(rows, CHANNELS).splitlines()
    assert sum(line.startswith("| swept") for line in lines) == 2 * (1 + len(CHANNELS))
    assert {line.count("|") for line in lines if line.startswith("| swept")} == {5, 6}
    assert "temperature_500, K, last half" in lines


def test_months_are_kept_apart(settings):
    made = cycles(settings, 7, analysis_rmse=1.25, analysis_spread=0.5)
    later = [cycle for cycle in made if cycle.time.month == 2]
    assert later and later[0].time - made[0].time == timedelta(days=1)
    text = compare.monthly([compare.of(settings, made, CHANNELS)], CHANNELS[:1])
    assert "1990-01" in text and "1990-02" in text and text.count("1.25 / 0.500") == 2
    assert times.name(made[0].time).startswith("199001")


def without_truth(settings: Settings) -> list[Scores]:
    """Four cycles that only observations say anything of."""
    return [Scores(time, 20, "", ("global",), CHANNELS, fit.statistics(departures(number), LAYERS), {})
            for number, time in enumerate(settings.experiment.times()[:4])]


def test_without_a_truth_the_fit_to_observations_is_compared_withheld_ones_first(settings):
    rows = [compare.of(settings, without_truth(settings), CHANNELS)] * 2
    text = compare.markdown(rows, CHANNELS)
    titles = [line for line in text.splitlines() if line.endswith("last half")]
    assert titles == [f"{quantity.name}, {quantity.units}, {fate}, last half" for fate in ("withheld", "assimilated")
                      for quantity in (Quantity.u_component_of_wind, Quantity.temperature, Quantity.surface_pressure)]
    later = [departures(number) for number in (2, 3)]
    omb = np.concatenate([(table.value - table.background_mean)[(table.flag == Flag.withheld)
                                                                 & (table.quantity == Quantity.temperature)]
                          for table in later])
    table = text.split("temperature, K, withheld, last half")[1].split("\n\n")[1].splitlines()
    cells = [cell.strip() for cell in table[2].strip("|").split("|")]
    assert cells[:3] == ["swept", str(omb.size), compare.number(float(np.sqrt((omb**2).mean())))]
    assert "| stopped after 4 of 7 |" in text and "temperature_500" not in text


def test_nobody_knows_without_a_truth_whether_a_run_has_diverged(settings):
    assert compare.of(settings, [without_truth(settings)[0]] * 7, CHANNELS).diverged == "-"


def test_blocks_need_a_truth(settings):
    with pytest.raises(UserError, match="swept has none; name one in .verify. truth, or leave out --blocks"):
        blocks.markdown([blocks.Named("swept", without_truth(settings))], CHANNELS, 1, 0)
