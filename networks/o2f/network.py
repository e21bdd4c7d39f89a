"""The network: a forecast, and what is observed at its time, in; the forecast one step later out.

    ξ(t + 1), m(t + 1) = U(g, W, place, date, ξ(t), m(t)) + (gain ξ(t), 0)

ξ are the channels that stations see, in scales about the climate that they know (`climate`); m is a memory; g and W are
the departures of the observations from ξ(t) on the grid (`stations`), both 0 where nothing is observed, so that one
network takes observations in and steps on without them.  U is a pyramid of convolutions on the sphere
(`networks.o2l.network`), zero before it has learned: then an anomaly dies away by the gain.  It begins with ξ = m = 0,
the climate.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from contracts.grid import Grid
from networks import planes, season
from networks.card import Card
from networks.emulator import Precision
from networks.o2f.card import O2FCard
from networks.o2f.stations import Stations
from networks.o2l.network import Pyramid, Shape
from networks.sphere import silence

KEPT = 0.5  # of an anomaly after a step, before anything is learned


@dataclass(frozen=True)
class Carried:
    """ξ (B, channel, lat, lon) and the memory (B, memory, lat, lon) at one time."""

    xi: Tensor
    memory: Tensor


@dataclass(frozen=True)
class Seen:
    """What `stations` observe at one time: departures d (B, n) from the climate, in errors, those that are `used`
    (B, n), 1 or 0; of what departs from the forecast `share` (B, n) is taken, where that is given."""

    stations: Stations
    departure: Tensor
    used: Tensor
    share: Tensor | None = None

    def gathered(self, xi: Tensor) -> Tensor:
        """g and W (B, 2, channel, lat, lon) of what departs from the forecast ξ."""
        left = self.departure - self.stations.observe(xi)
        channels, nlat, nlon = xi.shape[1:]
        return self.stations.gathered(left if self.share is None else left * self.share, self.used,
                                      (channels, nlat, nlon))


class Forecaster(nn.Module):
    """The network with its climate; `still` (plane, lat, lon) is what does not change (`networks.planes`)."""

    still: Tensor
    season: Tensor  # (seasons, channel, lat): the climate of the date, in scales about its mean

    def __init__(self, shape: Shape, memory: int, grid: Grid, still: np.ndarray, precision: Precision = "float32"):
        super().__init__()
        self.shape, self.memory, self.grid, self.precision = shape, memory, grid, precision
        self.pyramid = Pyramid(shape)
        self.state = nn.Conv2d(shape.widths[0], shape.channels + memory, 1)
        silence(self.state)
        self.gain = nn.Parameter(torch.full((shape.channels, 1, 1), KEPT))
        self.register_buffer("still", torch.tensor(still, dtype=torch.float32), persistent=False)
        self.register_buffer("season", torch.zeros(shape.seasons, shape.channels, grid.shape[0]))

    def start(self, count: int) -> Carried:
        """The climate, so many times."""
        zero = self.still.new_zeros
        return Carried(zero(count, self.shape.channels, *self.grid.shape), zero(count, self.memory, *self.grid.shape))

    def forward(self, carried: Carried, seconds: np.ndarray, seen: Seen | None = None) -> Carried:
        """One step from the times `seconds` (B,), with what is observed there, if anything."""
        gathered = carried.xi.new_zeros(len(carried.xi), 2, *carried.xi.shape[1:])
        if seen is not None:
            gathered = seen.gathered(carried.xi)
        place = torch.cat([planes.dated(self.still, seconds), carried.xi, carried.memory], dim=1)
        with torch.autocast(place.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            features = self.pyramid(gathered, place)
        found = self.state(nn.functional.gelu(features.to(carried.xi.dtype)))
        xi, memory = found.split([self.shape.channels, self.memory], dim=1)
        return Carried(self.gain * carried.xi + xi, memory.tanh())

    def climate(self, seconds: np.ndarray) -> Tensor:
        """(B, channel, lat, lon): the climate of the date, in scales about its mean."""
        basis = torch.tensor(season.basis(seconds, self.shape.seasons)).to(self.season)
        rows = torch.tensordot(basis, self.season, dims=1)
        return rows[..., None].expand(*rows.shape, self.grid.shape[1])


def shape_of(card: Card[O2FCard]) -> Shape:
    """Sizes of the card's network."""
    own, channels = card.network, len(card.outputs)
    return Shape(channels, planes.DATE + planes.COUNT + channels + own.memory, own.widths, own.blocks, own.seasons)
