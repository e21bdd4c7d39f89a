"""From fields in SI units to what the network sees, and from what it says to the fields one step later.

    inputs = (x - mean) / std, then the constant fields, in the order of the card
    next   = x + tendency_std · y     if the network predicts the tendency
    next   = mean + std · y           if it predicts the field

Training and forecasts share this one definition.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model_server import normalization
from model_server.checkpoint import Card, Checkpoint
from model_server.models.climax.network import Architecture, ClimaX, Layout
from model_server.normalization import CONSTANTS


@dataclass(frozen=True)
class Stepping:
    """For fields in the order of `channels`, ascending latitude."""

    card: Card
    take: Tensor  # (inputs,) number of each input among channels and constants
    constants: Tensor  # (constant, lat, lon), normalised
    mean: Tensor  # (channel, 1, 1)
    std: Tensor
    scale: Tensor  # what the network's output is multiplied with
    token: tuple[int, ...]  # number of each input among the network's tokens
    output: tuple[int, ...]  # number of each channel among the head's fields

    @classmethod
    def of(cls, card: Card, constants: dict[str, np.ndarray], channels: Sequence[str],
           device: torch.device | str = "cpu") -> "Stepping":  # fmt: skip
        """Raises ValueError where the card cannot carry `channels` forward."""
        _refuse_open_loop(card, channels)
        fields = [(constants[name] - card.normalization[name].mean) / card.normalization[name].std
                  for name in card.inputs if name in CONSTANTS]  # fmt: skip
        known = [*channels, *(name for name in card.inputs if name in CONSTANTS)]
        mean, std = normalization.columns(card.normalization, channels)
        scale = std
        if card.predicts == "tendency":
            scale = np.array([card.normalization[name].tendency_std for name in channels], np.float32)[:, None, None]
        stacked = np.stack(fields) if fields else np.empty((0, *card.horizontal.shape))
        return cls(
            card=card,
            take=torch.tensor([known.index(name) for name in card.inputs], device=device),
            constants=torch.tensor(stacked, dtype=torch.float32, device=device),
            mean=torch.tensor(mean, device=device),
            std=torch.tensor(std, device=device),
            scale=torch.tensor(scale, device=device),
            token=tuple(card.network.tokens.index(name) for name in card.inputs),
            output=tuple(card.network.head.index(name) for name in channels),
        )

    def inputs(self, fields: Tensor) -> Tensor:
        """(B, channel, lat, lon) -> (B, input, lat, lon), rows as the network knows them."""
        constants = self.constants.expand(len(fields), -1, -1, -1)
        return self._turned(torch.cat([(fields - self.mean) / self.std, constants], dim=1)[:, self.take])

    def next(self, fields: Tensor, output: Tensor) -> Tensor:
        """Fields and the network's output for them (B, channel, lat, lon) -> fields one step later."""
        change = self._turned(output) * self.scale
        return change + (fields if self.card.predicts == "tendency" else self.mean)

    @property
    def lead(self) -> float:
        """What the network is told of the lead time."""
        return self.card.lead_hours / self.card.lead_scale

    def _turned(self, fields: Tensor) -> Tensor:
        return fields.flip(-2) if self.card.grid.latitude == "descending" else fields


def architecture(card: Card) -> Architecture:
    """Sizes of the network; raises ValueError where they cannot be."""
    network = card.network
    return Architecture(
        card.grid.nlat, card.grid.nlon, len(network.tokens), len(network.head), network.patch, network.embed_dim,
        network.depth, network.heads, network.decoder_depth, network.mlp_ratio,
    )  # fmt: skip


def layout_of(weights: Sequence[str]) -> Layout:
    """Which of upstream's layouts these parameter names belong to."""
    return "parallel" if "token_embeds.proj_weights" in weights else "serial"


def shapes(card: Card, layout: Layout) -> dict[str, tuple[int, ...]]:
    """Every parameter of the card's network, without allocating one."""
    with torch.device("meta"):
        network = ClimaX(architecture(card), layout)
    return {name: tuple(parameter.shape) for name, parameter in network.state_dict().items()}


def build(checkpoint: Checkpoint) -> ClimaX:
    """The network with its weights; names and shapes must have been checked (`shapes`)."""
    with torch.device("meta"):
        network = ClimaX(architecture(checkpoint.card), layout_of(list(checkpoint.weights)))
    weights = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in checkpoint.weights.items()}
    network.load_state_dict(weights, strict=True, assign=True)
    return network.eval()


def _refuse_open_loop(card: Card, channels: Sequence[str]) -> None:
    unknown = [name for name in channels if name not in card.outputs]
    if unknown:
        raise ValueError(f"{card.name} does not predict {', '.join(unknown)}; it predicts {', '.join(card.outputs)}")
    missing = [name for name in card.fed_back if name not in channels]
    if missing:
        raise ValueError(f"{card.name} needs {', '.join(missing)} among the channels")
