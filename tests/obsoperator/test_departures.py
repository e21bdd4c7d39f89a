"""Every observation has exactly one fate, and only those fit for it reach the analysis."""

import itertools

import numpy as np
import pytest

from contracts.constants import SURFACE_PRESSURE_NOMINAL
from contracts.variables import Flag, Quantity
from obsoperator import departures
from obsoperator.departures import BackgroundCheck, FirstGuess, first_guess, strange_errors
from tests import builders

CHECK = BackgroundCheck(limit=3.0, against="total")


def guess(table, hx, ground=1e9, flag=Flag.passed, check=CHECK):
    hx = np.broadcast_to(np.asarray(hx, float), (len(table), 3))
    return first_guess(table, hx, np.full((len(table), 3), ground), np.full(len(table), flag, np.int8), check)


def test_innovation_and_perturbations_are_their_definitions():
    table = builders.observations([281.0, 275.0], error=[0.5, 2.0])
    used = guess(table, [[280.0, 282.0, 281.5], [274.0, 275.0, 276.0]]).used()
    np.testing.assert_allclose(used.d, [281.0 - 843.5 / 3, 0.0], atol=1e-12)
    np.testing.assert_allclose(used.Y[1], [-1.0, 0.0, 1.0])
    np.testing.assert_allclose(used.Y.mean(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(used.variance, [0.25, 4.0])


@pytest.mark.parametrize(("against", "limit"), [("observation", 3.0), ("total", 3.0 * np.sqrt(2.0))])
def test_gross_check(against, limit):
    """hx has mean 0 and standard deviation 1, as has the observation error."""
    table = builders.observations([0.99 * limit, 1.01 * limit, -0.99 * limit, -1.01 * limit])
    flags = guess(table, [-1.0, 0.0, 1.0], check=BackgroundCheck(limit=3.0, against=against)).table.flag
    assert flags.tolist() == [Flag.assimilated, Flag.gross_error, Flag.assimilated, Flag.gross_error]


def test_a_row_that_says_how_far_it_is_believed_is_judged_by_that():
    """However wide errors and spread are; the others by the check."""
    table = builders.observations([3.0, 3.1, 3.1], error=1.0, quantity=Quantity.temperature,
                                  largest_departure=np.array([3.0, 3.0, np.nan]))
    flags = guess(table, [-0.5, 0.0, 0.5]).table.flag
    assert flags.tolist() == [Flag.assimilated, Flag.gross_error, Flag.assimilated]


def test_rows_that_were_not_rejected_keep_the_fate_they_came_with():
    table = builders.observations(np.zeros(len(Flag)), flag=list(Flag))
    first = guess(table, [-1.0, 0.0, 1.0])
    expected = [Flag.assimilated if flag == Flag.passed else flag for flag in Flag]
    assert first.table.flag.tolist() == expected
    assert len(first.used()) == 2  # the one that passed and the one that came as assimilated
    assert sum(first.table.counts().values()) == len(table)


def test_a_humidity_shares_the_gross_error_of_the_temperature_beside_it():
    T, q = Quantity.temperature, Quantity.specific_humidity
    table = builders.observations([9.0, 0.0, 0.0, 0.0, 9.0], [T, q, q, q, q], report=[1, 1, 1, 2, 3],
                                  pressure=[7e4, 7e4, 6e4, 7e4, 7e4])
    check = BackgroundCheck(limit=3.0, error_bounds={"specific_humidity": (0.5, 2.0)})  # as if in g/kg
    flags = guess(table, [-1.0, 0.0, 1.0], check=check).table.flag.tolist()
    assert flags == [Flag.gross_error, Flag.gross_error, Flag.assimilated, Flag.assimilated, Flag.gross_error]
    near = guess(table.with_columns(value=np.zeros(5)), [-1.0, 0.0, 1.0], check=check)
    assert near.table.flag.tolist() == [Flag.assimilated] * 5


def test_withheld_rows_stand_the_same_trial():
    table = builders.observations([2.0, 9.0, 2.0], flag=Flag.withheld, pressure=[80_000.0, 80_000.0, 95_000.0])
    first = guess(table, [-1.0, 0.0, 1.0], ground=90_000.0)
    assert first.table.flag.tolist() == [Flag.withheld, Flag.gross_error, Flag.below_ground]
    assert len(first.used()) == 0


def test_a_reason_given_before_is_kept():
    table = builders.observations([9.0, 9.0], flag=[Flag.bad_mark, Flag.monitored])
    assert guess(table, [-1.0, 0.0, 1.0]).table.flag.tolist() == [Flag.bad_mark, Flag.monitored]


@pytest.mark.parametrize("flag", [Flag.withheld, Flag.monitored, Flag.bad_mark])
def test_rows_kept_from_the_analysis_are_compared_with_the_model(flag):
    first = guess(builders.observations([5.0], flag=flag), [1.0, 2.0, 3.0])
    departures = first.with_analysis(np.array([[2.0, 3.0, 4.0]]))
    assert departures.flag[0] == flag
    assert (departures.background_mean[0], departures.background_spread[0]) == (2.0, 1.0)
    assert (departures.analysis_mean[0], departures.analysis_spread[0]) == (3.0, 1.0)


@pytest.mark.parametrize(("columns", "hx", "flag", "fate"), [
    ({"error": np.nan}, 0.0, Flag.passed, Flag.missing_error),
    ({"error": 0.0}, 0.0, Flag.passed, Flag.missing_error),
    ({"error": 1e-12}, 0.0, Flag.passed, Flag.error_out_of_bounds),
    ({"error": np.inf}, 0.0, Flag.passed, Flag.error_out_of_bounds),
    ({"value": np.nan}, 0.0, Flag.passed, Flag.out_of_range),
    ({}, np.nan, Flag.no_model_field, Flag.no_model_field),
    ({}, np.nan, Flag.passed, Flag.no_model_field),
    ({}, [0.0, np.nan, 1.0], Flag.passed, Flag.no_model_field),
    ({"value": np.inf}, 0.0, Flag.passed, Flag.out_of_range),
    ({}, np.nan, Flag.out_of_domain, Flag.out_of_domain),
    ({"pressure": 90_001.0}, 0.0, Flag.passed, Flag.below_ground),
    ({"pressure": 90_000.0}, 0.0, Flag.passed, Flag.assimilated),
])
def test_reasons(columns, hx, flag, fate):
    table = builders.observations(**({"value": [0.0]} | columns))
    assert guess(table, hx, ground=90_000.0, flag=flag).table.flag.tolist() == [fate]


def test_rows_with_a_strange_error_are_named_the_first_ten_one_by_one():
    """Only those that stood trial: what came with a reason has it already."""
    table = builders.observations(np.zeros(15), Quantity.surface_pressure, pressure=98_760.0, station=b"72357   ",
                                  error=[100.0, *[1e-12] * 11, np.inf, np.nan, np.nan],
                                  flag=[*[Flag.passed] * 14, Flag.missing_error])
    flags = guess(table, [-1.0, 0.0, 1.0]).table.flag
    assert flags.tolist() == [Flag.assimilated, *[Flag.error_out_of_bounds] * 12, *[Flag.missing_error] * 2]
    lines = strange_errors(table, flags, BackgroundCheck())
    assert lines[0] == ("row 1, surface_pressure of station 72357 at 987.6 hPa: expected an error of 1 to 4500 Pa, got "
                        "1e-12; it is not used")
    assert lines[10:] == ["and 3 more rows with such an error"]


def test_surface_quantities_stand_at_the_nominal_pressure_of_surface_channels():
    table = builders.observations(np.zeros(3), pressure=70_000.0, quantity=[
        Quantity.temperature, Quantity.surface_pressure, Quantity.u_component_of_wind_10m])
    assert guess(table, 0.0).used().pressure.tolist() == [70_000.0, SURFACE_PRESSURE_NOMINAL, SURFACE_PRESSURE_NOMINAL]


def test_the_rank_counts_the_members_below_the_observed_value():
    """With hardly any observation error the draws do not matter."""
    table = builders.observations([0.5, -3.0, 3.0, 0.5, 0.5], error=1e-6,
                                  flag=[Flag.passed, Flag.withheld, Flag.monitored, Flag.bad_mark, Flag.passed])
    first = guess(table, [[-1.0, 0.0, 1.0]] * 4 + [[np.nan] * 3],
                  check=BackgroundCheck(limit=1e9, error_bounds={"temperature": (1e-6, 1.0)}))
    assert first.with_analysis(first.hx).background_rank.tolist() == [2, 0, 3, -1, -1]


def test_ranks_are_uniform_where_observation_and_members_are_drawn_alike():
    rng, nobs, k = np.random.default_rng(0), 20_000, 7
    truth, error = rng.standard_normal((nobs, k + 1)), 0.8
    table = builders.observations(truth[:, 0] + error * rng.standard_normal(nobs), error=error)
    first = first_guess(table, truth[:, 1:], np.full((nobs, k), 1e9), np.zeros(nobs, np.int8),
                        BackgroundCheck(limit=1e9), seed=(1, 2))
    share = np.bincount(first.rank, minlength=k + 1) / nobs
    np.testing.assert_allclose(share, 1 / (k + 1), atol=5 * np.sqrt(1 / (k + 1) / nobs))


def test_draws_belong_to_the_row_and_the_seed():
    table = builders.observations(np.zeros(6))
    hx = np.random.default_rng(1).standard_normal((6, 3))

    def noise(flags, seed):
        first = first_guess(table.with_columns(flag=np.array(flags)), hx, np.full((6, 3), 1e9), np.zeros(6, np.int8),
                            BackgroundCheck(limit=1e9), seed)
        return first.used(with_noise=True).noise

    passed, bad = Flag.passed, Flag.bad_mark
    everything = noise([passed] * 6, (1, 2))
    assert everything.shape == (6, 3) and guess(table, [-1.0, 0.0, 1.0]).used().noise is None
    assert np.array_equal(noise([passed, bad, passed, passed, bad, passed], (1, 2)), everything[[0, 2, 3, 5]])
    assert not np.array_equal(noise([passed] * 6, (1, 3)), everything)


def test_rows_of_a_longer_table_draw_what_they_do_in_the_whole(monkeypatch):
    """Wherever it is cut, in and between the blocks that are drawn together; the first block is as if there were no
    others, so that short tables have the draws that they always had."""
    monkeypatch.setattr(departures, "_DRAWN_TOGETHER", 8)
    monkeypatch.setattr(departures, "_DRAWN_AT_ONCE", 3)
    k, seed, rng = 5, (1, 2), np.random.default_rng(0)
    flag = rng.choice([Flag.assimilated, Flag.bad_mark, Flag.withheld], 30)
    whole = FirstGuess(builders.observations(rng.standard_normal(30), flag=flag), rng.standard_normal((30, k)), seed)
    noise = whole.used(with_noise=True).noise
    alone = np.random.default_rng((*seed, 2)).standard_normal((8, k), dtype=np.float32)
    assert np.array_equal(noise[: np.count_nonzero(flag[:8] == Flag.assimilated)], alone[flag[:8] == Flag.assimilated])
    for cuts in ([0, 30], [0, 8, 16, 30], [0, 1, 7, 23, 24, 30]):
        compared, parts = 0, []
        for start, stop in itertools.pairwise(cuts):
            rows = slice(start, stop)
            parts.append(FirstGuess(whole.table.select(rows), whole.hx[rows], seed, None, start, compared))
            compared += parts[-1].compared.size
        assert np.array_equal(np.concatenate([part.used(with_noise=True).noise for part in parts]), noise)
        assert np.array_equal(np.concatenate([part.rank for part in parts]), whole.rank)


def test_a_humidity_is_condemned_by_a_temperature_among_the_rows_of_another():
    table = builders.observations([900.0, 0.01], [Quantity.temperature, Quantity.specific_humidity], error=[1, 1e-3],
                                  report=7)
    hx, found = np.array([[280.0, 281.0, 282.0], [0.009, 0.010, 0.011]]), []

    def fate(row, of_all):
        rows = slice(row, row + 1)
        return first_guess(table.select(rows), hx[rows], np.full((1, 3), 1e9), np.zeros(1, np.int8), BackgroundCheck(),
                           of_all=of_all).table.flag[0]

    assert fate(0, lambda of_these: found.append(of_these) or of_these) == Flag.gross_error
    assert fate(1, lambda of_these: of_these) == Flag.assimilated
    assert fate(1, lambda of_these: np.append(of_these, found)) == Flag.gross_error


def test_an_empty_table_is_no_special_case():
    first = guess(builders.observations(np.empty(0)), np.empty((0, 3)))
    assert len(first.used()) == len(first.with_analysis(np.empty((0, 3)))) == 0
