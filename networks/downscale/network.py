"""The network: what is finer than its cells of a field, told the cells and the place.

    g = closed(B c + m)              the guess: bilinear, its mean error of the training times m taken away
    r = (y - g) / s                  s the deviation that is left in those times, by channel and place
    gaussian    y ~ closed(g + s a), deviation s exp b                           (a, b) = N(told)
    diffusion   D(r'; sigma) = r' / p² + sigma / p N(r' / p, told; ln sigma),   r' = r + sigma n,   p² = 1 + sigma²

`told` are the guess before its map as an anomaly, m and s, orography, land, latitude and the local hour. N is the
pyramid of `networks.denoiser`, zero before it has learned: then y is the guess with white Gaussian
noise of deviation s.  Means of cells agree with c (`quantity`) whatever N says.  The date is not told: what is learned
in a part of a year says nothing of another.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from contracts.constants import HOUR
from contracts.grid import Grid
from networks import planes
from networks.denoiser import flow
from networks.denoiser.network import Pyramid
from networks.downscale.card import DownscaleCard
from networks.downscale.quantity import Quantity
from networks.emulator import Precision

HOURS = 2  # numbers of the hour of the sun
DAY = 24 * HOUR
LEVELS = 16  # of noise, of a sample


@dataclass(frozen=True)
class Shape:
    """Sizes of the network, of `channels`."""

    channels: int
    card: DownscaleCard

    @property
    def told(self) -> int:
        return 3 * self.channels + planes.COUNT + HOURS

    @property
    def ends(self) -> tuple[int, int]:
        """Fields in and out."""
        noisy, out = (0, 2) if self.card.method == "gaussian" else (1, 1)
        return self.told + noisy * self.channels, out * self.channels


@dataclass(frozen=True)
class Given:
    """What is known of B fields: `coarse` c (B, channel, cells), `guess` g and `told` (B, plane, lat, lon)."""

    coarse: Tensor
    guess: Tensor
    told: Tensor


class Downscaler(Pyramid):
    """N with what the training times say: `middle` (channel, lat, lon) the mean of B c, `size` (channel, 1, 1) its
    deviation from that, `map` m and `scale` s (channel, lat, lon)."""

    middle: Tensor
    size: Tensor
    map: Tensor
    scale: Tensor
    still: Tensor

    def __init__(self, shape: Shape, grid: Grid, quantity: Quantity, still: np.ndarray,
                 precision: Precision = "float32"):
        own = shape.card
        super().__init__(*shape.ends, own.widths, own.blocks, own.noise)
        self.shape, self.grid, self.quantity, self.precision = shape, grid, quantity, precision
        for name in ("middle", "map"):
            self.register_buffer(name, torch.zeros(shape.channels, *grid.shape))
        self.register_buffer("scale", torch.ones(shape.channels, *grid.shape))
        self.register_buffer("size", torch.ones(shape.channels, 1, 1))
        self.register_buffer("still", torch.tensor(still, dtype=torch.float32), persistent=False)

    def given(self, coarse: Tensor, seconds: np.ndarray, known: Tensor | None = None) -> Given:
        """Of cells `coarse` (B, channel, cells) at times `seconds` (B,) since 1970; `known` (B, channel, lat, lon) is
        another map than that of all training times."""
        there = self.quantity.scales.bilinear(coarse)
        known = self.map.expand_as(there) if known is None else known
        of_place = torch.cat([self.scale / self.size, self.still]).expand(len(there), -1, -1, -1)
        told = torch.cat([(there - self.middle) / self.size, known / self.size, of_place, self.hours(seconds)], dim=1)
        return Given(coarse, self.quantity.closed(there + known, coarse), told)

    def hours(self, seconds: np.ndarray) -> Tensor:
        """(B, HOURS, lat, lon): where the sun stands."""
        turn = 2 * np.pi * (np.asarray(seconds)[:, None] % DAY / DAY + self.grid.lon / 360.0)
        waves = torch.tensor(np.stack([np.cos(turn), np.sin(turn)], axis=1), dtype=torch.float32)
        return waves[:, :, None].expand(-1, -1, *self.grid.shape).to(self.still.device)

    def gaussian(self, given: Given) -> tuple[Tensor, Tensor]:
        """Mean and deviation of y (B, channel, lat, lon)."""
        a, b = self.says(given.told, given.told.new_full((len(given.told),), self.ends[1])).chunk(2, dim=1)
        return self.quantity.closed(given.guess + self.scale * a, given.coarse), self.scale * b.exp()

    def denoised(self, noisy: Tensor, sigma: Tensor, given: Given) -> Tensor:
        """D of r with noise `sigma` (B,)."""
        power = (1 + sigma.square())[:, None, None, None]
        said = self.says(torch.cat([noisy / power.sqrt(), given.told], dim=1), sigma)
        return noisy / power + (sigma[:, None, None, None] / power.sqrt()) * said

    @torch.inference_mode()
    def sample(self, given: Given, random: np.random.Generator) -> Tensor:
        """A draw of each y (B, channel, lat, lon)."""
        first = self.ends[1]
        r = np.sqrt(1 + first**2) * random.standard_normal(given.guess.shape, np.float32)

        def mean(z: np.ndarray, sigma: float) -> np.ndarray:
            noise = torch.full((len(z),), sigma, device=given.guess.device)
            return self.denoised(torch.from_numpy(z).to(noise.device), noise, given).cpu().numpy()

        r = flow.carried(mean, r.astype(np.float32), flow.levels(first, LEVELS))
        drawn = given.guess + self.scale * torch.from_numpy(r).to(given.guess.device)
        return self.quantity.closed(drawn, given.coarse)

    def says(self, x: Tensor, sigma: Tensor) -> Tensor:
        """N (B, output, lat, lon) in float32."""
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            return self.pyramid(x, sigma).float()


def crps(mean: Tensor, deviation: Tensor, y: Tensor) -> Tensor:
    """Of Gaussians, point by point, in the unit of y (Gneiting et al. 2005, MWR 133, 1098, eq. 5)."""
    z = (y - mean) / deviation
    below, density = torch.special.ndtr(z), (-z.square() / 2).exp() / np.sqrt(2 * np.pi)
    return deviation * (z * (2 * below - 1) + 2 * density - 1 / np.sqrt(np.pi))
