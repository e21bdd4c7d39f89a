r"""The task: what a state was before noise of any size was added to it.

    z = (x - m) / s,   n ~ N(0, I),   ln sigma even between the ends of `noise`
    loss = mean of  w ((D(z + sigma n; sigma) - z) / (sigma / (2 sqrt(1 + sigma^2))))^2        w area, mean one

so that each noise counts alike: it is the error of N in its own units (after Karras et al. 2022, arXiv 2206.00364).
D is that of `denoiser`.  Scores are those of `SIGMAS` in a year that is not trained on, beside those of the Wiener
filter; in scores.csv stand the errors at noise 1, in SI units.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from contracts import times
from contracts.errors import UserError
from networks import checkpoint as checkpoints
from networks import planes
from networks.card import Card
from networks.checkpoint import Checkpoint
from networks.climate import file
from networks.climate.gaussian import Climate
from networks.climate.wiener import SIGMAS
from networks.denoiser import denoiser
from networks.denoiser.card import DenoiserCard, Settings
from networks.denoiser.denoiser import Denoiser
from networks.denoiser.network import Network, Shape, halvings
from networks.loading import fill
from networks.training import cards, config, statistics, validation
from networks.training.config import Phase
from networks.training.loss import Scores
from networks.training.task import Batch, Data, Place, Roles, Score, Validated

log = logging.getLogger("networks.train")
VALIDATION = 10**6  # tells the random numbers of the validation from those of the training
SHOWN = 1.0  # noise of the errors in scores.csv


@dataclass(frozen=True)
class Denoising:
    """A `Task`: a `Network` learns what the Wiener filter of a `climate` does not see."""

    settings: config.Settings
    data: Data
    network: Network
    climate: Climate
    card: Card[DenoiserCard]
    unseen: np.ndarray  # (n,) numbers of the states to validate with
    roles: Roles = Roles()

    def span(self, phase: Phase) -> int:
        return 0

    def loss(self, batch: Batch, place: Place) -> Tensor:
        random = np.random.default_rng((self.settings.experiment.seed, place.phase, place.epoch, place.batch))
        z, seconds = self.dimensionless(batch.fields[0], batch.seconds[0]), batch.seconds[0]
        sigma = self.drawn_noise(random, len(z))
        noisy = z + sigma[:, None, None, None] * random.standard_normal(z.shape, np.float32)
        error = self.estimated(noisy, sigma, seconds) - torch.from_numpy(z).to(self.data.device)
        return (self.weights * (error / denoiser.correction(self.tensor(sigma))[:, None, None, None]).square()).mean()

    def drawn_noise(self, random: np.random.Generator, count: int) -> np.ndarray:
        """(count,) float32, one in each of as many equal parts of ln sigma."""
        low, high = np.log(self.card.network.noise)
        place = (np.arange(count) + random.random(count)) / count
        return np.exp(low + (high - low) * place).astype(np.float32)

    def dimensionless(self, fields: np.ndarray, seconds: np.ndarray) -> np.ndarray:
        """z float32 of `fields` (B, channel, lat, lon)."""
        away = fields - np.stack([self.climate.mean(times.from_seconds(int(one))) for one in seconds])
        scale = self.climate.scale
        return np.divide(away, scale, out=np.zeros_like(away), where=scale > 0).astype(np.float32)

    def estimated(self, noisy: np.ndarray, sigma: np.ndarray, seconds: np.ndarray) -> Tensor:
        """D (B, channel, lat, lon)."""
        plain = Denoiser(self.climate)
        filtered = self.tensor(np.stack([plain.filtered(*one) for one in zip(noisy, sigma, strict=True)]))
        size = denoiser.correction(self.tensor(sigma))[:, None, None, None]
        return filtered + size * self.network(self.tensor(noisy), filtered, self.tensor(sigma), seconds)

    def tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.asarray(array, np.float32)).to(self.data.device)

    @property
    def weights(self) -> Tensor:
        """(lat, lon), mean one."""
        return self.tensor(self.settings.space.grid.area_weights)

    @torch.no_grad()
    def scores(self, place: Place) -> Validated:
        """By the loss at each of SIGMAS, and by the errors at noise SHOWN."""
        powers, shown = self._errors(corrected=True)
        before, _ = self._errors(corrected=False)
        log.info("error power over that of the Wiener filter: %s",
                 ", ".join(f"{power / of:.3f} (noise {sigma:g})"
                           for sigma, power, of in zip(SIGMAS, powers, before, strict=True)))
        sizes = np.array([denoiser.half_width(sigma) for sigma in SIGMAS])
        return Validated(float((powers / sizes**2).mean()), validation.rows("estimate", self.settings.space, shown))

    @torch.no_grad()
    def references(self) -> list[Score]:
        """The Wiener filter."""
        return list(validation.rows("Wiener filter", self.settings.space, self._errors(corrected=False)[1]))

    def _errors(self, corrected: bool) -> tuple[np.ndarray, Scores]:
        """Mean of w (D - z)^2 for each of SIGMAS, and the errors in SI units at noise SHOWN."""
        of = Denoiser(self.climate, self.network if corrected else None)
        weights, series = self.settings.space.grid.area_weights, self.data.series
        powers, sums = np.zeros(len(SIGMAS)), Scores(weights)
        for number in self.unseen:
            fields, seconds = series.fields([number]), series.seconds[[number]]
            z = self.dimensionless(fields, seconds)
            n = np.random.default_rng((self.settings.experiment.seed, VALIDATION, number)).standard_normal(z.shape)
            for i, sigma in enumerate(SIGMAS):
                found = of.estimate((z + sigma * n).astype(np.float32), sigma, times.from_seconds(int(seconds[0])))
                powers[i] += (weights * (found - z) ** 2).mean() / len(self.unseen)
                if sigma == SHOWN:
                    mean = self.climate.mean(times.from_seconds(int(seconds[0])))[None]
                    sums.add(mean + self.climate.scale * found, fields, mean)
        return powers, sums

    def checkpoint(self, best: Mapping[str, Tensor]) -> Checkpoint:
        arrays = {name: tensor.numpy() for name, tensor in best.items()}
        return Checkpoint(self.card, arrays, statistics.constants(self.data.series))


def of(settings: config.Settings, sizes: Settings, data: Data) -> Denoising:
    """The task; raises UserError or ContractError where climate, settings or data do not fit."""
    refuse_misfit(settings, sizes)
    climate = file.read(settings.experiment.in_work(sizes.climate), settings.space).astype(np.float32)
    refuse_seen(settings, sizes, climate)
    unseen = validation.states(settings, data.series)
    card = card_of(settings, sizes, data, climate)
    torch.manual_seed(settings.experiment.seed)
    network = Network(Shape.of(card), planes.of(card, statistics.constants(data.series)), data.precision)
    if settings.begin is not None:
        fill(network, checkpoints.read(settings.begin), settings.begin)
    return Denoising(settings, data, network, climate, card, unseen)


def card_of(settings: config.Settings, sizes: Settings, data: Data, climate: Climate) -> Card[DenoiserCard]:
    """The card of the weights that this training makes."""
    own = DenoiserCard(widths=sizes.widths, blocks=sizes.blocks, noise=sizes.noise,
                       climate=denoiser.of_climate(climate))
    return cards.made(settings, own, data.statistics.moments)


def refuse_misfit(settings: config.Settings, sizes: Settings) -> None:
    """Raises UserError where the grid cannot be halved so often, or a phase asks for what only forecasts have."""
    halved = halvings(sizes.widths)
    if any(number % halved for number in settings.space.grid.shape):
        raise UserError(f"[network] widths has {len(sizes.widths)} levels, each on a grid of half as many rows and "
                        f"columns as the one before: expected both to be multiples of {halved}, got the "
                        f"{settings.space.grid}; give fewer widths")
    for number, phase in enumerate(settings.training.phases, 1):
        if phase.rollout > 1 or phase.noise or phase.mixing:
            raise UserError(f"[[training.phases]] {number}: rollout, noise and mixing are for forecasts; a denoiser "
                            "has none, remove them")


def refuse_seen(settings: config.Settings, sizes: Settings, climate: Climate) -> None:
    """Raises UserError where the climate was fitted to states that are there to choose weights by."""
    first, last = (times.from_seconds(int(end)) for end in (climate.fitted.min(), climate.fitted.max()))
    start, end = settings.validation
    if first <= end and start <= last:
        raise UserError(f"[network] climate = {sizes.climate!r} was fitted to states of {times.name(first)} to "
                        f"{times.name(last)}, some of which are those of the validation; fit one to other years")
