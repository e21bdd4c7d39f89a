"""The network: what optimal interpolation has missed, from its analysis, its spread and what it left of the
observations.

    z = z_a + N(values, densities, z_a, deviation, place, date)              in scales s about the climate of the date

Values and densities are the departures from the analysis on the grid (`networks.o2l.gridding`), N a pyramid of
convolutions on the sphere (`networks.o2l.network`) whose last layer is zero before it has learned: then z is z_a, to
the bit.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from contracts.grid import Grid
from networks import planes
from networks.card import Card
from networks.emulator import Precision
from networks.o2a.card import O2ACard
from networks.o2l.network import Pyramid, Shape
from networks.sphere import silence

FIELDS = 2  # of each channel beside the observations: analysis and deviation


@dataclass(frozen=True)
class Given:
    """What the network is given of B analyses: `left` (B, 2, channel, lat, lon), g and W of the departures from them,
    `analysis` z_a and `deviation` (B, channel, lat, lon), `seconds` (B,) since 1970."""

    left: Tensor
    analysis: Tensor
    deviation: Tensor
    seconds: np.ndarray


class Corrector(nn.Module):
    """N; `still` (plane, lat, lon) is what does not change (`networks.planes`)."""

    still: Tensor

    def __init__(self, shape: Shape, grid: Grid, still: np.ndarray, precision: Precision = "float32"):
        super().__init__()
        self.shape, self.grid, self.precision = shape, grid, precision
        self.pyramid = Pyramid(shape)
        self.state = nn.Conv2d(shape.widths[0], shape.channels, 1)
        silence(self.state)
        self.register_buffer("still", torch.tensor(still, dtype=torch.float32), persistent=False)

    def forward(self, given: Given) -> Tensor:
        """(B, channel, lat, lon), in scales s."""
        place = torch.cat([planes.dated(self.still, given.seconds), given.analysis, given.deviation], dim=1)
        with torch.autocast(place.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            features = self.pyramid(given.left, place)
        return self.state(nn.functional.gelu(features.float()))


def shape_of(card: Card[O2ACard]) -> Shape:
    """Sizes of the card's network."""
    own, channels = card.network, len(card.outputs)
    return Shape(channels, planes.DATE + planes.COUNT + FIELDS * channels, own.widths, own.blocks, seasons=0)
