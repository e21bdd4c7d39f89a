"""The tables of a sweep against the definitions, computed slowly."""

from dataclasses import replace
from datetime import timedelta

import msgspec
import numpy as np
import pytest

from contracts import field, observations, times
from contracts.config import decode
from contracts.errors import UserError
from contracts.field import Field
from contracts.observations import Source
from contracts.variables import Flag, Quantity
from tests.verify.case import LAYERS, departures, no_fit
from verify import blocks, common, compare, fit
from verify.config import Settings
from verify.score_file import Scores
from verify.summary import number

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


def test_humidity_and_pressure_are_told_as_people_read_them(settings):
    channels = ("specific_humidity_500", "surface_pressure")
    made = [replace(cycle, channels=channels) for cycle in cycles(settings, 7, analysis_rmse=2e-4, background_rmse=150)]
    row = compare.of(settings, made, channels)
    two_days = [replace(made[0], time=made[0].time + number * settings.experiment.step) for number in range(8)]
    blocked = blocks.markdown([blocks.Named("swept", two_days)], channels, 1, 0)
    for text in (compare.markdown([row], channels), compare.monthly([row], channels), blocked):
        assert "specific_humidity_500, g kg-1" in text and "surface_pressure, hPa" in text
    assert cells(compare.markdown([row], channels), "specific_humidity_500, g kg-1, last half")[0][3] == "0.200"
    assert cells(compare.markdown([row], channels), "surface_pressure, hPa, last half")[0][1] == "1.50"
    assert cells(blocked, "specific_humidity_500, g kg-1")[0][2].startswith("0.2 ±")
    assert cells(blocked, "surface_pressure, hPa")[0][1].startswith("1.5 ±")


def test_months_are_kept_apart(settings):
    made = cycles(settings, 7, analysis_rmse=1.25, analysis_spread=0.5)
    later = [cycle for cycle in made if cycle.time.month == 2]
    assert later and later[0].time - made[0].time == timedelta(days=1)
    text = compare.monthly([compare.of(settings, made, CHANNELS)], CHANNELS[:1])
    assert "1990-01" in text and "1990-02" in text and text.count("1.25 / 0.500") == 2
    assert times.name(made[0].time).startswith("199001")


def without_truth(settings: Settings, name: str = "swept", rejected: float = np.inf) -> compare.Summary:
    """Of four cycles that only observations say anything of; the analysis `rejected` what departs by more."""
    experiment = msgspec.structs.replace(settings.experiment, name=name)
    found = []
    for seed, time in enumerate(experiment.times()[:4]):
        table = departures(seed)
        far = np.abs(table.value - table.background_mean) > rejected
        table = table.with_columns(flag=np.where(far, Flag.gross_error, table.flag))
        observations.write(experiment.folder.at(time).departures, table, Source(time, (time, time + experiment.step)))
        found.append(Scores(time, 20, "", ("global",), CHANNELS, fit.statistics(table, LAYERS), {}))
    return compare.of(msgspec.structs.replace(settings, experiment=experiment), found, CHANNELS)


def cells(text: str, title: str) -> list[list[str]]:
    """Of the table below that title."""
    lines = text.split(title + "\n\n")[1].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def omb(flag: Flag, quantity: Quantity, within: float = np.inf) -> np.ndarray:
    """O-B of the last half of the cycles."""
    tables = [departures(number) for number in (2, 3)]
    found = np.concatenate([(table.value - table.background_mean)[(table.flag == flag) & (table.quantity == quantity)]
                            for table in tables])
    return found[np.abs(found) <= within]


def test_without_a_truth_the_fit_to_observations_is_compared_withheld_ones_first(settings):
    text = compare.markdown([without_truth(settings)] * 2, CHANNELS)
    titles = [line for line in text.splitlines() if line.endswith("last half")]
    assert titles == [f"{quantity.name}, {units}, {fate}, last half" for fate in ("withheld", "assimilated")
                      for quantity, units in ((Quantity.u_component_of_wind, "m s-1"), (Quantity.temperature, "K"),
                                              (Quantity.surface_pressure, "hPa"))]
    expected = omb(Flag.withheld, Quantity.temperature)
    for row in cells(text, "temperature, K, withheld, last half"):
        assert row[:4] == ["swept", str(expected.size), str(expected.size), number(np.sqrt((expected**2).mean()))]
    pascals = omb(Flag.assimilated, Quantity.surface_pressure)
    row = cells(text, "surface_pressure, hPa, assimilated, last half")[0]
    assert row[3] == number(np.sqrt((pascals**2).mean()) / 100)
    assert "| stopped after 4 of 7 |" in text and "temperature_500" not in text


def test_who_rejects_what_he_fits_badly_is_no_better_for_it(settings):
    """Two experiments with the same departures, one of which drops the large ones: over common rows they are alike."""
    whole, choosy = without_truth(settings), without_truth(settings, "choosy", rejected=1.0)
    text = compare.markdown([whole, choosy], CHANNELS)
    all_of_it, kept = (omb(Flag.assimilated, Quantity.temperature, most) for most in (np.inf, 1.0))
    first, second = cells(text, "temperature, K, assimilated, last half")
    assert 0 < kept.size < all_of_it.size
    assert first == ["swept", str(kept.size), str(all_of_it.size), *first[3:]]
    assert second == ["choosy", str(kept.size), str(kept.size), *first[3:]]
    assert first[3] == number(np.sqrt((kept**2).mean())) and "at the 2 times" in text


def test_rows_are_known_again_in_another_order_and_twins_one_by_one():
    table = departures(5)
    twice = table.select(np.array([3, 8, 3, 8, 8, 2]))
    other = table.select(np.array([2, 8, 5, 3, 8]))
    first, second = common.rows([twice, other])
    assert len(first) == len(second) == 4  # 2, 3 and two of the three of 8
    for name in common.KEYS:
        np.testing.assert_array_equal(getattr(twice.select(first), name), getattr(other.select(second), name))
    assert len(set(first)) == len(set(second)) == 4


def test_experiments_that_share_no_time_have_no_rows_in_common(settings):
    one, other = without_truth(settings), without_truth(settings, "other")
    text = compare.markdown([one, replace(other, departures={})], CHANNELS)
    assert "at the 0 times" in text
    assert {row[1] for row in cells(text, "temperature, K, withheld, last half")} == {"0"}


def test_no_row_in_common_is_no_error():
    first, second = common.rows([departures(1), departures(2)])
    assert first.size == second.size == 0
    assert len(fit.statistics(departures(1).select(first), common.WHOLE_HPA)) == 0


def test_nobody_knows_without_a_truth_whether_a_run_has_diverged(settings):
    found = list(without_truth(settings).cycles)[:1] * 7
    assert compare.of(settings, found, CHANNELS).diverged == "-"


def test_blocks_need_a_truth(settings):
    with pytest.raises(UserError, match="swept has none; name one in .verify. truth, or leave out --blocks"):
        blocks.markdown([blocks.Named("swept", without_truth(settings).cycles)], CHANNELS, 1, 0)
