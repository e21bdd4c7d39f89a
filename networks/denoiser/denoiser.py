"""The mean of a climate's states given one behind noise: the Wiener filter, and what a network adds to it.

    z = (x - m) / s + sigma n,  n ~ N(0, I)                          m, s of the climate (networks.climate)
    D(z; sigma) = W z + sigma / (2 sqrt(1 + sigma^2)) N(z / sqrt(1 + sigma^2), W z, place, date; ln sigma)

For states of the Gaussian climate itself W z is their mean, and N zero; so is that of a network before it has learned.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from contracts import times
from contracts.errors import UserError
from networks import checkpoint as checkpoints
from networks import planes
from networks.checkpoint import Checkpoint
from networks.climate import gaussian, wiener
from networks.climate.gaussian import Climate
from networks.denoiser.card import ClimateCard, DenoiserCard
from networks.denoiser.network import Network, Shape
from networks.emulator import Precision
from networks.loading import fill

CLOSE = 1e-3  # of two fits to the same states, on different machines


@dataclass(frozen=True)
class Denoiser:
    """D of a `climate`, with a `network` or, without one, the Wiener filter."""

    climate: Climate
    network: Network | None = None

    def filtered(self, z: np.ndarray, sigma: float) -> np.ndarray:
        """W z (..., channel, lat, lon)."""
        return self.climate.correlation.apply(gaussian.wiener(sigma), z)

    @torch.inference_mode()
    def estimate(self, z: np.ndarray, sigma: float, time: datetime) -> np.ndarray:
        """D (m, channel, lat, lon) of noisy states `z` of `time`, one by one: the bits of one do not depend on what
        stands beside it."""
        found = self.filtered(z, sigma)
        if self.network is not None:
            seconds = np.array([times.to_seconds(time)])
            for one, filtered in zip(z, found, strict=True):
                both = (torch.as_tensor(field[None], dtype=torch.float32) for field in (one, filtered))
                more = self.network(*both, torch.tensor([sigma], dtype=torch.float32), seconds)[0]
                filtered += half_width(sigma) * more.numpy()
        return found

    @cached_property
    def seen(self) -> ClimateCard:
        """Of the climate."""
        return of_climate(self.climate)


def half_width(sigma: float) -> float:
    """sigma / (2 sqrt(1 + sigma^2)), the size of what N adds."""
    return float(sigma / (2 * np.sqrt(1 + sigma**2)))


def correction(sigma: Tensor) -> Tensor:
    """The same of tensors."""
    return sigma / (2 * (1 + sigma.square()).sqrt())


def of_climate(climate: Climate) -> ClimateCard:
    """What tells a climate from others, to the precision of a fit."""
    errors = (climate.correlation.mean_variance(gaussian.remaining(sigma)) for sigma in wiener.SIGMAS)
    return ClimateCard(len(climate.fitted), int(climate.fitted[0]), int(climate.fitted[-1]), tuple(errors))


def read(path: Path, climate: Climate, precision: Precision = "float32") -> tuple[Denoiser, Checkpoint[DenoiserCard]]:
    """The denoiser of the weights at `path`, which were trained about this `climate`; raises UserError where they were
    not, or do not fit."""
    found: Checkpoint[DenoiserCard] = checkpoints.read(path)
    card = found.card
    if not isinstance(card.network, DenoiserCard):
        raise UserError(f"{path}: expected a network of the kind denoiser, got one of the kind {card.kind}; name "
                        "others")
    names = tuple(channel.name for channel in climate.space.channels)
    if card.outputs != names or not climate.space.grid.is_same(card.horizontal):
        raise UserError(f"{path}: is a denoiser of states of other channels, or on another grid, than [state] and "
                        "[grid] name; name one of theirs")
    refuse_other(path, card.network.climate, climate)
    network = Network(Shape.of(card), planes.of(card, found.constant_inputs), precision)
    fill(network, found, path)
    return Denoiser(climate, network.eval()), found


def refuse_other(path: Path, known: ClimateCard, climate: Climate) -> None:
    """Raises UserError where `climate` is not the one that the weights at `path` correct."""
    found = of_climate(climate)
    same = replace_errors(found) == replace_errors(known)
    if not same or not np.allclose(found.errors, known.errors, rtol=CLOSE):
        first, last = (times.name(times.from_seconds(end)) for end in (known.first, known.last))
        raise UserError(f"{path}: corrects a climate of {known.states} states from {first} to {last}, and that of the "
                        "experiment is another; fit that one by python -m networks climate, or train a network for "
                        "this one")


def replace_errors(card: ClimateCard) -> ClimateCard:
    """Without what depends on rounding."""
    return ClimateCard(card.states, card.first, card.last, ())
