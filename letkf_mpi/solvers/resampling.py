"""Resampling of weighted particles as a matrix T (k, k): particle j after is Σ_i T_ij times particle i before.

Columns of T sum to 1; rows would sum to k w_i, so that the mean of the new particles is the weighted mean.

Monte Carlo (Kotsuki et al. 2022, GMD 15, 8325): the average of many 0/1 matrices, each of which draws k particles and
leaves a drawn particle in its own place where it can, the others filling the places that are free.  Sums of rows
are right in expectation only.

Optimal transport with entropy (Sinkhorn; Oishi & Kotsuki 2023, SOLA 19, 185; Cuturi 2013): of all matrices with these
sums the one that moves particles least,

    minimise  Σ T_ij C_ij + ε Σ T_ij ln T_ij        T = diag(a) exp(−C/ε) diag(b)

where a, b are found by scaling rows and columns in turn, in logarithms because far particles underflow.  C_ij is a
squared distance between particles.  For ε -> 0 with equal weights T is the identity.

Both end by a shift of all columns alike that makes the mean exact: T <- T + (w − T 1/k) 1ᵀ.
"""

from functools import lru_cache

import numpy as np

_ROUNDS = 1000
_TOLERANCE = 1e-3  # of the sums of columns, before the last scaling makes them exact; the mean is made exact too
_TINY = np.finfo(float).tiny


def monte_carlo(weights: np.ndarray, seed: tuple[int, ...], repeats: int) -> np.ndarray:
    """T (k, k) from `weights` (k,), averaged over `repeats` draws; the same draws for the same seed."""
    k = weights.size
    bounds = np.cumsum(weights)
    drawn = np.searchsorted(bounds / bounds[-1], _uniform(seed, repeats, k), side="right")  # (repeats, k)
    drawn = np.minimum(drawn, k - 1) + k * np.arange(repeats)[:, None]
    copies = np.bincount(drawn.reshape(-1), minlength=repeats * k).reshape(repeats, k)
    again = np.repeat(np.tile(np.arange(k), repeats), np.maximum(copies - 1, 0).reshape(-1))
    free = np.nonzero(copies == 0)[1]  # as many as `again` in each draw, in the same order of draws
    T = np.bincount(again * k + free, minlength=k * k).reshape(k, k) / repeats
    T.flat[:: k + 1] += (copies > 0).mean(axis=0)
    return _with_exact_mean(T, weights)


@lru_cache(maxsize=2)
def _uniform(seed: tuple[int, ...], repeats: int, k: int) -> np.ndarray:
    return np.random.default_rng(seed).random((repeats, k))


def sinkhorn(weights: np.ndarray, cost: np.ndarray, regularization: float) -> np.ndarray:
    """T (k, k) from `weights` (k,) and `cost` (k, k) ≥ 0; ε is `regularization` times the mean cost of a pair."""
    k = weights.size
    mean_cost = cost.sum() / (k * (k - 1))
    if mean_cost == 0.0:
        return _with_exact_mean(np.eye(k), weights)
    L = -cost / (regularization * mean_cost)
    rows, ln_b = np.log(np.maximum(k * weights, _TINY)), np.zeros(k)
    for _ in range(_ROUNDS):
        ln_a = rows - _log_sum(L + ln_b, axis=1)
        ln_sums = _log_sum(L + ln_a[:, None], axis=0)
        converged = np.abs(ln_b + ln_sums).max() < _TOLERANCE
        ln_b = -ln_sums
        if converged:
            break
    return _with_exact_mean(np.exp(L + ln_a[:, None] + ln_b), weights)


def _log_sum(x: np.ndarray, axis: int) -> np.ndarray:
    """ln Σ exp x along an axis, for any size of x."""
    largest = x.max(axis=axis, keepdims=True)
    return np.log(np.exp(x - largest).sum(axis=axis)) + largest.squeeze(axis)


def _with_exact_mean(T: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return T + (weights - T.mean(axis=1))[:, None]
