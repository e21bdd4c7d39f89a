"""The task of forecasting an ensemble: members of one truth, each with random numbers of its own, judged by the afCRPS.

    first states    x_m = x + d_0 + d_m    x the truth, d what the phase disturbs first states with, by default nothing:
                                           the truth then lies about x + d_0 as the members do
    then            x_m <- M(x_m, z_m)     z_m remembered from step to step (`networks.noise`)

with gradients through all steps, so that the network learns errors with the memory that forecasts have, and what they
grow to.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from contracts.constants import HOUR
from networks.training.forecasting import Forecasting
from networks.training.loss import Scores, afcrps
from networks.training.task import Batch, Place, Score, Validated
from networks.training.validation import rows

log = logging.getLogger("networks.train")
MEMBERS, VALIDATED = 3, 4  # tell their random numbers from those of first states


@dataclass(frozen=True)
class Ensembles(Forecasting):
    """A `Task`: a stochastic emulator of one past state learns to forecast ensembles."""

    def loss(self, batch: Batch, place: Place) -> Tensor:
        truth = torch.from_numpy(batch.fields).to(self.data.device)
        members = self.first(truth[0], place)
        steps = self.steps(members, batch.seconds[:-1], np.random.default_rng((*self._key(place), MEMBERS)))
        each = [self.compared(ahead, expected) for ahead, expected in zip(steps, truth[1:], strict=True)]
        return torch.stack(each).mean()

    def compared(self, members: Tensor, truth: Tensor) -> Tensor:
        """The loss of one lead, a scalar; members (member, B, channel, lat, lon)."""
        return (self.weights * afcrps(members, truth, self.settings.training.alpha) / self.scale).mean()

    def first(self, truth: Tensor, place: Place) -> Tensor:
        """(member, B, channel, lat, lon)"""
        count = self.settings.training.members + 1
        errors = (self.disturbed(truth.repeat(count, 1, 1, 1), place) - truth.repeat(count, 1, 1, 1)).unflatten(
            0, (count, len(truth)))
        return truth + errors[0] + errors[1:]

    def steps(self, members: Tensor, seconds: np.ndarray, random: np.random.Generator) -> Iterator[Tensor]:
        """Members (member, B, channel, lat, lon) after each step of those that begin at `seconds` (step, B)."""
        count, size = members.shape[:2]
        assert self.emulator.noise is not None
        fields, noise = members.flatten(0, 1), None
        for when in seconds:
            noise = self.emulator.noise.several(noise, [random] * (count * size))
            draws = torch.from_numpy(noise).to(fields.device)[None]
            (fields,) = self.emulator.advance((fields,), np.tile(when, count), draws=draws)
            yield fields.unflatten(0, (count, size))

    @torch.no_grad()
    def scores(self, place: Place) -> Validated:
        """Of the mean of the members, and in the log how well their spread tells its error."""
        unseen, rollout = self.validation, self.settings.training.phases[place.phase].rollout
        sums, total = {lead: _Lead(unseen.series.space.grid.area_weights) for lead in unseen.leads}, 0.0
        for number, window in enumerate(unseen.pieces()):
            for step, ahead in enumerate(self._unseen(window, number, max(rollout, *unseen.leads)), start=1):
                truth, seconds = unseen.series.fields(window[:, step]), unseen.series.seconds[window[:, step]]
                if step <= rollout:
                    here = self.compared(ahead, torch.from_numpy(truth).to(ahead.device))
                    total += float(here) * len(window) / rollout
                if step in sums:
                    sums[step].add(ahead.cpu().numpy(), truth, unseen.climatology.at(seconds))
        log.info("spread/error, mean of channels: %s", ", ".join(
            f"{lead.ratio.mean():.2f} ({steps * unseen.step // 3600} h)" for steps, lead in sums.items()))
        return Validated(total / len(unseen.windows), tuple(self._lines(sums)))

    def _unseen(self, window: np.ndarray, number: int, steps: int) -> Iterator[Tensor]:
        """Members of piece `number` of the validation after each of `steps`, always with the same random numbers."""
        series = self.validation.series
        first = torch.from_numpy(series.fields(window[:, 0])).to(self.data.device)
        members = first.expand(self.settings.training.members, *first.shape)
        random = np.random.default_rng((self.settings.experiment.seed, VALIDATED, number))
        return self.steps(members, series.seconds[window[:, :steps]].T, random)

    def _lines(self, sums: dict[int, "_Lead"]) -> Iterator[Score]:
        for steps, lead in sums.items():
            yield from rows("forecast", self.settings.space, lead.mean, steps * self.validation.step // HOUR)


@dataclass
class _Lead:
    """Sums over the ensembles of one lead."""

    weights: np.ndarray  # (lat, lon), mean 1
    mean: Scores = field(init=False)
    variance: np.ndarray | float = 0.0  # of members about their mean, unbiased, (channel,)
    members: int = 0

    def __post_init__(self):
        self.mean = Scores(self.weights)

    def add(self, members: np.ndarray, truth: np.ndarray, climatology: np.ndarray) -> None:
        """Members (member, B, channel, lat, lon), the others (B, channel, lat, lon)."""
        self.members = len(members)
        self.mean.add(members.mean(axis=0), truth, climatology)
        spread = members.astype(np.float64).var(axis=0, ddof=1)
        self.variance = self.variance + (spread * self.weights).mean(axis=(-2, -1)).sum(axis=0)

    @property
    def ratio(self) -> np.ndarray:
        """√((M + 1)/M) spread / error of the mean, 1 where the ensemble is reliable, (channel,)."""
        return np.sqrt((1 + 1 / self.members) * self.variance / self.mean.count) / self.mean.rmse
