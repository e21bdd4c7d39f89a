"""Adaptive relaxation gives the spread that the innovations ask for, and keeps its field."""

import numpy as np
import pytest

from contracts.relaxation import rtpp, rtps
from letkf_mpi.local.adaptive_relaxation import AdaptiveRtpp, AdaptiveRtps, Traces, rtpp_estimate, rtps_estimate
from letkf_mpi.solvers import Letkf
from letkf_mpi.solvers.hybrid import Hybrid
from tests.letkf_mpi.problems import problem, rows

METHODS = [(AdaptiveRtpp, rtpp_estimate), (AdaptiveRtps, rtps_estimate)]


def trace(local, Y):
    """Σ ρ/R Y²/(k−1), observation by observation."""
    return sum(local.taper[i] / local.variance[i] * (Y[i] ** 2).sum() for i in range(local.p)) / (local.k - 1)


def traces_with(target: float) -> tuple:
    local = problem(p=8)
    weights = Letkf().solve(local)
    found = Traces.of(local, weights)
    return local, local.Y @ weights.perturbations, Traces(found.background, found.analysis, found.cross, target)


def test_traces_are_their_sums():
    local = problem(p=8)
    weights = Letkf().solve(local)
    Ya, increment = local.Y @ weights.perturbations, local.Y @ weights.mean
    found = Traces.of(local, weights)
    assert found.background == pytest.approx(trace(local, local.Y))
    assert found.analysis == pytest.approx(trace(local, Ya))
    assert trace(local, local.Y + Ya) == pytest.approx(found.background + 2 * found.cross + found.analysis)
    assert found.target == pytest.approx(
        sum(local.taper[i] / local.variance[i] * increment[i] * (local.d[i] - increment[i]) for i in range(8)))


@pytest.mark.parametrize("share", [0.2, 0.6, 1.0])
def test_rtpp_with_the_estimate_has_the_spread_asked_for(share):
    local, Ya, known = traces_with(0.0)
    target = (1 - share) * known.analysis + share * known.background
    alpha = rtpp_estimate(Traces(known.background, known.analysis, known.cross, target))
    assert trace(local, rtpp(local.Y, Ya, alpha)) == pytest.approx(target)
    assert 0 < alpha <= 1 + 1e-12


@pytest.mark.parametrize("share", [0.2, 0.6, 1.0])
def test_rtps_with_the_estimate_has_the_spread_asked_for(share):
    """One observation: the ratio of the spreads is the same everywhere there, as the estimate takes it to be."""
    local = problem(p=1)
    weights = Letkf().solve(local)
    known, Ya = Traces.of(local, weights), local.Y @ weights.perturbations
    target = (1 - share) * known.analysis + share * known.background
    alpha = rtps_estimate(Traces(known.background, known.analysis, known.cross, target))
    assert trace(local, rtps(local.Y.T[:, None], Ya.T[:, None], alpha)[:, 0].T) == pytest.approx(target)


@pytest.mark.parametrize("estimate", [rtpp_estimate, rtps_estimate])
def test_it_settles_where_the_analysis_has_the_spread_of_its_error(estimate):
    """Innovations drawn from Y Yᵀ/(k−1) + R: the optimal analysis needs no relaxation; from more, it does."""
    rng = np.random.default_rng(0)
    found = {}
    for truth in (1.0, 2.0):
        sums = np.zeros(4)
        for _ in range(400):
            Y = rng.standard_normal((20, 8))
            Y -= Y.mean(axis=1, keepdims=True)
            d = np.sqrt(truth / 7) * Y @ rng.standard_normal(8) + rng.standard_normal(20)
            local = problem(Y=Y, d=d, variance=np.ones(20), taper=np.ones(20))
            one = Traces.of(local, Letkf().solve(local))
            sums += [one.background, one.analysis, one.cross, one.target]
        found[truth] = estimate(Traces(*sums))
    assert abs(found[1.0]) < 0.05
    assert found[2.0] > 0.1


@pytest.mark.parametrize(("method", "estimate"), METHODS)
def test_smoothing_and_bounds(method, estimate):
    local = problem(p=8)
    weights = Letkf().solve(local)
    found = estimate(Traces.of(local, weights))
    wide = method(minimum=0.0, maximum=2.0, smoothing=0.1)
    assert wide.update(0.7, local, weights) == pytest.approx(np.clip(0.7 + 0.1 * (found - 0.7), 0, 2))
    far = problem(p=8, d=30 * local.d)
    weights = Letkf().solve(far)
    assert method(smoothing=1.0, maximum=0.95).update(0.9, far, weights) == 0.95
    none = problem(p=8, d=0 * local.d)
    assert method(smoothing=1.0, minimum=0.3).update(0.9, none, Letkf().solve(none)) == 0.3
    with pytest.raises(ValueError, match="minimum <= initial <= maximum"):
        method(initial=0.2, minimum=0.5)


@pytest.mark.parametrize("method", [AdaptiveRtpp, AdaptiveRtps])
def test_it_stays_without_observations_or_without_spread(method):
    local = problem()
    nothing, flat = rows(local, slice(0)), problem(Y=0 * local.Y)
    assert method().update(0.8, nothing, Letkf().solve(nothing)) == 0.8
    assert method().update(0.8, flat, Letkf().solve(flat)) == 0.8


def test_a_field_of_alpha_relaxes_each_point_by_its_own():
    Xb, Xa = np.random.default_rng(1).standard_normal((2, 5, 3, 4))
    alpha = np.random.default_rng(2).uniform(0, 1, (3, 4))
    for method, one in ((AdaptiveRtpp(), rtpp), (AdaptiveRtps(), rtps)):
        whole = method.relax(Xb, Xa, alpha)
        np.testing.assert_array_equal(whole[:, 1:2, 2:3], one(Xb[:, 1:2, 2:3], Xa[:, 1:2, 2:3], alpha[1, 2]))


def test_weights_with_static_columns_have_traces_too():
    local = problem(p=8, static=problem(p=8, seed=3).Y)
    found = Traces.of(local, Hybrid(share=0.0).solve(local))
    exact = Traces.of(problem(p=8), Letkf().solve(problem(p=8)))
    np.testing.assert_allclose(list(vars(found).values()), list(vars(exact).values()), rtol=1e-10)
