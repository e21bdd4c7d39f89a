"""What a climate says of states that it has not seen: the Wiener filter's error beside what the climate expects of it.

    e(sigma) = mean over states, channels and places of (z - W(z + sigma n))^2,   W = C / (C + sigma^2)
    expected = mean of the diagonal of C sigma^2 / (C + sigma^2)                        z = (x - m) / s, n ~ N(0, I)

Where the ratio is near 1 at all sizes of noise the covariances hold at all scales; a prior whose white rest is too
small expects far less error at small sigma than it makes.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

import numpy as np

from contracts import times
from networks.climate import gaussian
from networks.climate.gaussian import Climate

SIGMAS = (0.1, 0.3, 1.0, 2.0, 5.0)  # noise in units of s


def ratios(climate: Climate, states: Iterable[tuple[datetime, np.ndarray]],
           sigmas: Sequence[float] = SIGMAS) -> dict[float, float]:
    """By sigma the error over what is expected, of `states` (channel, lat, lon) with their times."""
    powers = np.array([_errors(climate, time, fields, sigmas) for time, fields in states]).mean(axis=0)
    expected = [climate.correlation.mean_variance(gaussian.remaining(sigma)) for sigma in sigmas]
    return {sigma: float(power / theory) for sigma, power, theory in zip(sigmas, powers, expected, strict=True)}


def _errors(climate: Climate, time: datetime, fields: np.ndarray, sigmas: Sequence[float]) -> list[float]:
    away = fields - climate.mean(time)
    z = np.divide(away, climate.scale, out=np.zeros_like(away), where=climate.scale > 0)
    n = np.random.default_rng(times.to_seed(time)).standard_normal(z.shape)
    estimates = (climate.correlation.apply(gaussian.wiener(sigma), z + sigma * n) for sigma in sigmas)
    return [float(np.square(estimate - z).mean()) for estimate in estimates]
