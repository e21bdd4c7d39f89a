"""The ensemble transform of Hunt, Kostelich & Szunyogh (2007, Physica D 230, 112) for many regions.

    A = (k−1)/β · I + Σ y yᵀ                   y (k,) perturbations of an observation in units of its error
    w̄ = A⁻¹ Σ y d,     W = [(k−1) A⁻¹]^½       d its innovation in the same units
    analysis   x̄ + X (w̄ + W_j),  j = 1 … k     X the perturbations of the members

Each region has its own observations and its own weights.  Without any, w̄ = 0 and W = √β I; with β = 1 too, the members
stay as they are to the bit.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Weights:
    """w̄ (k,) and W (k, k) of one region; `signal`, degrees of freedom for signal (Rodgers 2000, Eq. 2.80)."""

    mean: np.ndarray
    perturbations: np.ndarray
    signal: float


def weights(y: np.ndarray, d: np.ndarray, inflation: float) -> Weights:
    """Of one region: `y` (n, k), rows of zero mean, and `d` (n,) in units of the observations' errors; β."""
    n, k = y.shape
    if not n:
        return Weights(np.zeros(k), np.sqrt(inflation) * np.eye(k), 0.0)
    A = y.T @ y
    A.flat[:: k + 1] += (k - 1) / inflation
    eigenvalues, V = np.linalg.eigh(A)
    mean = V @ ((V.T @ (y.T @ d)) / eigenvalues)
    signal = float((1.0 - (k - 1) / (inflation * eigenvalues)).sum())
    return Weights(mean, (V * np.sqrt((k - 1) / eigenvalues)) @ V.T, signal)


def of_regions(y: np.ndarray, d: np.ndarray, seen: Sequence[np.ndarray], inflation: float) -> list[Weights]:
    """Of each region, which sees the rows `seen` (n of it,) of `y` (nobs, k) and `d` (nobs,)."""
    return [weights(y[rows], d[rows], inflation) for rows in seen]


def transformed(Z: np.ndarray, found: Sequence[Weights], parts: Sequence[slice]) -> tuple[np.ndarray, np.ndarray]:
    """The increment of the mean (size,) and the new perturbations (k, size) of perturbations `Z` (k, size), each part
    of them with the weights of its region; in the precision of `Z`."""
    mean, Za = np.empty_like(Z[0]), np.empty_like(Z)
    for one, part in zip(found, parts, strict=True):
        mean[part] = one.mean @ Z[:, part]
        Za[:, part] = one.perturbations.T @ Z[:, part]
    return mean, Za
