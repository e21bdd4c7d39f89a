"""Linear dynamics in a latent some of whose coordinates are constants of the model that made the states.

    z(t+1) = A z(t) + B θ + b + η,  η ~ N(0, Q)        z (k,) a state in the latent; θ (p,) the same in all of a run
    y(t) = H z(t) + h + ε,          ε ~ N(0, R)        what is observed of it

`supervised`: θ are the parameters that each run was made with.  `unsupervised`: coordinates that nobody named, found
with A, B, b by least squares in turn, which explain what runs have in common with themselves and not with others.  A
run's θ and z together then follow from observations over some days: with Gaussian errors the minimum of

    J(z_0, θ, η) = prior + 1/2 Σ |y - H z - h|²_R + 1/2 Σ |η|²_Q

which a Kalman filter of the augmented state (z, θ) reaches exactly at the end of the window (Kalman 1960, J. Basic
Eng. 82, 35; Jazwinski 1970, Stochastic Processes and Filtering Theory, 8.3).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

ROUNDS = 200  # of least squares in turn


@dataclass(frozen=True)
class Gaussian:
    """`mean` (n,) and `covariance` (n, n)."""

    mean: np.ndarray
    covariance: np.ndarray


@dataclass(frozen=True)
class Dynamics:
    """A (k, k), B (k, p), b (k,) and the covariance Q (k, k) of what they miss."""

    A: np.ndarray
    B: np.ndarray
    b: np.ndarray
    Q: np.ndarray


@dataclass(frozen=True)
class Observed:
    """H (n, k), h (n,) and the covariance R (n, n) of what is observed around it."""

    H: np.ndarray
    h: np.ndarray
    R: np.ndarray


def supervised(series: Sequence[np.ndarray], theta: np.ndarray, ridge: float = 1e-6) -> Dynamics:
    """From runs (time, k) with their constants `theta` (run, p), by least squares with a small `ridge`."""
    count = [len(run) - 1 for run in series]
    now, later = (np.concatenate([run[part] for run in series]) for part in (slice(None, -1), slice(1, None)))
    known = np.hstack([now, np.repeat(theta, count, axis=0), np.ones((len(now), 1))])
    weights = np.linalg.solve(known.T @ known + ridge * len(known) * np.eye(known.shape[1]), known.T @ later)
    missed = later - known @ weights
    k, p = now.shape[1], theta.shape[1]
    return Dynamics(weights[:k].T, weights[k : k + p].T, weights[-1], missed.T @ missed / len(missed))


def unsupervised(series: Sequence[np.ndarray], p: int, ridge: float = 1e-6) -> tuple[Dynamics, np.ndarray]:
    """The same with `p` coordinates of each run that are found; returns them too, (run, p) of unit variance."""
    found = _leading(np.stack([run.mean(axis=0) for run in series]), p)
    for _ in range(ROUNDS):
        fitted = supervised(series, found, ridge)
        mean = np.stack([(run[1:] - run[:-1] @ fitted.A.T - fitted.b).mean(axis=0) for run in series])
        weighted = np.linalg.solve(fitted.Q, fitted.B)  # (k, p)
        found = _whitened(mean @ weighted @ np.linalg.inv(fitted.B.T @ weighted))
    return supervised(series, found, ridge), found


def _leading(means: np.ndarray, p: int) -> np.ndarray:
    """The `p` leading principal components (run, p) of `means` (run, k)."""
    left, _, _ = np.linalg.svd(means - means.mean(axis=0), full_matrices=False)
    return _whitened(left[:, :p])


def _whitened(coordinates: np.ndarray) -> np.ndarray:
    """(run, p) of zero mean and unit covariance."""
    left, _, right = np.linalg.svd(coordinates - coordinates.mean(axis=0), full_matrices=False)
    return np.sqrt(len(left)) * left @ right


def regression(known: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Slope (n, m), offset (n,) and covariance of the rest (n, n) of `wanted` (case, n) on `known` (case, m)."""
    with_one = np.hstack([known, np.ones((len(known), 1))])
    weights = np.linalg.lstsq(with_one, wanted, rcond=None)[0]
    rest = wanted - with_one @ weights
    return weights[:-1].T, weights[-1], rest.T @ rest / max(1, len(known) - with_one.shape[1])


def estimate(dynamics: Dynamics, observed: Observed, y: np.ndarray, state: Gaussian, theta: Gaussian) -> Gaussian:
    """θ from the observations `y` (time, n) of a window, a step apart; `state` and `theta` are known before it."""
    k, p = dynamics.B.shape
    F = np.block([[dynamics.A, dynamics.B], [np.zeros((p, k)), np.eye(p)]])
    Q = np.pad(dynamics.Q, (0, p))
    H = np.pad(observed.H, ((0, 0), (0, p)))
    x = np.concatenate([state.mean, theta.mean])
    P = np.block([[state.covariance, np.zeros((k, p))], [np.zeros((p, k)), theta.covariance]])
    for number, row in enumerate(y):
        if number:
            x, P = F @ x + np.concatenate([dynamics.b, np.zeros(p)]), F @ P @ F.T + Q
        gain = np.linalg.solve(H @ P @ H.T + observed.R, H @ P).T
        x, P = x + gain @ (row - H @ x - observed.h), P - gain @ H @ P
    return Gaussian(x[k:], (P + P.T)[k:, k:] / 2)
