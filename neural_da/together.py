"""B of the climate and of the members, of several states at once.

    B = (1 - w) alpha^2 s C s + w rho o P_e            s, C of networks.climate; rho o P_e as in `circles`

Products of matrices, whose modes and departures are read once for all states: the bits of one state depend on how many
stand beside it, and on its place among them, not on what they are.  So groups are always full (`side_by_side`).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from networks.climate.gaussian import Climate
from neural_da.circles import OfMembers


@dataclass(frozen=True)
class OfClimate:
    """s C s of a climate, in its precision."""

    climate: Climate

    @property
    def dtype(self) -> torch.dtype:
        return torch.from_numpy(self.climate.scale).dtype

    @cached_property
    def modes(self) -> Tensor:
        """(wavenumber, mode, row) complex."""
        return torch.from_numpy(self.climate.correlation.modes)

    def apply(self, X: Tensor) -> Tensor:
        """s C s times each of `X` (m, channel, column)."""
        C, s = self.climate.correlation, torch.from_numpy(self.climate.scale)
        (channels, nlat, nlon), rest = s.shape, torch.from_numpy(C.rest)[:, None, None]
        spectra = torch.fft.rfft(s.flatten(0, 1) * X.reshape(-1, channels * nlat, nlon), norm="ortho")
        spectra = spectra.permute(2, 1, 0).contiguous()  # (wavenumber, row, m)
        inside = torch.from_numpy(C.variance)[:, :, None] - rest
        coefficients = torch.bmm(self.modes, spectra.conj()).conj()
        spectra = rest * spectra + torch.bmm(self.modes.mT, inside * coefficients)
        fields = torch.fft.irfft(spectra.permute(2, 1, 0), n=nlon, norm="ortho")
        return s.view(X.shape[1:]) * fields.reshape(X.shape)


@dataclass(frozen=True)
class Covariances:
    """B of each member: `alpha_squared` times that of the `climate`, and that of the `members` of `weight` w."""

    climate: OfClimate
    alpha_squared: float
    members: OfMembers | None = None
    weight: float = 0.0

    def apply(self, X: Tensor, numbers: np.ndarray) -> Tensor:
        """B times each of `X` (m, channel, column), that of the members of these `numbers` (m,)."""
        found = (1 - self.weight) * self.alpha_squared * self.climate.apply(X)
        if self.members is None:
            return found
        return found + self.weight * self.members.apply(X, self.members.weights[numbers])
