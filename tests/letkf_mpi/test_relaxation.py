"""Relaxation restores what it relaxes to."""

import numpy as np
import pytest

from contracts.relaxation import spread
from letkf_mpi.local.relaxation import NoRelaxation, Rtpp, Rtps
from letkf_mpi.solvers import Letkf
from tests.letkf_mpi.problems import problem


def perturbations(scale, seed, k=6):
    X = scale * np.random.default_rng(seed).standard_normal((k, 3, 5))
    return X - X.mean(axis=0)


Xb, Xa = perturbations(2.0, 1), perturbations(0.7, 2)


def test_rtps_of_one_restores_the_spread():
    np.testing.assert_allclose(spread(Rtps().relax(Xb, Xa, 1.0)), spread(Xb), rtol=1e-13)


def test_rtpp_of_one_restores_the_perturbations():
    assert np.array_equal(Rtpp().relax(Xb, Xa, 1.0), Xb)


@pytest.mark.parametrize("method", [Rtpp(), Rtps(), NoRelaxation()])
def test_of_zero_keeps_the_analysis(method):
    np.testing.assert_allclose(method.relax(Xb, Xa, 0.0), Xa, rtol=1e-15)


@pytest.mark.parametrize("alpha", [0.5, 0.9, 1.2])
def test_rtps_moves_the_spread_linearly(alpha):
    expected = (1 - alpha) * spread(Xa) + alpha * spread(Xb)
    np.testing.assert_allclose(spread(Rtps().relax(Xb, Xa, alpha)), expected, rtol=1e-12)


@pytest.mark.parametrize("method", [Rtpp(), Rtps()])
def test_the_mean_stays_zero(method):
    np.testing.assert_allclose(method.relax(Xb, Xa, 0.9).mean(axis=0), 0, atol=1e-14)


def test_rtps_leaves_a_point_without_spread_alone():
    flat = Xa.copy()
    flat[:, 1, 2] = 0.0
    relaxed = Rtps().relax(Xb, flat, 1.2)
    assert np.isfinite(relaxed).all() and not relaxed[:, 1, 2].any()


def test_spread_is_the_sample_standard_deviation():
    np.testing.assert_allclose(spread(Xb), np.std(Xb, axis=0, ddof=1), rtol=1e-13)


def test_alpha_is_that_of_the_settings_at_all_levels_and_times():
    levels = np.array([50_000.0, 85_000.0])
    assert Rtpp(alpha=0.7).start(levels).tolist() == [0.7, 0.7] and Rtps(alpha=1.1).start(levels).tolist() == [1.1, 1.1]
    local = problem()
    assert Rtpp(alpha=0.7).update(0.7, local, Letkf().solve(local)) == 0.7
