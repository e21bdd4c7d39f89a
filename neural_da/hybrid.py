"""The variance of background errors in a latent: that of the climate, and what the members say of the day.

    b = (1 - alpha) lambda^2 b_clim + alpha b_ens
    b_ens      variance of z'_j = P(x_j - mean) / t over the members; half its own, half the mean over 3 x 3 patches

A member that takes part in b_ens judges its own error by it: it is large where that member is far off, and the member
believes observations the more.  Left out of its own, with k members,

    b_ens,-j = ((k - 1) b_ens - k/(k - 1) z'_j^2) / (k - 2)
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from contracts.errors import UserError
from networks.autoencoder.network import Autoencoder
from networks.latent.operator import Operator


@dataclass(frozen=True)
class Variances:
    """b of the mean and of each member: `static` (size,) is sqrt of lambda^2 b_clim, `perturbations` (k, size) are
    z'."""

    latent: Operator
    alpha: float
    leave_one_out: bool
    static: Tensor
    perturbations: Tensor

    @classmethod
    def of(cls, latent: Operator, factor: float, alpha: float, leave_one_out: bool,
           background: np.ndarray, network: Autoencoder | None = None) -> "Variances":
        """From the `background` (k, channel, column) of all members; `network` encodes where it is not the latent that
        does.  Raises UserError where members are too few."""
        static = factor * latent.variance.sqrt()
        if not alpha:
            return cls(latent, alpha, leave_one_out, static, static.new_empty((0, latent.size)))
        if leave_one_out and len(background) < 3:
            raise UserError("[neural] leave_one_out = true takes the variance of the other members: expected at least "
                            f"3 members, got {len(background)}")
        if network is not None:
            z = torch.stack([network.encode(torch.tensor(x, dtype=static.dtype)) for x in background])
            return cls(latent, alpha, leave_one_out, static, z - z.mean(0))
        departures = background - background.mean(axis=0, dtype=np.float64)
        flat = torch.tensor(departures, dtype=static.dtype).flatten(1)
        return cls(latent, alpha, leave_one_out, static, torch.stack([latent.project(x / latent.scale) for x in flat]))

    def deviation(self, number: int | None = None) -> Tensor:
        """(size,) sqrt(b) of all members, or of those without `number`."""
        if not self.alpha:
            return self.static
        own = self.latent.smoothed(self._of_members(number))
        return ((1 - self.alpha) * self.static.square() + self.alpha * own).sqrt()

    def _of_members(self, number: int | None) -> Tensor:
        k = len(self.perturbations)
        squares = self.perturbations.square()
        if number is None:
            return squares.sum(0) / (k - 1)
        left = squares.sum(0) - k / (k - 1) * squares[number]
        return left.clamp(min=0) / (k - 2)
