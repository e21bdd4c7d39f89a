"""The network: what the Wiener filter does not see in a noisy state, spread over all scales.

    N(z / sqrt(1 + sigma^2), W z, place, date; ln sigma)             fields in and out, of about unit variance

A pyramid of convolutions on the sphere (after Ronneberger et al. 2015, arXiv 1505.04597), each block of which is told
the noise by a factor and a shift of its features (after Perez et al. 2018, arXiv 1709.07871).  The last layer is zero
before it has learned: N is then zero to the bit.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, gelu, interpolate

from networks import planes, season
from networks.card import Card
from networks.denoiser.card import DenoiserCard
from networks.emulator import Precision
from networks.sphere import Convolution, ToldBlock, silence

DATE = 2  # numbers of the year that N is told: its first harmonic
WAVES = 4  # of the place of ln sigma between its ends
TOLD = 64  # numbers that tell the noise


@dataclass(frozen=True)
class Shape:
    """Sizes of the network: `channels` of the state, `widths` and `blocks` of its levels; the `noise` it knows, from
    the least to the largest."""

    channels: int
    widths: tuple[int, ...]
    blocks: int
    noise: tuple[float, float]

    @classmethod
    def of(cls, card: Card[DenoiserCard]) -> "Shape":
        own = card.network
        return cls(len(card.outputs), own.widths, own.blocks, own.noise)

    @property
    def inputs(self) -> int:
        """The noisy state, what the Wiener filter makes of it, place and date."""
        return 2 * self.channels + planes.COUNT + DATE


class Level(nn.ModuleList):
    """Blocks one after the other."""

    def __init__(self, width: int, count: int):
        super().__init__(ToldBlock(width, TOLD) for _ in range(count))

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        for block in self:
            x = block(x, noise)
        return x


class Pyramid(nn.Module):
    """`inputs` fields to `outputs` fields, told the noise, of ends `noise`; zero before it has learned."""

    def __init__(self, inputs: int, outputs: int, widths: Sequence[int], blocks: int, noise: tuple[float, float]):
        super().__init__()
        self.ends = noise
        self.noise = nn.Sequential(nn.Linear(1 + 2 * WAVES, TOLD), nn.GELU(), nn.Linear(TOLD, TOLD), nn.GELU())
        self.enter = Convolution(inputs, widths[0])
        self.down = nn.ModuleList(Level(width, blocks) for width in widths)
        self.sink = nn.ModuleList(nn.Conv2d(above, width, 1) for above, width in zip(widths, widths[1:], strict=False))
        self.lift = nn.ModuleList(nn.Conv2d(below, width, 1) for width, below in zip(widths, widths[1:], strict=False))
        self.up = nn.ModuleList(Level(width, blocks) for width in widths[:-1])
        self.leave = Convolution(widths[0], outputs)
        silence(self.leave)

    def pyramid(self, x: Tensor, sigma: Tensor) -> Tensor:
        """(B, input, lat, lon) and noise (B,) -> (B, output, lat, lon)"""
        noise = self.noise(self.waves(sigma))
        x = self.enter(x)
        levels = [x := self.down[0](x, noise)]
        for sink, down in zip(self.sink, self.down[1:], strict=True):
            levels.append(x := down(sink(avg_pool2d(x, 2)), noise))
        for lift, up, beside in reversed(list(zip(self.lift, self.up, levels[:-1], strict=True))):
            x = up(beside + interpolate(lift(x), scale_factor=2.0), noise)
        return self.leave(gelu(x))

    def waves(self, sigma: Tensor) -> Tensor:
        """(B, 1 + 2 WAVES): where ln `sigma` stands between its ends, beyond which nothing was learned."""
        low, high = np.log(self.ends)
        place = ((sigma.log() - low) / (high - low)).clamp(0, 1)[:, None]
        angle = torch.pi * place * torch.arange(1, WAVES + 1, dtype=sigma.dtype, device=sigma.device)
        return torch.cat([2 * place - 1, angle.sin(), angle.cos()], dim=1)


class Network(Pyramid):
    """N; `still` (plane, lat, lon) is what does not change (`networks.planes`)."""

    still: Tensor

    def __init__(self, shape: Shape, still: np.ndarray, precision: Precision = "float32"):
        super().__init__(shape.inputs, shape.channels, shape.widths, shape.blocks, shape.noise)
        self.shape, self.precision = shape, precision
        self.register_buffer("still", torch.tensor(still, dtype=torch.float32), persistent=False)

    def forward(self, z: Tensor, filtered: Tensor, sigma: Tensor, seconds: np.ndarray) -> Tensor:
        """N (B, channel, lat, lon) of noisy states `z` and the same `filtered`, of noise `sigma` (B,), at times
        `seconds` (B,) since 1970."""
        date = torch.tensor(season.basis(seconds, 1 + DATE)[:, 1:], dtype=z.dtype, device=z.device)
        date = date[..., None, None].expand(-1, -1, *z.shape[-2:])
        unit = z / (1 + sigma.square()).sqrt()[:, None, None, None]
        x = torch.cat([unit, filtered, self.still.expand(len(z), -1, -1, -1), date], dim=1)
        with torch.autocast(z.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            found = self.pyramid(x, sigma)
        return found.float()


def halvings(widths: Sequence[int]) -> int:
    """What rows and columns of the grid must be multiples of."""
    return 2 ** (len(widths) - 1)
