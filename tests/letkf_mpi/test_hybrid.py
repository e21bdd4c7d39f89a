"""The hybrid covariance: the Kalman filter of P, and the LETKF at both ends of what it is made of."""

import numpy as np
import pytest

from letkf_mpi.solvers import Letkf
from letkf_mpi.solvers.hybrid import Hybrid
from tests.letkf_mpi.problems import problem


def centred(shape: tuple[int, int], seed: int) -> np.ndarray:
    X = np.random.default_rng(seed).standard_normal(shape)
    return X - X.mean(axis=1, keepdims=True)


def hybrid(share: float) -> Hybrid:
    return Hybrid(share=share)


@pytest.mark.parametrize("inflation", [1.0, 1.3])
def test_without_a_static_share_it_is_the_letkf(inflation):
    local = problem(p=9, inflation=inflation, static=centred((9, 4), 1))
    found, exact = hybrid(0.0).solve(local), Letkf().solve(local)
    np.testing.assert_allclose(found.mean[:5], exact.mean, rtol=1e-10)
    np.testing.assert_allclose(found.perturbations[:5], exact.perturbations, rtol=1e-10, atol=1e-12)
    assert not found.mean[5:].any() and not found.perturbations[5:].any()


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_with_the_ensemble_as_static_set_it_is_the_letkf(share):
    local = problem(p=9)
    found, exact = hybrid(share).solve(problem(p=9, static=local.Y)), Letkf().solve(local)
    np.testing.assert_allclose(found.mean[:5] + found.mean[5:], exact.mean, rtol=1e-10)
    np.testing.assert_allclose(found.perturbations[:5] + found.perturbations[5:], exact.perturbations, rtol=1e-10,
                               atol=1e-12)


@pytest.mark.parametrize("inflation", [1.0, 1.3])
def test_it_is_the_kalman_filter_of_the_blended_covariance(inflation):
    """Mean: gain of P. Perturbations: modified gain P Hᵀ [(S^½)⁻¹]ᵀ (S^½ + R^½)⁻¹ with S = H P Hᵀ + R."""
    n, p, k, m, share = 6, 4, 9, 12, 0.4
    rng = np.random.default_rng(2)
    X, Xs, H = centred((n, k), 3), 2.0 * centred((n, m), 4), rng.standard_normal((p, n))
    d, variance = rng.standard_normal(p), rng.uniform(0.5, 2.0, p)
    P = (1 - share) * inflation * X @ X.T / (k - 1) + share * Xs @ Xs.T / (m - 1)
    whitened = H / np.sqrt(variance)[:, None]  # in units of R^½, where R is the identity and roots are plain
    S = whitened @ P @ whitened.T + np.eye(p)
    eigenvalues, V = np.linalg.eigh(S)
    modified = P @ whitened.T @ ((V / (eigenvalues + np.sqrt(eigenvalues))) @ V.T)
    Xa = np.sqrt(inflation) * (X - modified @ whitened @ X)

    local = problem(Y=H @ X, d=d, variance=variance, taper=np.ones(p), static=H @ Xs, inflation=inflation)
    weights = hybrid(share).solve(local)

    Z = np.hstack([X, Xs])
    np.testing.assert_allclose(Z @ weights.mean, P @ whitened.T @ np.linalg.solve(S, d / np.sqrt(variance)), rtol=1e-9)
    np.testing.assert_allclose(Z @ weights.perturbations, Xa, rtol=1e-9, atol=1e-11)


def test_a_full_rank_static_set_lets_an_observation_correct_what_the_ensemble_cannot_see():
    """Two members that agree have no covariance; the static part still draws to the observation."""
    local = problem(p=1, k=2, Y=np.zeros((1, 2)), d=np.ones(1), variance=np.ones(1), taper=np.ones(1),
                    static=centred((1, 6), 5))
    variance = 0.5 * (local.static @ local.static.T).item() / 5
    weights = hybrid(0.5).solve(local)
    assert (local.static @ weights.mean[2:]).item() == pytest.approx(variance / (variance + 1))
    assert not Letkf().solve(local).mean.any()


def test_perturbations_keep_zero_mean():
    weights = hybrid(0.4).solve(problem(p=9, inflation=1.2, static=centred((9, 7), 6)))
    np.testing.assert_allclose(weights.perturbations[:5] @ np.ones(5), np.sqrt(1.2), rtol=1e-12)
    np.testing.assert_allclose(weights.perturbations[5:] @ np.ones(5), 0, atol=1e-12)


def test_no_observations_give_exactly_the_identity():
    weights = hybrid(0.4).solve(problem(p=3, static=centred((3, 7), 7)).select(np.zeros(3, bool)))
    assert not weights.mean.any() and np.array_equal(weights.perturbations, np.vstack([np.eye(5), np.zeros((7, 5))]))
