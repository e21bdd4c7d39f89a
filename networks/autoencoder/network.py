"""The autoencoder: a linear latent, and what convolutions add before and after it.

    xi = (x - c) / t
    encode  z = P (xi + E(xi))               P, R, c, t of a linear latent (`networks.latent.operator`)
    decode  xi = R z + F(R z),   x = c + t xi

E and F are convolutions over both halves of the globe (`halves`) that are told of orography, land and latitude, and
give nothing before they have learned: then encode and decode are the linear latent's own, to the bit.  Both are
differentiable.  An increment of zeta ~ N(0, I) to a state with latent z is

    dx = decode(z + S^(1/2) sqrt(b) zeta) - decode(z)

on S patch grids, of which R takes the mean: without F that is the linear one, t S^(-1/2) sum_s D_s(sqrt(b_s) zeta_s),
whatever z; with F it is another one for each z (Melinc et al. 2025, arXiv 2506.11968).
"""

from math import sqrt

import numpy as np
import torch
from torch import Tensor, nn

from contracts.state import StateSpace
from contracts.variables import VARIABLES
from networks.autoencoder import halves
from networks.emulator import Precision
from networks.latent.operator import Operator
from networks.latent.patches import mirror_sign

WIND = ("eastward_wind", "northward_wind")  # point the other way beyond a pole
PLANES = 4  # of what does not change: orography, land, sine and cosine of latitude


class Correction(nn.Module):
    """E or F: (B, channel, lat, lon) and planes that do not change -> (B, channel, lat, lon)."""

    across_pole: Tensor  # (channel + plane, 1, 1)
    mirror: Tensor

    def __init__(self, space: StateSpace, hidden: int, layers: int):
        super().__init__()
        channels = len(space.channels)
        self.layers, self.channels = layers, channels
        inputs = [channels + PLANES, *(layers - 1) * [hidden]]
        self.convolutions = nn.ModuleList(nn.Conv2d(width, hidden, 3) for width in inputs)
        self.last = nn.Conv2d(hidden, channels, 1)
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)
        mirror = np.append(mirror_sign(space), [1, 1, -1, 1])  # the sine of latitude has another sign in the mirror
        wind = [VARIABLES[channel.variable].standard_name in WIND for channel in space.channels]
        for name, sign in (("across_pole", np.append(np.where(wind, -1, 1), [1] * PLANES)), ("mirror", mirror)):
            self.register_buffer(name, torch.tensor(sign, dtype=torch.float32)[:, None, None], persistent=False)

    def forward(self, fields: Tensor, still: Tensor) -> Tensor:
        x = torch.cat([fields, still.expand(len(fields), -1, -1, -1)], dim=1)
        x = halves.halves(x, self.layers, self.across_pole, self.mirror)
        for convolution in self.convolutions:
            x = nn.functional.gelu(convolution(x))
        return halves.whole(self.last(x), self.mirror[: self.channels])


class Autoencoder(nn.Module):
    """The network about a linear latent; states are (..., channel, column) in SI units, latent vectors (..., size).

    `still` (plane, lat, lon) is what does not change (`planes`); `precision` that of the convolutions' products.
    """

    spread: Tensor  # (channel, 1, 1) of xi: the size of what the convolutions are shown
    still: Tensor
    variance: Tensor  # (size,) b_clim

    def __init__(self, space: StateSpace, hidden: int, layers: int, linear: Operator, still: np.ndarray,
                 precision: Precision = "float32"):
        super().__init__()
        self.space, self.linear, self.precision = space, linear, precision
        self.before, self.after = Correction(space, hidden, layers), Correction(space, hidden, layers)
        self.register_buffer("spread", torch.ones(len(space.channels), 1, 1))
        self.register_buffer("variance", linear.variance.clone())
        self.register_buffer("still", torch.tensor(still, dtype=torch.float32), persistent=False)

    @property
    def size(self) -> int:
        """Numbers in a latent vector."""
        return self.linear.size

    def encode(self, x: Tensor) -> Tensor:
        """x (..., channel, column) -> z (..., size)."""
        return self.encoded((x.flatten(-2) - self.linear.mean) / self.linear.scale)

    def decode(self, z: Tensor) -> Tensor:
        """z (..., size) -> x (..., channel, column)."""
        x = self.linear.mean + self.linear.scale * self.decoded(z)
        return x.unflatten(-1, (len(self.space.channels), -1))

    def increment(self, z: Tensor, zeta: Tensor, deviation: Tensor) -> Tensor:
        """dx (..., channel, column) of standard normal `zeta` (..., size) to states with the latent `z`; `deviation`
        (size,) is sqrt(b)."""
        return self.decode(z + sqrt(len(self.linear.grids)) * deviation * zeta) - self.decode(z)

    def encoded(self, xi: Tensor) -> Tensor:
        """(..., channel * column), dimensionless -> z (..., size)."""
        return self.linear.project(xi + self._corrected(self.before, xi))

    def decoded(self, z: Tensor) -> Tensor:
        """z (..., size) -> (..., channel * column), dimensionless."""
        xi = self.linear.put_back(z)
        return xi + self._corrected(self.after, xi)

    def _corrected(self, correction: Correction, xi: Tensor) -> Tensor:
        fields = xi.reshape(-1, *self.space.shape) / self.spread
        with torch.autocast(xi.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            return correction(fields, self.still).to(xi.dtype).reshape(xi.shape)
