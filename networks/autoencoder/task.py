"""The task: to lose less of states, and of differences between them, than the linear latent does.

    r(x) = (decode(encode(x)) - x) / t                      what is lost of a state
    loss = mean of w (1/2 r(x_1)^2 + 1/2 r(x_2)^2 + differences (r(x_2) - r(x_1))^2)

over channels, places and pairs of states `rollout` steps apart; w weighs by area.  What an analysis adds is a
difference: of it r(x_2) - r(x_1) is lost.  Scores are those of states unseen, at lead 0, and of their differences, at
the time between them; those of the linear latent stand beside them.

b_clim is that of the linear latent, times how much larger its numbers' differences have become, mode by mode, band by
band and half by half: mean of (z_2 - z_1)^2 over the pairs of the validation.
"""

import copy
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from contracts.constants import HOUR
from contracts.errors import UserError
from networks import planes
from networks.autoencoder.card import AutoencoderCard, Settings
from networks.autoencoder.network import Autoencoder
from networks.card import Card
from networks.checkpoint import Checkpoint
from networks.latent import card as latents
from networks.latent.operator import Operator
from networks.training import cards, config, statistics, validation
from networks.training.config import Phase
from networks.training.loss import Scores
from networks.training.task import Batch, Data, Place, Roles, Score, Validated

FOR_SPREAD = 64  # states of the training years, for the size of what the convolutions are shown
PIECE = 8  # pairs at once in a validation
Lost = Callable[[Tensor], Tensor]  # states (B, channel * column), dimensionless -> what is left of them


@dataclass(frozen=True)
class Encoding:
    """A `Task`: an `Autoencoder` learns to hold states; `unseen` (n, 2) are pairs of states to validate with."""

    settings: config.Settings
    sizes: Settings
    data: Data
    network: Autoencoder
    card: Card[AutoencoderCard]
    weights: Tensor  # of area, (lat, lon)
    unseen: np.ndarray
    roles: Roles = Roles()

    def span(self, phase: Phase) -> int:
        return phase.rollout

    def loss(self, batch: Batch, place: Place) -> Tensor:
        return self.lost(batch.fields[0], batch.fields[-1])

    def lost(self, first: np.ndarray, last: np.ndarray) -> Tensor:
        """The loss of pairs of states (B, channel, lat, lon)."""
        xi = self.dimensionless(np.stack([first, last]))
        r = self.left(xi) - xi
        each, between = (self.mean_square(part) for part in (r, r[1] - r[0]))
        return each + self.sizes.differences * between

    def left(self, xi: Tensor) -> Tensor:
        return self.network.decoded(self.network.encoded(xi))

    def mean_square(self, r: Tensor) -> Tensor:
        return (self.weights.flatten() * r.unflatten(-1, (-1, self.weights.numel())).square()).mean()

    def dimensionless(self, fields: np.ndarray) -> Tensor:
        """xi (..., channel * column) of `fields` (..., channel, lat, lon)."""
        linear = self.network.linear
        return (torch.from_numpy(fields).to(linear.mean.device).flatten(-3) - linear.mean) / linear.scale

    @torch.no_grad()
    def scores(self, place: Place) -> Validated:
        total = sum(float(self.lost(*pair)) * len(pair[0]) for pair in self._pairs())
        return Validated(total / len(self.unseen), self._scored("autoencoder", self.left))

    @torch.no_grad()
    def references(self) -> list[Score]:
        """The linear latent."""
        linear = self.network.linear
        return list(self._scored("eof", lambda xi: linear.put_back(linear.project(xi))))

    def _scored(self, kind: str, left: Lost) -> tuple[Score, ...]:
        states, differences = (Scores(self.settings.space.grid.area_weights) for _ in range(2))
        linear, climate = self.network.linear, self.data.statistics.climatology
        for window, (first, last) in zip(self._windows(), self._pairs(), strict=True):
            kept = [(linear.mean + linear.scale * left(self.dimensionless(x))).cpu().numpy().reshape(x.shape)
                    for x in (first, last)]
            expected = [climate.at(self.data.series.seconds[times_of]) for times_of in window.T[[0, -1]]]
            states.add(kept[0], first, expected[0])
            differences.add(first + kept[1] - kept[0], last, expected[1])
        space, apart = self.settings.space, (self.unseen.shape[1] - 1) * self.settings.experiment.step_hours
        return validation.rows(kind, space, states) + validation.rows(kind, space, differences, apart)

    def _windows(self) -> list[np.ndarray]:
        return [self.unseen[i : i + PIECE] for i in range(0, len(self.unseen), PIECE)]

    def _pairs(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """The states at both ends of each of `_windows`."""
        series = self.data.series
        return [(series.fields(window[:, 0]), series.fields(window[:, -1])) for window in self._windows()]

    def checkpoint(self, best: Mapping[str, Tensor]) -> Checkpoint:
        network = copy.deepcopy(self.network)
        network.load_state_dict(best)
        arrays = {name: tensor.numpy() for name, tensor in best.items()}
        arrays["variance"] = self.variance(network).cpu().numpy()
        return Checkpoint(self.card, arrays, statistics.constants(self.data.series))

    @torch.no_grad()
    def variance(self, network: Autoencoder) -> Tensor:
        """(size,) b_clim of the latent of `network`."""
        linear = network.linear
        own, of_linear = torch.zeros_like(linear.variance), torch.zeros_like(linear.variance)
        for first, last in self._pairs():
            xi = self.dimensionless(np.stack([first, last]))
            for encode, total in ((network.encoded, own), (linear.project, of_linear)):
                z = encode(xi)
                total += (z[1] - z[0]).square().sum(0)
        return linear.variance * linear.over_patches(own) / linear.over_patches(of_linear)


def of(settings: config.Settings, sizes: Settings, data: Data) -> Encoding:
    """The task; raises UserError where latent, sizes or data do not fit."""
    if settings.begin is not None:
        raise UserError("[training] begin: an autoencoder begins with its linear latent; leave it out")
    space, path = settings.space, settings.experiment.in_work(sizes.latent)
    linear = Operator.of(latents.read(path, space), data.device)
    if sizes.layers > space.grid.shape[0] // 2:
        raise UserError(f"[network] layers = {sizes.layers} reach farther than a hemisphere of "
                        f"{space.grid.shape[0] // 2} rows: take fewer")
    apart = max(phase.rollout for phase in settings.training.phases)
    starts = data.series.starts(*settings.validation, settings.experiment.step_hours * HOUR, apart)
    unseen = validation.spread(starts, settings.training.validation_samples)
    if not len(unseen):
        raise UserError(f"{data.series.folder.folder}: holds no pair of states for validation; it holds "
                        f"{data.series.span}")
    card = card_of(settings, sizes, data, hashlib.sha256(path.read_bytes()).hexdigest())
    weights = torch.tensor(space.grid.area_weights, dtype=torch.float32, device=data.device)
    return Encoding(settings, sizes, data, fresh(settings, card, linear, data), card, weights, unseen)


def card_of(settings: config.Settings, sizes: Settings, data: Data, latent_sha256: str) -> Card[AutoencoderCard]:
    """The card of the weights that this training makes."""
    own = AutoencoderCard(hidden=sizes.hidden, layers=sizes.layers, latent_sha256=latent_sha256)
    return cards.made(settings, own, data.statistics.moments)


def fresh(settings: config.Settings, card: Card[AutoencoderCard], linear: Operator, data: Data) -> Autoencoder:
    """The network as it begins, drawn from the experiment's seed; it gives what the linear latent gives."""
    torch.manual_seed(settings.experiment.seed)
    own, series = card.network, data.series
    network = Autoencoder(settings.space, own.hidden, own.layers, linear, planes.of(card, statistics.constants(series)),
                          data.precision)
    step = settings.experiment.step_hours * HOUR
    states = np.concatenate([series.starts(*period, step, 0)[:, 0] for period in settings.periods])
    xi = (torch.from_numpy(series.fields(validation.spread(states, FOR_SPREAD))).flatten(1) - linear.mean.cpu())
    of_channels = (xi / linear.scale.cpu()).reshape(-1, *settings.space.shape).square().mean((0, 2, 3)).sqrt()
    network.spread.copy_(of_channels[:, None, None].clamp(min=1e-6))
    return network.to(data.device)
