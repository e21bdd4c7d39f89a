"""Resampling of weighted particles as a matrix T (k, k): particle j after is Σ_i T_ij times particle i before.

Columns of T sum to 1; rows would sum to k w_i, so that the mean of the new particles is the weighted mean.

Monte Carlo (Kotsuki et al. 2022, GMD 15, 8325): the average of many 0/1 matrices, each of which draws k particles and
leaves a drawn particle in its own place where it can, the others filling the places that are free.  Sums of rows
are right in expectation only.

Optimal transport with entropy (Sinkhorn; Oishi & Kotsuki 2023, SOLA 19, 185; Cuturi 2013): of all matrices with these
sums the one that moves particles least,

    minimise  Σ T_ij C_ij + ε Σ T_ij ln T_ij        T = diag(a) exp(−C/ε) diag(b)

C_ij is a squared distance between particles.  For ε -> 0 with equal weights T is the identity.  With b = exp v, and
rows scaled to their sums r = k w, what is left is the top of a concave function, found by Newton's steps (scaling rows
and columns in turn takes twenty times as many); in logarithms, because far particles underflow:

    g(v) = Σ v_j − Σ r_i ln Σ_j exp(v_j − C_ij/ε),       W_ij = T_ij / r_i,  Σ_j W_ij = 1,      c = Wᵀ r
    dg/dv = 1 − c,   −d²g/dv² = diag(c) − Wᵀ diag(r) W                         (Brauer et al. 2017, arXiv 1710.06635)

Both end by a shift of all columns alike that makes the mean exact: T <- T + (w − T 1/k) 1ᵀ.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

_ROUNDS = 1000  # at most, of Newton's steps
_SHARES = 0.5 ** np.arange(6.0)  # of a step
_FARTHEST = 5.0  # that a step moves a logarithm
_TOLERANCE = 1e-6  # of the sums of columns, before a last scaling makes them exact; the mean is made exact too
_APART = 1e-10  # curvature of what moves groups of particles that no T connects
_ROUNDING = 1e-12  # of g
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
    L, r = -cost / (regularization * mean_cost), np.maximum(k * weights, _TINY)
    found = _Scaled.at(np.zeros(k), L, r).in_turn(L, r)
    for _ in range(_ROUNDS):
        if np.abs(found.columns - 1.0).max() < _TOLERANCE:
            break
        found = found.after(found.step(r), L, r)
    return _with_exact_mean(r[:, None] * found.W / found.columns, weights)


class _Scaled(NamedTuple):
    """Of the potentials `v` (k,): logarithms `ln_rows` (k,) of the sums of rows that are not scaled yet; g, W (k, k),
    and the sums of the columns (k,)."""

    v: np.ndarray
    ln_rows: np.ndarray
    g: float
    W: np.ndarray
    columns: np.ndarray

    @classmethod
    def at(cls, v: np.ndarray, L: np.ndarray, r: np.ndarray) -> "_Scaled":
        """Of `L` (k, k), −C/ε, and the sums of the rows `r` (k,)."""
        x = L + v
        largest = x.max(axis=1)
        W = np.exp(x - largest[:, None])
        sums = W.sum(axis=1)
        W /= sums[:, None]
        ln_rows = np.log(sums) + largest
        return cls(v, ln_rows, float(v.sum() - r @ ln_rows), W, np.maximum(r @ W, _TINY))

    def in_turn(self, L: np.ndarray, r: np.ndarray) -> "_Scaled":
        """Once rows and then columns have been scaled to their sums: g does not fall."""
        x = L + (np.log(r) - self.ln_rows)[:, None]
        largest = x.max(axis=0)
        return _Scaled.at(-(np.log(np.exp(x - largest).sum(axis=0)) + largest), L, r)

    def step(self, r: np.ndarray) -> np.ndarray:
        """Newton's (k,), which leaves the mean of v: a constant changes no T."""
        curvature = 1.0 / r.size - (r[:, None] * self.W).T @ self.W
        curvature.flat[:: r.size + 1] += self.columns + _APART
        return np.linalg.solve(curvature, 1.0 - self.columns)

    def after(self, dv: np.ndarray, L: np.ndarray, r: np.ndarray) -> "_Scaled":
        """After the step `dv` where g rises by enough of what its slope says (Armijo 1966), else of rows and columns in
        turn."""
        rise = dv @ (1.0 - self.columns)
        for share in _SHARES * min(1.0, _FARTHEST / np.abs(dv).max()):
            found = _Scaled.at(self.v + share * dv, L, r)
            if found.g >= self.g + 1e-4 * share * rise - _ROUNDING * abs(self.g):
                return found
        return self.in_turn(L, r)


def _with_exact_mean(T: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return T + (weights - T.mean(axis=1))[:, None]
