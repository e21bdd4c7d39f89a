"""A trained network as `python -m networks downscale` uses it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from contracts.config import Experiment
from contracts.errors import UserError
from contracts.state import StateSpace
from networks import checkpoint as checkpoints
from networks import normalization, planes
from networks.card import Card
from networks.downscale.card import DownscaleCard
from networks.downscale.network import Downscaler, Given, Shape
from networks.downscale.quantity import of_card
from networks.loading import fill
from networks.unseen import refuse_times_of


@dataclass(frozen=True)
class Trained:
    """A `network` and its `card`; `space` is that of the fine grid, `mean` and `unit` (channel, 1, 1) normalise."""

    network: Downscaler
    card: Card[DownscaleCard]
    space: StateSpace
    mean: np.ndarray
    unit: np.ndarray

    @property
    def coarse(self) -> StateSpace:
        return StateSpace(self.card.network.coarse.grid(), self.space.channels)

    def cells(self, fine: np.ndarray) -> np.ndarray:
        """c in SI units, or logarithms of them, of fine fields (B, channel, lat, lon)."""
        return self.back(self.network.quantity.coarse(self.tensor(fine)))

    def tensor(self, fields: np.ndarray) -> Tensor:
        return torch.from_numpy(((fields - self.mean) / self.unit).astype(np.float32))

    def back(self, y: Tensor) -> np.ndarray:
        return y.numpy() * self.unit + self.mean

    @torch.inference_mode()
    def given(self, coarse: np.ndarray, seconds: int) -> Given:
        """What the network is given of cells (B, channel, cells) of one time."""
        return self.network.given(self.tensor(coarse), np.full(len(coarse), seconds))

    @torch.inference_mode()
    def drawn(self, given: Given, random: np.random.Generator) -> np.ndarray:
        """A draw of each (B, channel, lat, lon): a sample of diffusion, or the mean with white noise of the deviation.
        """
        if self.card.network.method == "diffusion":
            return self.back(self.network.sample(given, random))
        mean, deviation = self.network.gaussian(given)
        noise = torch.from_numpy(random.standard_normal(mean.shape, np.float32))
        return self.back(self.network.quantity.closed(mean + deviation * noise, given.coarse))

    @torch.inference_mode()
    def expected(self, given: Given, draws: int, random: np.random.Generator) -> np.ndarray:
        """The mean of each (B, channel, lat, lon): of diffusion that of so many samples."""
        if self.card.network.method == "gaussian":
            return self.back(self.network.gaussian(given)[0])
        return np.mean([self.drawn(given, random) for _ in range(draws)], axis=0)


def read(path: Path, channels: StateSpace, experiment: Experiment) -> Trained:
    """The network of a checkpoint for the channels of a state space; raises UserError where they are not its own, or
    it has seen times of the `experiment`."""
    found = checkpoints.read(path)
    card = found.card
    if not isinstance(card.network, DownscaleCard):
        raise UserError(f"{path}: expected a network of the kind downscale, got one of the kind {card.kind}; name "
                        "others")
    names = tuple(channel.name for channel in channels.channels)
    if card.outputs != names:
        raise UserError(f"{path}: was trained for {', '.join(card.outputs)}, and [state] names {', '.join(names)}; "
                        "train one for those")
    refuse_times_of(experiment, path, card.seen)
    space = StateSpace(card.horizontal, channels.channels)
    quantity = of_card(card.network, space)
    network = Downscaler(Shape(len(names), card.network), space.grid, quantity, planes.of(card, found.constant_inputs))
    fill(network, found, path)
    mean, unit = normalization.columns(card.normalization, names)
    return Trained(network.eval().requires_grad_(False), card, space, mean, unit)
