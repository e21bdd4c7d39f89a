"""The task of forecasting, for any emulator: `rollout` steps from a first state, each compared with the truth.

The first state may have noise, parts of differences between other states, and large-scale errors of channels that no
observation sees (`samples`), so that the network learns from states such as analyses leave.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from contracts.errors import UserError
from networks.card import Card
from networks.checkpoint import Checkpoint
from networks.emulator import Emulator
from networks.training import samples, validation
from networks.training.config import Phase, Settings
from networks.training.loss import weighted_square
from networks.training.task import Batch, Data, Place, Roles, Score, Validated
from networks.training.validation import Validation


@dataclass(frozen=True)
class Still:
    """Fields that go with the weights: `constants` (lat, lon) by name, `climatology` (channel, lat, lon) or none."""

    constants: Mapping[str, np.ndarray]
    climatology: np.ndarray | None


@dataclass(frozen=True)
class Forecasting:
    """A `Task`: an emulator of one past state learns to forecast."""

    settings: Settings
    data: Data
    network: nn.Module  # whose weights are trained, part of the emulator
    emulator: Emulator
    card: Card
    scale: Tensor  # of errors in the loss, (channel, 1, 1)
    roles: Roles
    weights: Tensor  # of area, (lat, lon)
    tendency: Tensor  # its standard deviations, (channel, 1, 1)
    still: Still
    validation: Validation

    @classmethod
    def of(cls, settings: Settings, data: Data, network: nn.Module, emulator: Emulator, card: Card, scale: Tensor,
           roles: Roles, still: Still) -> Self:
        """Raises UserError where the emulator needs more than one past state or nothing is left to validate with."""
        if emulator.history != 1:
            raise UserError(f"[network]: a training of networks with {emulator.history} past states is not there yet")
        names, device = [channel.name for channel in settings.space.channels], data.device
        unseen = validation.of(data.series, settings, data.statistics, settings.validation)
        if not len(unseen.windows):
            raise UserError(f"{data.series.folder.folder}: holds no forecast for validation; it holds "
                            f"{data.series.span}")
        return cls(
            settings, data, network, emulator.to(device), card, scale.to(device), roles,
            weights=torch.tensor(settings.space.grid.area_weights, dtype=torch.float32, device=device),
            tendency=torch.tensor([[[data.statistics.moments[name].tendency_std]] for name in names], device=device),
            still=still, validation=unseen,
        )

    def span(self, phase: Phase) -> int:
        return phase.rollout

    def step(self, fields: Tensor, seconds: np.ndarray) -> Tensor:
        """One step with the network's present weights, differentiable."""
        return self.emulator.advance((fields,), seconds)[0]

    def loss(self, batch: Batch, place: Place) -> Tensor:
        truth = torch.from_numpy(batch.fields).to(self.data.device)
        fields, steps = self.disturbed(truth[0], place), len(truth) - 1
        loss = torch.zeros((), device=self.data.device)
        for expected, seconds in zip(truth[1:], batch.seconds, strict=False):
            fields = self.step(fields, seconds)
            loss = loss + weighted_square(fields, expected, self.scale, self.weights) / steps
        return loss

    @torch.no_grad()
    def scores(self, place: Place) -> Validated:
        rollout, device = self.settings.training.phases[place.phase].rollout, self.data.device
        loss = self.validation.loss(self.step, rollout, self.scale, self.weights, device)
        return Validated(loss, tuple(self.validation.scores(self.step, device)))

    def references(self) -> list[Score]:
        return self.validation.references()

    def checkpoint(self, best: Mapping[str, Tensor]) -> Checkpoint:
        arrays = {name: tensor.numpy() for name, tensor in best.items()}
        return Checkpoint(self.card, arrays, self.still.constants, self.still.climatology)

    def disturbed(self, first: Tensor, place: Place) -> Tensor:
        """The first states of a batch as the phase shows them to the network."""
        phase, fields = self.settings.training.phases[place.phase], first
        if phase.noise:
            fields = fields + phase.noise * self.disturbance(place, fields)
        if phase.mixing:
            fields = fields + phase.mixing * self.mixed_in(place, first)
        if self.settings.training.unobserved:
            fields = fields + self.unobserved(place, fields)
        return fields

    def disturbance(self, place: Place, fields: Tensor) -> Tensor:
        """Noise for the first states `fields` of a batch, in standard deviations of the tendency."""
        noise = samples.disturbance(tuple(fields.shape), *self._key(place))
        return self.tendency * torch.from_numpy(noise).to(self.data.device)

    def mixed_in(self, place: Place, fields: Tensor) -> Tensor:
        """Parts of differences between states of the batch, with weights as a local analysis has them."""
        ln_p = np.log([channel.pressure for channel in self.settings.space.channels])
        size, *_, nlat, nlon = fields.shape
        weights = samples.mixing(size, ln_p, (nlat, nlon), *self._key(place))
        return torch.from_numpy(weights).to(self.data.device) * (fields.roll(1, 0) - fields.roll(3, 0))

    def unobserved(self, place: Place, fields: Tensor) -> Tensor:
        """Large-scale errors of the channels that are said to be unobserved; nothing in the others."""
        strengths, names = self.settings.training.unobserved, [channel.name for channel in self.settings.space.channels]
        rows, device = [names.index(name) for name in strengths], self.data.device
        size, _, *horizontal = fields.shape
        pattern = samples.unobserved((size, len(rows), *horizontal), *self._key(place))
        strength = self.tendency[rows] * torch.tensor(list(strengths.values()), device=device)[:, None, None]
        errors = torch.zeros_like(fields)
        errors[:, rows] = strength * torch.from_numpy(pattern).to(device)
        return errors

    def _key(self, place: Place) -> tuple[int, int, int, int]:
        """What the random numbers of a batch follow from."""
        return self.settings.experiment.seed, place.phase, place.epoch, place.batch


def mean_of(data: Data) -> np.ndarray:
    """The mean of all training data (channel, lat, lon)."""
    return data.statistics.climatology.coefficients[0]
