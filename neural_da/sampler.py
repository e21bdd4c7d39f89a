"""Samples of states given observations, by a denoiser that knows nothing of them.

    z = (x - x_0) / s + sigma n;   D(z; sigma) what the denoiser takes for (x - x_0) / s      (networks.denoiser)
    D_y = D + Sigma (H' s)^T (H' s Sigma (H' s)^T + R)^-1 (y - H(x_0 + s D)),   Sigma = C sigma^2 / (C + sigma^2)

The flow of probability with D_y for its mean (`networks.denoiser.flow`) is that of a posterior: for a Gaussian prior,
whose denoiser is the Wiener filter, and linear H, D_y is the posterior's mean given z to the digit, and samples come
out with the covariance of the Kalman filter.  For other denoisers Sigma stands in for the covariance about D.  H' is
taken anew at D, of each sample for itself; nothing is differentiated through the denoiser.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import torch
from torch import Tensor

from networks.climate import gaussian
from networks.climate.gaussian import Climate
from networks.denoiser import flow
from networks.denoiser.denoiser import Denoiser
from neural_da.observed import Observed, tensor
from neural_da.problem import Term


@dataclass(frozen=True)
class Sampler:
    """Samples about the `centre` x_0 (channel, lat, lon) at a `time`, given the `values` y (n,) of a `term`, or none.

    Conjugate gradients end as those of `minimise`, at a `tolerance` or after so many `iterations`.
    """

    denoiser: Denoiser
    centre: np.ndarray
    time: datetime
    term: Term | None
    values: Tensor
    tolerance: float
    iterations: int

    @property
    def climate(self) -> Climate:
        return self.denoiser.climate

    def sample(self, z: np.ndarray, sigmas: Sequence[float]) -> np.ndarray:
        """z (m, channel, lat, lon) at the first of the descending `sigmas` -> at the last one."""
        return flow.carried(self.mean, z, sigmas)

    def mean(self, z: np.ndarray, sigma: float) -> np.ndarray:
        """D_y (m, channel, lat, lon)."""
        found = self.denoiser.estimate(z, sigma, self.time)
        if self.term is None:
            return found
        x = self.states(found)
        tangents = tuple(self.term.tangent(tensor(one), torch.float64) for one in x)
        observed = Observed(self.climate, self.term, tangents, gaussian.remaining(sigma))
        d = torch.stack([observed.departure(one, self.values) for one in x])
        w = torch.stack([one.x for one in observed.solved(d, self.tolerance, self.iterations)])
        return found + self.dimensionless(observed.increments(w))

    def states(self, z: np.ndarray) -> np.ndarray:
        """x_0 + s z (m, channel, lat, lon), in double precision."""
        return self.centre + self.climate.scale * z

    def dimensionless(self, increments: np.ndarray) -> np.ndarray:
        """`increments` (m, channel, lat, lon) in units of s; none where nothing ever varies."""
        scale = self.climate.scale
        return np.divide(increments, scale, out=np.zeros_like(increments), where=scale > 0)
