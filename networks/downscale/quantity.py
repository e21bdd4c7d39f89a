"""What is brought from coarse to fine: how cells see it, and how a fine field is made to agree with them.

    spread    y = ln s - mean          c = ½ ln A exp 2y          the logarithm of the root of the mean variance
    members   y = (x - mean of the members) / unit                c = A y

A field agrees with its cells once A+ (c - those of y) is added to it: of members at once, of a logarithm after some
passes, each of which leaves a small part of the disagreement.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from contracts.state import StateSpace
from networks.downscale.card import DownscaleCard
from networks.downscale.scales import Scales

PASSES = 3  # of closing a logarithm


class Quantity(Protocol):
    """One of the two; fields (..., channel, lat, lon)."""

    @property
    def scales(self) -> Scales: ...

    @property
    def has_mean(self) -> bool:
        """Whether what is finer than cells has a mean over times."""
        ...

    def coarse(self, fine: Tensor) -> Tensor:
        """c of y"""
        ...

    def closed(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """y made to agree with c."""
        ...


@dataclass(frozen=True)
class LogSpread:
    """Of an ensemble."""

    scales: Scales
    has_mean = True

    def coarse(self, fine: Tensor) -> Tensor:
        return self.scales.mean((2 * fine).exp()).log() / 2

    def closed(self, fine: Tensor, coarse: Tensor) -> Tensor:
        for _ in range(PASSES):
            fine = fine + self.scales.smallest(coarse - self.coarse(fine))
        return fine


@dataclass(frozen=True)
class Anomaly:
    """Of a member from the mean of all."""

    scales: Scales
    has_mean = False

    def coarse(self, fine: Tensor) -> Tensor:
        return self.scales.mean(fine)

    def closed(self, fine: Tensor, coarse: Tensor) -> Tensor:
        return fine + self.scales.smallest(coarse - self.coarse(fine))


def of_card(card: DownscaleCard, space: StateSpace, device: torch.device | str = "cpu") -> Quantity:
    """That of a network, of fine fields of `space`."""
    scales = Scales.of(card.coarse.grid(), space, card.of == "members", device)
    return LogSpread(scales) if card.of == "spread" else Anomaly(scales)
