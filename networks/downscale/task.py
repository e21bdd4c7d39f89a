r"""The task: what a field of an ensemble is on the fine grid, told its means over coarse cells.

    gaussian    loss = mean of w CRPS(N(mean, deviation); y) / s_c
    diffusion   loss = mean of w ((D(r + sigma n; sigma) - r) / (sigma / sqrt(1 + sigma^2)))^2

w area, mean one; s_c the root mean square of s of a channel (`network`); n, and which member of a time is shown, from
the seed and the place. In scores.csv stand errors of the mean, of diffusion D of noise alone, beside the guess's own:
of spreads in the logarithm, of members in SI units; correlations are those of what is added to the guess.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from contracts.errors import UserError
from networks import checkpoint as checkpoints
from networks import planes
from networks.card import Card, GridCard
from networks.checkpoint import Checkpoint
from networks.denoiser.network import halvings
from networks.downscale import fit, members
from networks.downscale.card import DownscaleCard, Settings
from networks.downscale.fit import Fields, Maps
from networks.downscale.members import Members, Samples
from networks.downscale.network import Downscaler, Given, Shape, crps
from networks.downscale.quantity import of_card
from networks.loading import fill
from networks.training import cards, config, plan, statistics, validation
from networks.training.config import Phase
from networks.training.loss import Scores
from networks.training.task import Batch, Data, Place, Roles, Score, Validated

VALIDATION = 10**6  # tells the random numbers of the validation from those of the training
PIECE = 8  # fields at once in a validation
Mean = Callable[[Given], Tensor]


@dataclass(frozen=True)
class Downscaling:
    """A `Task`; `numbers` (n,) are those of the states to validate with."""

    settings: config.Settings
    data: Data
    network: Downscaler
    card: Card[DownscaleCard]
    samples: Samples
    maps: Maps
    numbers: np.ndarray
    roles: Roles = Roles()

    def span(self, phase: Phase) -> int:
        return 0

    def loss(self, batch: Batch, place: Place) -> Tensor:
        random = np.random.default_rng((self.settings.experiment.seed, place.phase, place.epoch, place.batch))
        y = self.samples.drawn(batch.fields[0], batch.seconds[0], random).to(self.data.device)
        seconds = _of_each(batch.seconds[0], y)
        given = self.network.given(self.network.quantity.coarse(y), seconds, self.maps.map(seconds))
        return self.missed(y, given, random)

    def missed(self, y: Tensor, given: Given, random: np.random.Generator) -> Tensor:
        """The loss of fields y (B, channel, lat, lon)."""
        if self.card.network.method == "gaussian":
            unit = self.network.scale.square().mean((-2, -1), keepdim=True).sqrt()
            return (self.weights * crps(*self.network.gaussian(given), y) / unit).mean()
        sigma = self.noises(random, len(y))
        r = (y - given.guess) / self.network.scale
        noise = torch.from_numpy(random.standard_normal(r.shape, np.float32)).to(r.device)
        wide = sigma[:, None, None, None]
        error = self.network.denoised(r + wide * noise, sigma, given) - r
        return (self.weights * error.square() * (1 + 1 / wide.square())).mean()

    def noises(self, random: np.random.Generator, count: int) -> Tensor:
        """(count,), one in each of as many equal parts of ln sigma."""
        low, high = np.log(self.card.network.noise)
        place = (np.arange(count) + random.random(count)) / count
        return torch.tensor(np.exp(low + (high - low) * place), dtype=torch.float32, device=self.data.device)

    @property
    def weights(self) -> Tensor:
        """(lat, lon), mean one."""
        return torch.tensor(self.settings.space.grid.area_weights, dtype=torch.float32, device=self.data.device)

    @torch.no_grad()
    def scores(self, place: Place) -> Validated:
        losses = [(float(self.missed(y, given, random)), len(y)) for y, given, random in self._unseen()]
        mean = sum(loss * count for loss, count in losses) / sum(count for _, count in losses)
        return Validated(mean, self._scored("network", self.mean))

    def mean(self, given: Given) -> Tensor:
        """Of y, by the network."""
        if self.card.network.method == "gaussian":
            return self.network.gaussian(given)[0]
        most = torch.full((len(given.guess),), self.card.network.noise[1], device=self.data.device)
        r = self.network.denoised(torch.zeros_like(given.guess), most, given)
        return self.network.quantity.closed(given.guess + self.network.scale * r, given.coarse)

    @torch.no_grad()
    def references(self) -> list[Score]:
        """The guess."""
        return list(self._scored("bilinear and map", lambda given: given.guess))

    def _scored(self, kind: str, mean: Mean) -> tuple[Score, ...]:
        space = self.settings.space
        units = np.array([self.card.normalization[name].std for name in self.card.outputs])[:, None, None]
        sums = Scores(space.grid.area_weights)
        for y, given, _ in self._unseen():
            sums.add(*(units * field.cpu().numpy() for field in (mean(given), y, given.guess)))
        return validation.rows(kind, space, sums)

    def _unseen(self) -> Iterator[tuple[Tensor, Given, np.random.Generator]]:
        """Pieces of the validation, each with random numbers of its own."""
        series = self.data.series
        for first in range(0, len(self.numbers), PIECE):
            numbers = self.numbers[first : first + PIECE]
            random = np.random.default_rng((self.settings.experiment.seed, VALIDATION, first))
            seconds = series.seconds[numbers]
            y = self.samples.drawn(series.fields(numbers), seconds, random).to(self.data.device)
            yield y, self.network.given(self.network.quantity.coarse(y), _of_each(seconds, y)), random

    def checkpoint(self, best: Mapping[str, Tensor]) -> Checkpoint:
        arrays = {name: tensor.numpy() for name, tensor in best.items()}
        return Checkpoint(self.card, arrays, statistics.constants(self.data.series))


def _of_each(seconds: np.ndarray, y: Tensor) -> np.ndarray:
    """Of each field of y, of which some may be of one time."""
    return seconds.repeat(len(y) // len(seconds))


def of(settings: config.Settings, sizes: Settings, data: Data) -> Downscaling:
    """The task, its map fitted to the training times whatever weights it begins with; raises UserError where grids,
    settings or data do not fit."""
    refuse_misfit(settings, sizes)
    numbers = validation.states(settings, data.series)
    seen = plan.windows_of(data.series, settings, 0)[:, 0]
    samples, moments = _samples(settings, sizes, data, seen)
    own = DownscaleCard(coarse=GridCard.of(sizes.coarse), of=sizes.of, method=sizes.method, noise=sizes.noise,
                        widths=sizes.widths, blocks=sizes.blocks)
    what = "spreads of" if sizes.of == "spread" else "members of"
    card = cards.made(settings, own, moments,
                      seen_as=f"{what} {settings.training.data}, ")
    torch.manual_seed(settings.experiment.seed)
    network = made(card, settings, data)
    if settings.begin is not None:
        fill(network, checkpoints.read(settings.begin), settings.begin)
    network.to(data.device)
    area = torch.tensor(settings.space.grid.area_weights, device=data.device)
    folds = fit.cut(seen, data.series.seconds)
    maps = fit.fit(network, folds, [_fields(samples, data, fold.numbers) for fold in folds], sizes.map_days, area)
    return Downscaling(settings, data, network, card, samples, maps, numbers)


def _fields(samples: Samples, data: Data, numbers: np.ndarray) -> Fields:
    return lambda: (y.to(data.device) for y in samples.fitted(data.series, numbers))


def made(card: Card[DownscaleCard], settings: config.Settings, data: Data) -> Downscaler:
    """The network as it begins."""
    quantity = of_card(card.network, settings.space, data.device)
    still = planes.of(card, statistics.constants(data.series))
    return Downscaler(Shape(len(card.outputs), card.network), settings.space.grid, quantity, still, data.precision)


def _samples(settings: config.Settings, sizes: Settings, data: Data, seen: np.ndarray) -> tuple[Samples, dict]:
    moments = data.statistics.moments
    if sizes.of == "spread":
        return members.of_spread(moments, settings.space)
    one = np.ones((settings.space.shape[0], 1, 1), np.float32)
    plain = Members(settings.ensembles, settings.space, sizes.members, min(sizes.of_each, sizes.members), one)
    return members.of_members(plain, data.series, seen, moments)


def refuse_misfit(settings: config.Settings, sizes: Settings) -> None:
    """Raises UserError where the grids cannot be halved so often or do not differ, or a phase asks for what only
    forecasts have."""
    halved, fine, coarse = halvings(sizes.widths), settings.space.grid, sizes.coarse.grid()
    if any(number % halved for number in fine.shape):
        raise UserError(f"[network] widths has {len(sizes.widths)} levels, each on a grid of half as many rows and "
                        f"columns as the one before: expected both to be multiples of {halved}, got the {fine}; give "
                        "fewer widths")
    if any(few >= many for few, many in zip(coarse.shape, fine.shape, strict=True)):
        raise UserError(f"[network.coarse] expected fewer rows and columns than the {fine} of [grid], got the {coarse}")
