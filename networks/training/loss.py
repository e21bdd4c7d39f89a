"""What is minimised and what is reported, all weighted by area (w has mean one over the sphere).

    loss  = mean over steps, channels and places of w ((forecast - truth)/scale)²
            with scale the tendency's standard deviation, or the field's own where the field is predicted
    RMSE  = √(mean over times and places of w (forecast - truth)²)                        per channel, SI units
    ACC   = mean over times of Σ w f' o' / √(Σ w f'² Σ w o'²),  f', o' anomalies from the climatology

RMSE and ACC as in WeatherBench 2 (Rasp et al. 2024, JAMES 16, e2023MS004019).  Of ensembles x_1 … x_M the loss is

    afCRPS = 1/M Σ_m |x_m - y| - (1 - (1 - α)/M) / (2 M (M - 1)) Σ_m Σ_n |x_m - x_n|

the almost fair continuous ranked probability score α fCRPS + (1 - α) CRPS of Lang et al. (2024, arXiv 2412.15832): with
α = 1 its expectation does not depend on M and is least where members and truth are of one distribution; a little less
keeps a network from a degenerate best, where all members but one may be anything.
"""

from dataclasses import dataclass

import numpy as np
from torch import Tensor


def weighted_square(forecast: Tensor, truth: Tensor, scale: Tensor, weights: Tensor) -> Tensor:
    """The loss of one step, a scalar; fields (B, channel, lat, lon), scale (channel, 1, 1), weights (lat, lon)."""
    return (weights * ((forecast - truth) / scale) ** 2).mean()


def afcrps(members: Tensor, truth: Tensor, alpha: float) -> Tensor:
    """The almost fair CRPS of each number: members (M, …) with M of at least two, truth (…) -> (…)."""
    count = len(members)
    error = (members - truth).abs().mean(dim=0)
    apart = sum((members[number] - members[number + 1 :]).abs().sum(dim=0) for number in range(count - 1))
    return error - (1 - (1 - alpha) / count) / (count * (count - 1)) * apart


@dataclass
class Scores:
    """Sums over forecasts of one lead time, for RMSE and ACC per channel."""

    weights: np.ndarray  # (lat, lon), mean 1
    count: int = 0
    squares: np.ndarray | float = 0.0
    correlations: np.ndarray | float = 0.0

    def add(self, forecast: np.ndarray, truth: np.ndarray, climatology: np.ndarray) -> None:
        """(B, channel, lat, lon) each."""
        self.count += len(forecast)
        self.squares = self.squares + self._mean((forecast - truth) ** 2).sum(axis=0)
        ahead, real = forecast - climatology, truth - climatology
        norm = np.sqrt(self._mean(ahead**2) * self._mean(real**2))
        product = self._mean(ahead * real)
        # A forecast that is the climatology has no anomaly; it is credited with no skill rather than with NaN.
        self.correlations = self.correlations + np.divide(
            product, norm, out=np.zeros_like(norm), where=norm > 0
        ).sum(axis=0)

    @property
    def rmse(self) -> np.ndarray:
        """(channel,)"""
        return np.sqrt(self.squares / self.count)

    @property
    def acc(self) -> np.ndarray:
        return np.asarray(self.correlations) / self.count

    def _mean(self, fields: np.ndarray) -> np.ndarray:
        return (fields.astype(np.float64) * self.weights).mean(axis=(-2, -1))
