"""Scores of an ensemble against a truth on the same grid, averaged over regions of the sphere.

With members x_1 … x_k at one point, mean x̄, truth y, and ⟨·⟩ the mean over a region weighted by area:

    rmse   = √⟨(x̄ − y)²⟩
    bias   = ⟨x̄ − y⟩
    spread = √⟨s²⟩,  s² = Σ (x_i − x̄)² / (k − 1)
    crps   = ⟨ 1/k Σ |x_i − y|  −  1/(2 k (k−1)) Σ_i Σ_j |x_i − x_j| ⟩

The CRPS is the *fair* one (Ferro 2014, QJRMS 140, 1917; Zamo and Naveau 2018, Math. Geosci. 50, 209, Eq. 'fair'):
its expectation does not depend on k, so ensembles of different size may be compared.  The plain CRPS of the
empirical distribution divides the second sum by 2 k² instead and punishes small ensembles.  Over sorted
members the double sum is Σ_i Σ_j |x_i − x_j| = 2 Σ_i (2i − k − 1) x_(i), which costs k log k instead of k².

A reliable ensemble of k members has ⟨(x̄ − y)²⟩ = (k+1)/k ⟨s²⟩ (Fortin et al. 2014, J. Hydrometeor. 15, 1708, Eq. 15):
the ratio of spread to error carries that factor, so that 1 means reliable whatever k.
"""

import math
from collections.abc import Mapping

import numpy as np

from contracts.grid import Grid

NAMES = ("rmse", "bias", "spread", "crps")


def region_weights(grid: Grid, regions: Mapping[str, tuple[float, float]]) -> np.ndarray:
    """(region, lat, lon), each region's area weights with sum 1; `regions` are [south, north] in degrees.

    Raises ValueError where a region holds no row of the grid.
    """
    weights = np.zeros((len(regions), *grid.shape))
    for region, (name, (south, north)) in zip(weights, regions.items(), strict=True):
        rows = (grid.lat >= south) & (grid.lat <= north)
        if not rows.any():
            raise ValueError(f"region {name}: no row of the {grid} lies within {south:g} to {north:g} degrees north")
        region[rows] = grid.area_weights[rows]
        region /= region.sum()
    return weights


def regional_mean(fields: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Means (region, channel) of `fields` (channel, lat, lon)."""
    return np.einsum("rij,cij->rc", weights, fields)


def ensemble_scores(X: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """All scores, each (region, channel), of `X` (member, channel, lat, lon) against `truth` (channel, lat, lon)."""
    truth, exact = np.asarray(truth, np.float64), np.asarray(X, np.float64)
    moments = moment_scores(exact.mean(axis=0), exact.std(axis=0, ddof=1), truth, weights)
    return moments | {"crps": regional_mean(crps_fair(X, truth), weights)}


def moment_scores(mean: np.ndarray, deviation: np.ndarray, truth: np.ndarray,
                  weights: np.ndarray) -> dict[str, np.ndarray]:
    """rmse, bias and spread, each (region, channel), from ensemble mean and standard deviation (channel, lat, lon)."""
    error = np.asarray(mean, np.float64) - truth
    return {"rmse": np.sqrt(regional_mean(error**2, weights)),
            "bias": regional_mean(error, weights),
            "spread": np.sqrt(regional_mean(np.asarray(deviation, np.float64) ** 2, weights))}


def crps_fair(X: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The fair CRPS at each point, in the units of the field: `X` (member, …), `truth` (…) -> (…)."""
    k = X.shape[0]
    if k < 2:
        raise ValueError(f"the fair CRPS needs at least two members, got {k}")
    ranks = 2.0 * np.arange(1, k + 1) - k - 1
    half_difference = np.tensordot(ranks, _sorted(X).astype(np.float64), axes=1) / (k * (k - 1))
    return np.abs(np.asarray(X, np.float64) - truth).mean(axis=0) - half_difference


def _sorted(X: np.ndarray) -> np.ndarray:
    """`X` (member, …) with the members of each point in order: as rows that lie together, which NumPy sorts faster."""
    points = np.ascontiguousarray(X.reshape(len(X), -1).T)
    points.sort(axis=1)
    return np.ascontiguousarray(points.T).reshape(X.shape)


def spread_error_ratio(spread: float, rmse: float, k: int) -> float:
    """√((k+1)/k) spread / rmse: 1 for a reliable ensemble of k members."""
    return math.sqrt((k + 1) / k) * spread / rmse if rmse else math.inf
