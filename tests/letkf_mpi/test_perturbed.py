"""The hybrid with perturbed observations: the LETKF's mean at every share, its covariance in expectation."""

import numpy as np
import pytest

from letkf_mpi.solvers import Letkf
from letkf_mpi.solvers.perturbed import PerturbedObservations
from tests.letkf_mpi.problems import close, problem, rows

SHARES = [0.0, 0.3, 1.0]


def draws(p: int, k: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((p, k))


@pytest.mark.parametrize("inflation", [1.0, 1.3])
def test_no_share_of_noise_is_the_letkf(inflation):
    local = problem(p=9, inflation=inflation, noise=draws(9, 5, 1))
    close(PerturbedObservations(share=0.0).solve(local), Letkf().solve(local))


@pytest.mark.parametrize("share", SHARES)
def test_the_mean_is_the_letkfs_and_perturbations_keep_zero_mean(share):
    local = problem(p=9, inflation=1.2, noise=draws(9, 5, 2))
    weights = PerturbedObservations(share=share).solve(local)
    np.testing.assert_allclose(weights.mean, Letkf().solve(local).mean, rtol=1e-10)
    np.testing.assert_allclose(weights.perturbations @ np.ones(5), np.sqrt(1.2) * np.ones(5), rtol=1e-12)


def test_all_noise_is_the_filter_with_perturbed_observations():
    """xᵃ_i = xᵇ_i + K (y + e_i − H xᵇ_i), each member with its own observations, in state space."""
    rng = np.random.default_rng(3)
    n, p, k = 6, 4, 9
    X = rng.standard_normal((n, k))
    X -= X.mean(axis=1, keepdims=True)
    H, d, variance = rng.standard_normal((p, n)), rng.standard_normal(p), rng.uniform(0.5, 2.0, p)
    noise = draws(p, k, 4)
    E = np.sqrt(variance)[:, None] * (noise - noise.mean(axis=1, keepdims=True))
    P = X @ X.T / (k - 1)
    gain = P @ H.T @ np.linalg.inv(H @ P @ H.T + np.diag(variance))
    expected = X + gain @ (d[:, None] + E - H @ X)

    local = problem(p=p, k=k, Y=H @ X, d=d, variance=variance, taper=np.ones(p), noise=noise)
    weights = PerturbedObservations(share=1.0).solve(local)

    np.testing.assert_allclose(X @ (weights.mean[:, None] + weights.perturbations), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("inflation", [1.0, 1.4])
def test_the_covariance_is_the_letkfs_in_expectation(share, inflation):
    """Exactly: W is linear in the draws, so the expectation is a sum over draws that are 1 in one place, else 0."""
    p, k = 4, 5

    def perturbations(noise: np.ndarray) -> np.ndarray:
        local = problem(p=p, k=k, inflation=inflation, noise=noise)
        return PerturbedObservations(share=share).solve(local).perturbations

    without = perturbations(np.zeros((p, k)))
    parts = [perturbations(unit.reshape(p, k)) - without for unit in np.eye(p * k)]
    covariance = without @ without.T + sum(part @ part.T for part in parts)
    exact = Letkf().solve(problem(p=p, k=k, inflation=inflation)).perturbations
    np.testing.assert_allclose(covariance, exact @ exact.T, rtol=1e-10, atol=1e-12)


def test_draws_belong_to_the_observations():
    """Another order of the observations, with their draws, is the same analysis."""
    local = problem(p=30, noise=draws(30, 5, 5))
    order = np.random.default_rng(6).permutation(30)
    close(PerturbedObservations().solve(local), PerturbedObservations().solve(local.select(order)))


def test_no_observations_give_exactly_the_identity():
    weights = PerturbedObservations().solve(rows(problem(), slice(0)))
    assert not weights.mean.any() and np.array_equal(weights.perturbations, np.eye(5))
