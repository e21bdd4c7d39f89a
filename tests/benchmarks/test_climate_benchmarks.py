"""What the benchmarks of the climate count: means, waves, dates."""

from datetime import timedelta

import numpy as np
import pytest

from tests import builders
from tests.benchmarks import free_climate, guided_analyses


def test_the_power_of_all_zonal_waves_is_the_variance():
    """Parseval, by area; a pure wave stands where it belongs."""
    space = builders.space()
    rng = np.random.default_rng(1)
    x = rng.standard_normal(space.shape)
    x[0] = 3.0 + 2.0 * np.cos(3 * np.deg2rad(space.grid.lon))
    kept = free_climate.Kept.of(space, [(builders.TIME, x)])
    weights = space.grid.area_weights / space.grid.size
    np.testing.assert_allclose(kept.means[0], (x * weights).sum(axis=(1, 2)), rtol=1e-12)
    twice = np.where(2 * np.arange(kept.power.shape[-1]) % space.grid.lon.size == 0, 1, 2)
    np.testing.assert_allclose((kept.power[0] * twice).sum(axis=-1), (x**2 * weights).sum(axis=(1, 2)), rtol=1e-12)
    assert kept.power[0, 0, 3] == pytest.approx(1.0) and kept.power[0, 0, 0] == pytest.approx(9.0)
    assert kept.power[0, 0, [1, 2, 4]].max() < 1e-25


def test_dates_are_each_once_and_any_beginning_of_them_is_spread_over_the_year():
    found = guided_analyses.dates(builders.TIME, builders.TIME + timedelta(days=360), 30)
    assert sorted(found) == [builders.TIME + timedelta(days=12 * number) for number in range(30)]
    begun = sorted(found[:10])
    assert max(b - a for a, b in zip(begun, begun[1:], strict=False)) <= timedelta(days=72)
