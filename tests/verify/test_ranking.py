"""Intervals by the bootstrap against exact ones, and places against the differences that they stand for."""

import itertools

import numpy as np
import pytest
from scipy.stats import norm, t

from verify import bootstrap, ranking


def test_of_five_blocks_the_interval_is_that_of_all_draws_there_are():
    values = np.array([0.3, -1.0, 2.0, 0.7, 1.1])
    means = np.sort([np.mean(draw) for draw in itertools.product(values, repeat=5)])
    tail = norm.cdf(-np.sqrt(5 / 4) * t.ppf(0.975, 4))
    low, high = bootstrap.interval(values)
    # Between the neighbours of the quantile in the exact distribution, as far as 20 000 draws tell.
    slack = 3 * np.sqrt(tail / bootstrap.DRAWS)
    assert np.quantile(means, max(tail - slack, 0)) <= low <= np.quantile(means, tail + slack)
    assert np.quantile(means, 1 - tail - slack) <= high <= np.quantile(means, min(1 - tail + slack, 1))


def test_of_many_blocks_it_is_the_interval_of_the_normal_distribution():
    values = np.random.default_rng(1).standard_normal(400)
    low, high = bootstrap.interval(values)
    half = t.ppf(0.975, 399) * values.std(ddof=1) / 20
    assert low == pytest.approx(values.mean() - half, abs=0.05 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.05 * half)


def test_it_covers_the_mean_as_often_as_five_blocks_can():
    values = np.random.default_rng(2).standard_normal((5, 1000))
    low, high = bootstrap.interval(values)
    assert ((low <= 0) & (high >= 0)).mean() == pytest.approx(0.92, abs=0.03)


def test_what_moves_the_same_way_in_every_block_is_distinguished_however_much_the_blocks_differ():
    weather = np.array([1.0, 30.0, -7.0, 12.0, 100.0])
    low, high = bootstrap.interval(np.stack([weather, weather + 0.1], axis=1) - weather[:, None])
    assert (low[0], high[0]) == (0, 0)
    assert low[1] == pytest.approx(0.1) and high[1] == pytest.approx(0.1)


def test_the_same_blocks_have_the_same_interval_alone_or_beside_others():
    values = np.random.default_rng(3).standard_normal((6, 3))
    np.testing.assert_array_equal(bootstrap.interval(values)[:, 1], bootstrap.interval(values[:, 1]))


def test_a_single_block_has_no_interval():
    with pytest.raises(ValueError, match="at least two, got 1"):
        bootstrap.interval(np.ones(1))


def test_places_follow_the_differences_that_leave_out_zero():
    weather = np.array([5.0, 1.0, 9.0, 4.0, 7.0])
    noise = np.array([0.3, -0.4, 0.2, 0.1, -0.3])
    values = np.stack([weather, weather + noise, weather - 3, weather + 8])
    first, second, best, worst = ranking.places(values)
    assert str(best) == "1" and best.equals == ()
    assert str(first) == str(second) == "2 to 3"
    assert first.equals == (1,) and second.equals == (0,)
    assert str(worst) == "4" and worst.equals == ()
    assert ranking.order(values) == [2, 1, 0, 3]


def test_too_few_blocks_or_a_missing_one_have_no_rank():
    with pytest.raises(ValueError, match="at least 5 blocks, got 4"):
        ranking.places(np.ones((2, 4)))
    with pytest.raises(ValueError, match="every block"):
        ranking.places(np.full((2, 5), np.nan))
