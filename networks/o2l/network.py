"""The network: what observations say, spread over the globe, as mean and variance of each number of a latent.

    xi = season(date) + U(values, densities, place, date)        the state, in scales t about the latent's mean c
    mu = P xi                                                     its latent: the mean
    ln r = ln c + L(features of the patch)                        c the climate's variance in the latent

U is a pyramid of convolutions on the sphere (after Ronneberger et al. 2015, arXiv 1505.04597), fed on each level with
the observations gridded as coarsely (`gridding`); L is linear, its weights shared by the patches of a band.  Because
a latent is linear in the state, the mean needs no weights for each patch, and those of patch grids that overlap agree.
Before it has learned anything mu and r are those of the climate.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from math import prod

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from contracts.grid import Grid
from networks import planes, season
from networks.card import Card
from networks.emulator import Precision
from networks.latent.operator import Operator
from networks.o2l import gridding
from networks.o2l.card import O2LCard
from networks.sphere import Block, silence


@dataclass(frozen=True)
class Shape:
    """Sizes of the network: `channels` of the state, `planes` of what is constant, `widths` and `blocks` of U, and
    functions of the date in its climate, `seasons`."""

    channels: int
    planes: int
    widths: tuple[int, ...]
    blocks: int
    seasons: int


@dataclass(frozen=True)
class Estimate:
    """Mean and logarithm of the variance of a latent, (B, size) each."""

    mean: Tensor
    log_variance: Tensor


class Pyramid(nn.Module):
    """U: (B, 2, channel, lat, lon) observations and (B, plane, lat, lon) -> features (B, width, lat, lon)."""

    def __init__(self, shape: Shape):
        super().__init__()
        widths, observed = shape.widths, 2 * shape.channels
        self.enter = nn.ModuleList(nn.Conv2d(observed + (before or shape.planes), width, 1)
                                   for before, width in zip((0, *widths), widths, strict=False))
        self.down = nn.ModuleList(_blocks(width, shape.blocks) for width in widths)
        self.lift = nn.ModuleList(nn.Conv2d(below, width, 1) for width, below in zip(widths, widths[1:], strict=False))
        self.up = nn.ModuleList(_blocks(width, shape.blocks) for width in widths[:-1])

    def forward(self, gathered: Tensor, place: Tensor) -> Tensor:
        levels: list[Tensor] = []
        x = place
        for enter, down in zip(self.enter, self.down, strict=True):
            if levels:
                x, gathered = avg_pool2d(x, 2), gridding.coarser(gathered)
            x = down(enter(torch.cat([gridding.inputs(gathered), x], dim=1)))
            levels.append(x)
        for lift, up, beside in reversed(list(zip(self.lift, self.up, levels[:-1], strict=True))):
            x = up(beside + interpolate(lift(x), scale_factor=2.0))
        return x


class Patchwise(nn.Module):
    """L: features (B, width, column) -> a number for each of a latent, by the mean of the features of its patch."""

    def __init__(self, width: int, latent: Operator, channels: int):
        super().__init__()
        bands = [(entry, P.shape[0]) for grid in latent.grids for entry, P in zip(grid.entry, grid.basis, strict=True)]
        self.columns = [entry[..., : entry.shape[-1] // channels] for entry, _ in bands]  # those of the first channel
        self.bands = nn.ModuleList(nn.Linear(width, k) for _, k in bands)
        silence(self.bands)

    def forward(self, features: Tensor) -> Tensor:
        by_column = features.transpose(-1, -2)  # (B, column, width)
        return torch.cat([linear(by_column[:, columns].mean(-2)).flatten(1)
                          for linear, columns in zip(self.bands, self.columns, strict=True)], dim=-1)


class Observer(nn.Module):
    """The network with its climate; `still` (plane, lat, lon) is what does not change (`planes`)."""

    season: Tensor  # (seasons, channel * column): the mean of the date, dimensionless
    log_climate: Tensor  # (half, k) of each band, one after the other: ln c
    still: Tensor

    def __init__(self, shape: Shape, latent: Operator, grid: Grid, still: np.ndarray, precision: Precision = "float32"):
        super().__init__()
        self.shape, self.latent, self.grid, self.precision = shape, latent, grid, precision
        self.pyramid = Pyramid(shape)
        self.state = nn.Conv2d(shape.widths[0], shape.channels, 1)
        silence(self.state)
        self.variance = Patchwise(shape.widths[0], latent, shape.channels)
        self.register_buffer("season", torch.zeros(shape.seasons, latent.mean.numel()))
        self.register_buffer("log_climate", torch.zeros(sum(half * k for half, _, k in shapes(latent))))
        self.register_buffer("still", torch.tensor(still, dtype=torch.float32), persistent=False)

    def forward(self, gathered: Tensor, seconds: np.ndarray) -> Estimate:
        """Of observations (B, 2, channel, lat, lon) by `gridding.gridded` at times `seconds` (B,) since 1970."""
        place = planes.dated(self.still, seconds)
        with torch.autocast(gathered.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            features = self.pyramid(gathered, place)
        features = nn.functional.gelu(features.float())
        xi = self.mean_of(seconds) + self.state(features).flatten(1)
        return Estimate(self.latent.project(xi), self.climate + self.variance(features.flatten(-2)))

    def mean_of(self, seconds: np.ndarray) -> Tensor:
        """(B, channel * column): the mean of the date, in scales about the latent's mean."""
        return torch.tensor(season.basis(seconds, self.shape.seasons), dtype=torch.float32) @ self.season

    @property
    def climate(self) -> Tensor:
        """(size,) ln c"""
        pieces = self.log_climate.split([half * k for half, _, k in shapes(self.latent)])
        return torch.cat([piece.unflatten(0, (half, 1, k)).expand(half, patches, k).flatten()
                          for piece, (half, patches, k) in zip(pieces, shapes(self.latent), strict=True)])


def shape_of(card: Card[O2LCard]) -> Shape:
    """Sizes of the card's network."""
    own = card.network
    return Shape(len(card.outputs), planes.DATE + planes.COUNT, own.widths, own.blocks, own.seasons)


def shapes(latent: Operator) -> list[tuple[int, ...]]:
    """(half, patch, k) of the parts of a latent vector."""
    return list(chain.from_iterable(grid.shapes for grid in latent.grids))


def climate_variance(latent: Operator, anomalies: Sequence[Tensor]) -> Tensor:
    """c (half, k) of each band, one after the other: the mean square of latent `anomalies` (size,) over them and over
    patches."""
    square = torch.stack([anomaly.square() for anomaly in anomalies]).mean(0)
    parts = square.split([prod(shape) for shape in shapes(latent)])
    return torch.cat([part.unflatten(0, shape).mean(1).flatten()
                      for part, shape in zip(parts, shapes(latent), strict=True)])


def _blocks(width: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(Block(width) for _ in range(count)))
