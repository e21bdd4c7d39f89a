"""Adaptive inflation against a scalar loop over Miyoshi (2011), and the laws of a field that is carried."""

import numpy as np
import pytest

from contracts.errors import UserError
from letkf_mpi.local.inflation import Adaptive, Constant
from tests.letkf_mpi.problems import problem, rows


def slow(local, settings):
    """Observation by observation, member by member."""
    p1 = p2 = p3 = 0.0
    for i in range(local.p):
        p1 += local.taper[i] * local.d[i] ** 2 / local.variance[i]
        p2 += local.taper[i] / local.variance[i] * sum(y * y for y in local.Y[i]) / (local.k - 1)
        p3 += local.taper[i]
    observed = (p1 - p3) / p2
    variance = 2.0 / p3 * ((local.inflation * p2 + p3) / p2) ** 2
    gain = settings.prior_sd**2 / (variance + settings.prior_sd**2)
    return min(max(local.inflation + gain * (observed - local.inflation), settings.minimum), settings.maximum)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("prior_sd", [0.04, 1.0])
def test_adaptive_is_the_slow_loop(seed, prior_sd):
    settings = Adaptive(prior_sd=prior_sd)
    local = problem(p=30, inflation=1.05, seed=seed)
    assert settings.update(local) == pytest.approx(slow(local, settings), rel=1e-12)


def test_large_innovations_raise_it_and_small_ones_lower_it():
    local = problem(p=50, inflation=1.2)
    large, small = problem(p=50, inflation=1.2, d=10 * local.d), problem(p=50, inflation=1.2, d=0 * local.d)
    assert Adaptive().update(large) > 1.2 > Adaptive().update(small)


def test_it_settles_where_innovations_agree_with_the_spread():
    """With d drawn from β HPHᵀ + R for β = 1.5, the estimate goes to 1.5."""
    rng, beta = np.random.default_rng(0), 1.0
    for _ in range(200):
        Y = rng.standard_normal((300, 10))
        Y -= Y.mean(axis=1, keepdims=True)
        variance = np.ones(300)
        d = rng.standard_normal(300) * np.sqrt(1.5 * Y.var(axis=1, ddof=1) + variance)
        beta = Adaptive().update(problem(Y=Y, d=d, variance=variance, taper=np.ones(300), inflation=beta))
    assert beta == pytest.approx(1.5, abs=0.05)


def test_bounds_hold():
    settings = Adaptive(prior_sd=10.0, minimum=0.95, maximum=1.3)
    local = problem(p=20)
    assert settings.update(problem(p=20, d=100 * local.d)) == 1.3
    assert settings.update(problem(p=20, d=0 * local.d)) == 0.95


def test_it_stays_without_observations_or_without_spread():
    local = problem(inflation=1.07)
    assert Adaptive().update(rows(local, slice(0))) == 1.07
    assert Adaptive().update(problem(Y=0 * local.Y, inflation=1.07)) == 1.07


def test_constant_factors():
    levels = np.array([50_000.0, 85_000.0])
    assert Constant(factor=1.1).start(levels).tolist() == [1.1, 1.1]
    assert Constant(factor=(1.1, 1.2)).start(levels).tolist() == [1.1, 1.2]
    assert Constant(factor=1.1).update(problem(inflation=1.1)) == 1.1
    with pytest.raises(UserError, match="expected one number or 2 for the analysis levels 500, 850 hPa, got 3"):
        Constant(factor=(1.0, 1.0, 1.0)).start(levels)
