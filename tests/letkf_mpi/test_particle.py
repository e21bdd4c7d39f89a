"""Laws of the particle filters: weights are probabilities, means are exact, and Bayes is what comes out."""

import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.stats import norm

from letkf_mpi.solvers.particle import ParticleFilter, forget
from letkf_mpi.solvers.resampling import monte_carlo, sinkhorn
from tests.letkf_mpi.problems import problem, rows

KINDS = [dict(resampling="sinkhorn"), dict(resampling="monte_carlo")]
PLAIN = dict(kernel=0.0, least_effective=1.0)
SEED = (1, 2)


def some_weights(k: int = 12, seed: int = 0) -> np.ndarray:
    w = np.random.default_rng(seed).exponential(size=k) ** 2
    return w / w.sum()


def distances(k: int = 12, seed: int = 1) -> np.ndarray:
    x = np.random.default_rng(seed).standard_normal((k, 3))
    return ((x[:, None] - x) ** 2).sum(axis=-1)


@pytest.mark.parametrize("T", [sinkhorn(some_weights(), distances(), 0.05), monte_carlo(some_weights(), SEED, 50)])
def test_resampling_keeps_the_sums(T):
    np.testing.assert_allclose(T.sum(axis=0), 1.0, rtol=1e-12)
    np.testing.assert_allclose(T.mean(axis=1), some_weights(), rtol=1e-12, atol=1e-15)


def test_equal_weights_move_no_particle_as_the_regularization_goes_to_zero():
    equal = np.full(12, 1 / 12)
    moved = [np.abs(sinkhorn(equal, distances(), epsilon) - np.eye(12)).max() for epsilon in (0.5, 0.05, 0.0005)]
    assert moved[0] > moved[1] > moved[2]
    assert moved[2] < 1e-10


def test_sinkhorn_finds_the_cheapest_matrix():
    """Against the linear programme of optimal transport, whose cost no matrix with these sums can undercut."""
    k, w, C = 8, some_weights(8), distances(8)
    sums = np.vstack([np.kron(np.eye(k), np.ones(k)), np.kron(np.ones(k), np.eye(k))])
    least = linprog(C.reshape(-1), A_eq=sums, b_eq=np.concatenate([k * w, np.ones(k)])).fun
    costs = [(C * sinkhorn(w, C, epsilon)).sum() for epsilon in (0.5, 0.1, 0.02)]
    assert costs[0] > costs[1] > costs[2] == pytest.approx(least, rel=0.02)


def in_turn(w: np.ndarray, cost: np.ndarray, regularization: float, rounds: int) -> np.ndarray:
    """Sinkhorn's matrix by its name: rows and columns scaled in turn."""
    k = w.size
    T = np.exp(-cost / (regularization * cost.sum() / (k * (k - 1))))
    for _ in range(rounds):
        T *= (k * w / T.sum(axis=1))[:, None]
        T /= T.sum(axis=0)
    return T


@pytest.mark.parametrize("regularization", [0.5, 0.05])
def test_sinkhorn_is_what_scaling_rows_and_columns_in_turn_ends_with(regularization):
    w, C = some_weights(), distances()
    np.testing.assert_allclose(sinkhorn(w, C, regularization), in_turn(w, C, regularization, 20_000), atol=1e-7)


@pytest.mark.parametrize("regularization", [0.05, 0.0005])
def test_sinkhorn_serves_a_particle_that_has_nearly_all_and_one_that_is_far_away(regularization):
    w = np.array([1.0, 1e-3, 1e-6, 1e-12, 1e-300, 0.0])
    C = distances(6)
    C[5, :5] = C[:5, 5] = 1e4
    T = sinkhorn(w / w.sum(), C, regularization)
    np.testing.assert_allclose(T.sum(axis=0), 1.0, rtol=1e-12)
    np.testing.assert_allclose(T.mean(axis=1), w / w.sum(), rtol=1e-12, atol=1e-15)
    assert T.min() > -1e-6


def test_monte_carlo_draws_each_particle_in_proportion_to_its_weight_and_keeps_it_in_its_place():
    w = some_weights(5)
    T = monte_carlo(w, SEED, 20_000)
    expected_diagonal = 1 - (1 - w) ** 5  # drawn at least once
    np.testing.assert_allclose(np.diag(T), expected_diagonal, atol=0.01)
    assert np.array_equal(T, monte_carlo(w, SEED, 20_000)) and not np.array_equal(T, monte_carlo(w, (1, 3), 20_000))


def test_monte_carlo_is_the_loop_over_draws():
    w, k, repeats = some_weights(7), 7, 30
    uniform = np.random.default_rng(SEED).random((repeats, k))
    T = np.zeros((k, k))
    for u in uniform:
        drawn = sorted(np.searchsorted(np.cumsum(w), u))
        places: list = [None] * k
        others = []
        for particle in drawn:
            if places[particle] is None:
                places[particle] = particle
            else:
                others.append(particle)
        for place in range(k):
            particle = places[place] if places[place] is not None else others.pop(0)
            T[particle, place] += 1 / repeats
    np.testing.assert_allclose(monte_carlo(w, SEED, repeats), T + (w - T.mean(axis=1))[:, None], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("kernels", ["weighed", "points"])
def test_weights_are_the_likelihoods(kernels):
    local = problem(p=4, k=6, inflation=1.2)
    method = ParticleFilter(kernel=0.7, kernels=kernels, least_effective=1.0)
    Y, R = np.sqrt(1.2) * local.Y, np.diag(local.variance / local.taper)
    S = R + 0.7 * Y @ Y.T / 5 if kernels == "weighed" else R
    likelihood = np.exp([-0.5 * (local.d - y) @ np.linalg.solve(S, local.d - y) for y in Y.T])
    np.testing.assert_allclose(method.weights(local), likelihood / likelihood.sum(), rtol=1e-9)


def test_forgetting_leaves_as_many_effective_particles_as_asked_and_the_order_of_the_weights():
    w = np.array([0.94, 0.03, 0.02, 0.01])
    for wanted in (1.5, 3.0, 4.0):
        milder = forget(w, wanted)
        assert 1 / (milder @ milder) == pytest.approx(wanted) and milder.sum() == pytest.approx(1.0)
        assert (np.diff(milder) <= 1e-15).all()
    assert forget(w, 1.0) is w


@pytest.mark.parametrize("kind", KINDS)
def test_the_mean_is_the_weighted_mean(kind):
    local = problem(p=4, k=6, inflation=1.2, seed=3)
    method = ParticleFilter(**PLAIN, **kind)
    X = np.random.default_rng(4).standard_normal((3, 6))
    X -= X.mean(axis=1, keepdims=True)
    found = method.solve(local)
    np.testing.assert_allclose(X @ found.mean, np.sqrt(1.2) * X @ method.weights(local), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found.perturbations.mean(axis=1), 0, atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_the_mixture_becomes_the_particle_filter_as_its_kernels_shrink(kind):
    local = problem(p=4, k=6)
    point = ParticleFilter(kernel=0.0, **kind).solve(local)
    small = ParticleFilter(kernel=1e-9, **kind).solve(local)
    np.testing.assert_allclose(small.mean, point.mean, atol=1e-7)
    np.testing.assert_allclose(small.perturbations, point.perturbations, atol=1e-6)


@pytest.mark.parametrize("kernel", [0.0, 0.5])
def test_many_gaussian_particles_give_the_kalman_filter(kernel):
    """Mean of the mixture of covariance (1 + γ)P; without kernels the covariance of the particles too."""
    k, d, R = 300, 0.8, 1.5
    X = norm.ppf((np.arange(k) + 0.5) / k)[None]
    P = (X @ X.T).item() / (k - 1)
    gain = (1 + kernel) * P / ((1 + kernel) * P + R)
    local = problem(Y=X, d=np.array([d]), variance=np.array([R]), taper=np.ones(1))
    weights = ParticleFilter(kernel=kernel, least_effective=1.0, regularization=0.01).solve(local)
    assert (X @ weights.mean).item() == pytest.approx(gain * d, abs=0.01)
    if kernel == 0.0:
        Xa = X @ weights.perturbations
        assert (Xa @ Xa.T).item() / (k - 1) == pytest.approx((1 - gain) * P, rel=0.05)


def test_a_particle_filter_finds_the_nearer_of_two_modes_where_the_kalman_filter_lands_between():
    modes = np.where(np.arange(40) < 20, -2.0, 2.0) + 0.1 * np.random.default_rng(6).standard_normal(40)
    Y = (modes - modes.mean())[None]
    local = problem(Y=Y, d=np.array([1.0]), variance=np.ones(1), taper=np.ones(1))
    weights = ParticleFilter(**PLAIN).solve(local)
    analysis = Y @ (weights.mean[:, None] + weights.perturbations)
    assert (np.abs(np.abs(analysis) - 2.0) < 0.5).mean() > 0.9
    assert (analysis > 0).mean() > 0.9


def test_no_observations_give_exactly_the_identity():
    weights = ParticleFilter().solve(rows(problem(), slice(0)))
    assert not weights.mean.any() and np.array_equal(weights.perturbations, np.eye(5))
