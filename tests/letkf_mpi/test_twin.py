"""Every filter keeps the Lorenz-96 model (Lorenz & Emanuel 1998, J. Atmos. Sci. 55, 399) near a truth that the ensemble
without assimilation loses, with localisation, inflation and relaxation around it."""

import numpy as np
import pytest

from letkf_mpi.local.adaptive_relaxation import AdaptiveRtps
from letkf_mpi.local.localization import gaussian
from letkf_mpi.local.relaxation import Rtpp, Rtps
from letkf_mpi.solvers import Hybrid, Letkf, LocalProblem, ParticleFilter, PerturbedObservations

N, K, CYCLES, SPIN_UP = 24, 20, 50, 25
PLACES = np.arange(0, N, 2)  # every other variable is observed, with error 1
SOLVERS = {
    "letkf": (Letkf(), Rtpp(alpha=0.4)),
    "adaptive rtps": (Letkf(), AdaptiveRtps(initial=0.5)),
    "perturbed observations": (PerturbedObservations(share=0.5), Rtps(alpha=0.5)),
    "hybrid": (Hybrid(share=0.1), Rtps(alpha=0.5)),
    "particles, sinkhorn": (ParticleFilter(regularization=0.1, least_effective=5.0), Rtps(alpha=0.8)),
    "particles, monte carlo": (ParticleFilter(resampling="monte_carlo", least_effective=5.0), Rtps(alpha=0.8)),
}


def forecast(x: np.ndarray, steps: int = 2, dt: float = 0.05) -> np.ndarray:
    """(…, N) by the Runge-Kutta scheme of order four."""

    def tendency(x):
        return (np.roll(x, -1, -1) - np.roll(x, 2, -1)) * np.roll(x, 1, -1) - x + 8.0

    for _ in range(steps):
        a = tendency(x)
        b = tendency(x + dt / 2 * a)
        c = tendency(x + dt / 2 * b)
        x = x + dt / 6 * (a + 2 * b + 2 * c + tendency(x + dt * c))
    return x


def climate(count: int, seed: int) -> np.ndarray:
    """(count, N) states of one run, far apart."""
    x, states = 8.0 + np.random.default_rng(seed).standard_normal(N), []
    for _ in range(count + 10):
        x = forecast(x, 20)
        states.append(x)
    return np.array(states[10:])


def analysis(X: np.ndarray, y: np.ndarray, method, noise: np.ndarray, static: np.ndarray, alpha: np.ndarray) -> tuple:
    """One analysis of the members `X` (K, N) variable by variable, and the next α (N,)."""
    solver, relaxation = method
    mean = X.mean(axis=0)
    Xb = X - mean
    Xa, increment, following = np.empty_like(Xb), np.zeros(N), alpha.copy()
    for i in range(N):
        distance = np.abs((PLACES - i + N // 2) % N - N // 2)
        taper = gaussian(distance / 3.0)
        near, seen = PLACES[taper > 0], taper > 0
        problem = LocalProblem(Xb[:, near].T, y[seen] - mean[near], np.ones(near.size), taper[seen], 1.02,
                               noise[seen], (1, 2), static[:, near].T if solver.needs_static else None)
        weights = solver.solve(problem)
        local = np.concatenate([Xb[:, i], static[:, i]]) if solver.needs_static else Xb[:, i]
        Xa[:, i], increment[i] = local @ weights.perturbations, local @ weights.mean
        following[i] = relaxation.update(alpha[i], problem, weights)
    relaxed = relaxation.relax(Xb[:, :, None], Xa[:, :, None], alpha[:, None])[:, :, 0]
    return mean + increment + relaxed, following


@pytest.mark.parametrize("name", SOLVERS)
def test_a_filter_beats_the_free_ensemble_and_the_observations(name):
    method, rng = SOLVERS[name], np.random.default_rng(3)
    truth = climate(1, seed=1)[0]
    X = truth + rng.standard_normal((K, N))
    others = climate(40, seed=4)
    static = 0.3 * (others - others.mean(axis=0))
    free, alpha, errors, errors_free = X, method[1].start(np.zeros(N)), [], []
    for _ in range(CYCLES):
        truth, X, free = forecast(truth), forecast(X), forecast(free)
        y = truth[PLACES] + rng.standard_normal(PLACES.size)
        X, alpha = analysis(X, y, method, rng.standard_normal((PLACES.size, K)), static, alpha)
        errors.append(np.sqrt(((X.mean(axis=0) - truth) ** 2).mean()))
        errors_free.append(np.sqrt(((free.mean(axis=0) - truth) ** 2).mean()))
    assert np.mean(errors[SPIN_UP:]) < 1.0 < 0.35 * np.mean(errors_free[SPIN_UP:])
