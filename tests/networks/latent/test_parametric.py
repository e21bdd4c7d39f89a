"""Laws of a latent with constants of the model: dynamics are found again, and estimates are those of least squares."""

import numpy as np
import pytest

from networks.latent.parametric import Dynamics, Gaussian, Observed, estimate, regression, supervised, unsupervised

K, P, RUNS, TIMES = 5, 2, 30, 40


def system(noise: float) -> Dynamics:
    rng = np.random.default_rng(0)
    A = np.linalg.qr(rng.standard_normal((K, K)))[0] * np.linspace(0.5, 0.9, K)
    return Dynamics(A, rng.standard_normal((K, P)), rng.standard_normal(K), noise**2 * np.eye(K))


def made(truth: Dynamics, seed: int = 1) -> tuple[list[np.ndarray], np.ndarray]:
    """Runs (time, k) and their constants (run, p)."""
    rng = np.random.default_rng(seed)
    theta, series = rng.uniform(-1, 1, (RUNS, P)), []
    for own in theta:
        z = [rng.standard_normal(K)]
        for _ in range(TIMES):
            z.append(truth.A @ z[-1] + truth.B @ own + truth.b + np.sqrt(truth.Q[0, 0]) * rng.standard_normal(K))
        series.append(np.array(z))
    return series, theta


def test_dynamics_without_noise_are_found_again():
    truth = system(0.0)
    found = supervised(*made(truth), ridge=0.0)
    for name in ("A", "B", "b", "Q"):
        np.testing.assert_allclose(getattr(found, name), getattr(truth, name), atol=1e-9)


def test_coordinates_that_nobody_named_are_the_constants_but_for_a_linear_map():
    series, theta = made(system(0.05))
    fitted, found = unsupervised(series, P)
    np.testing.assert_allclose(np.cov(found.T, bias=True), np.eye(P), atol=1e-9)
    slope, offset, rest = regression(found, theta)
    assert np.sqrt(np.diag(rest)).max() < 0.05
    np.testing.assert_allclose(fitted.A, system(0.05).A, atol=0.05)


@pytest.mark.parametrize("times", [1, 4])
def test_the_estimate_minimises_the_cost_over_state_constants_and_errors_of_the_dynamics(times):
    """Against the normal equations of J in all unknowns at once."""
    rng, model = np.random.default_rng(3), system(0.3)
    observed = Observed(rng.standard_normal((3, K)), rng.standard_normal(3), np.diag([0.1, 0.2, 0.3]))
    y = rng.standard_normal((times, 3))
    state, theta = Gaussian(rng.standard_normal(K), 0.5 * np.eye(K)), Gaussian(np.zeros(P), np.eye(P) / 3)

    n = K * times + P  # z(0) … z(times - 1), θ

    def place(number: int) -> np.ndarray:
        return np.eye(n)[K * number : K * (number + 1)]

    constants = np.eye(n)[-P:]
    terms = [(place(0), state.mean, state.covariance), (constants, theta.mean, theta.covariance)]
    terms += [(observed.H @ place(t), y[t] - observed.h, observed.R) for t in range(times)]
    terms += [(place(t + 1) - model.A @ place(t) - model.B @ constants, model.b, model.Q) for t in range(times - 1)]
    hessian = sum(M.T @ np.linalg.solve(C, M) for M, _, C in terms)
    gradient = sum(M.T @ np.linalg.solve(C, m) for M, m, C in terms)

    found = estimate(model, observed, y, state, theta)

    np.testing.assert_allclose(found.mean, np.linalg.solve(hessian, gradient)[-P:], rtol=1e-8)
    np.testing.assert_allclose(found.covariance, np.linalg.inv(hessian)[-P:, -P:], rtol=1e-8, atol=1e-12)


def test_more_days_of_observations_leave_less_doubt_and_the_truth_within_it():
    model = system(0.1)
    series, theta = made(model, seed=7)
    observed = Observed(np.eye(K), np.zeros(K), 0.01 * np.eye(K))
    rng = np.random.default_rng(8)
    prior = Gaussian(np.zeros(K), 25 * np.eye(K)), Gaussian(np.zeros(P), np.eye(P) / 3)
    errors = {}
    for times in (2, 10):
        seen = [run[:times] + 0.1 * rng.standard_normal((times, K)) for run in series]
        found = [estimate(model, observed, y, *prior) for y in seen]
        away = np.array([one.mean for one in found]) - theta
        doubt = np.sqrt([np.diag(one.covariance) for one in found])
        errors[times] = np.sqrt((away**2).mean())
        assert 0.7 < np.sqrt(((away / doubt) ** 2).mean()) < 1.4
    assert errors[10] < 0.7 * errors[2]
