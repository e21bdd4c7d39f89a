"""Laws of the local analysis: it is the Kalman filter in ensemble space."""

import numpy as np
import pytest

from letkf_mpi.solvers import Hybrid, Letkf, LocalProblem, PerturbedObservations
from tests.letkf_mpi.problems import close, problem, rows


@pytest.mark.parametrize("inflation", [1.0, 1.3])
def test_equals_the_kalman_filter(inflation):
    """xᵃ = xᵇ + K d and Pᵃ = (I − K H) β Pᵇ with K = βPᵇHᵀ (H βPᵇ Hᵀ + R)⁻¹, in a dense case without localisation."""
    rng = np.random.default_rng(1)
    n, p, k = 6, 4, 9
    X = rng.standard_normal((n, k))
    X -= X.mean(axis=1, keepdims=True)
    H, d, variance = rng.standard_normal((p, n)), rng.standard_normal(p), rng.uniform(0.5, 2.0, p)
    P = inflation * X @ X.T / (k - 1)
    gain = P @ H.T @ np.linalg.inv(H @ P @ H.T + np.diag(variance))

    weights = Letkf().solve(LocalProblem(H @ X, d, variance, np.ones(p), inflation))

    np.testing.assert_allclose(X @ weights.mean, gain @ d, rtol=1e-10)
    Xa = X @ weights.perturbations
    np.testing.assert_allclose(Xa @ Xa.T / (k - 1), (np.eye(n) - gain @ H) @ P, rtol=1e-9, atol=1e-12)


def test_taper_divides_the_error_variance():
    whole = problem()
    close(Letkf().solve(whole),
          Letkf().solve(problem(variance=whole.variance / whole.taper, taper=np.ones(whole.p))))


@pytest.mark.parametrize("inflation", [1.0, 1.21])
def test_worthless_observations_give_the_identity(inflation):
    weights = Letkf().solve(problem(variance=np.full(7, 1e30), inflation=inflation))
    np.testing.assert_allclose(weights.mean, 0, atol=1e-15)
    np.testing.assert_allclose(weights.perturbations, np.sqrt(inflation) * np.eye(5), atol=1e-12)


def test_no_observations_give_exactly_the_identity():
    weights = Letkf().solve(rows(problem(inflation=1.0), slice(0)))
    assert not weights.mean.any()
    assert np.array_equal(weights.perturbations, np.eye(5))


def test_the_labelled_ablation_collapses_the_ensemble_where_there_is_no_observation():
    weights = Letkf(noobs_transform="allones").solve(rows(problem(inflation=1.21), slice(0)))
    assert (weights.perturbations == np.sqrt(1.21)).all()
    close(Letkf(noobs_transform="allones").solve(problem()), Letkf().solve(problem()))


def test_perturbations_keep_zero_mean_and_the_transform_is_symmetric():
    weights = Letkf().solve(problem(p=40, k=20, inflation=1.1))
    np.testing.assert_allclose(weights.perturbations @ np.ones(20), np.sqrt(1.1) * np.ones(20), rtol=1e-12)
    np.testing.assert_allclose(weights.perturbations, weights.perturbations.T, atol=1e-13)


def test_order_of_observations_is_irrelevant_to_rounding():
    whole = problem(p=50)
    close(Letkf().solve(whole), Letkf().solve(rows(whole, np.random.default_rng(2).permutation(50))))


def test_two_equal_observations_are_one_of_half_the_variance():
    one = problem(p=6)
    twice = rows(one, [0, 1, 2, 3, 4, 5, 0])
    halved = LocalProblem(one.Y, one.d, one.variance * np.where(np.arange(6) == 0, 0.5, 1.0), one.taper, 1.0)
    close(Letkf().solve(twice), Letkf().solve(halved))


@pytest.mark.parametrize("inflation", [1.0, 1.3])
@pytest.mark.parametrize("solver", [Letkf(), PerturbedObservations(), Hybrid(share=0.0), Hybrid(share=0.4)])
def test_degrees_of_freedom_for_signal_are_the_trace_of_the_gain(solver, inflation):
    """tr(H K) with the dense gain of the background covariance that the solver has, the tapered one as R/ρ."""
    static = problem(seed=3, k=8).Y if solver.needs_static else None
    local = problem(inflation=inflation, noise=np.zeros((7, 5)), static=static)
    P = inflation * local.Y @ local.Y.T / 4
    if static is not None:
        P = (1 - solver.share) * P + solver.share * static @ static.T / 7
    assert solver.has_signal
    assert solver.solve(local).signal == pytest.approx(np.trace(P @ np.linalg.inv(P + np.diag(1 / local.rinv))))


def test_a_perfect_observation_is_fitted():
    whole = problem(p=1, variance=np.array([1e-12]), taper=np.ones(1), d=np.array([0.7]))
    weights = Letkf().solve(whole)
    np.testing.assert_allclose(whole.Y @ weights.mean, 0.7, rtol=1e-9)
    np.testing.assert_allclose(whole.Y @ weights.perturbations, 0, atol=1e-5)
