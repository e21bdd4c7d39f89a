"""The task: which error a forecast made, told the state it began from, out of noise that knows nothing of it.

    loss = mean of w (N(q, θ; x, M(x)) - (cos θ r - sin θ n))²      q = cos θ n + sin θ r

n from the Gaussian that errors of the training years are fitted with (`source`), θ even between its ends; w area,
mean one.  Without a network it is about one.  Where a phase has `noise`, x is disturbed, and r is what M of that
misses: the flow then leads back what members have that no state has, and does not make it grow.  In scores.csv stand
the errors of M(x) and of M(x) + E[r | x].
"""

import logging
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from contracts import paths, progress
from contracts.constants import HOUR
from contracts.errors import UserError
from networks import checkpoint as checkpoints
from networks import planes
from networks.card import Card
from networks.checkpoint import Checkpoint
from networks.climax import emulator as forecasts
from networks.climax.emulator import ClimaXEmulator
from networks.flow import emulator, source
from networks.flow.card import FlowCard, Settings
from networks.flow.emulator import FlowEmulator
from networks.flow.network import Flow
from networks.training import cards, config, samples, statistics, validation
from networks.training.config import Phase
from networks.training.loss import Scores
from networks.training.task import Batch, Data, Place, Roles, Score, Validated

log = logging.getLogger("networks.train")
FLOW, VALIDATION = 3, 10**6  # tell random numbers of the flow from those of first states, and of the validation
PIECE = 8  # forecasts at once
MOST = 0.99  # that an error may remember, beside the longest of weather


@dataclass(frozen=True)
class Errors:
    """What is fitted to errors of a forecast network, in standard deviations of the tendency."""

    scale: np.ndarray  # (channel, lat, lon)
    root: np.ndarray  # of the source
    memory: np.ndarray  # (channel,)
    most: np.ndarray  # (field, lat) of what the flow is told of states and their change


@dataclass(frozen=True)
class Flowing:
    """A `Task`: a `Flow` learns the errors of a forecast network."""

    settings: config.Settings
    data: Data
    network: Flow
    emulator: FlowEmulator
    card: Card[FlowCard]
    unseen: np.ndarray  # (n, 2) numbers of the pairs of states to validate with
    roles: Roles = field(default_factory=Roles)

    def span(self, phase: Phase) -> int:
        return 1

    def loss(self, batch: Batch, place: Place) -> Tensor:
        key = (self.settings.experiment.seed, place.phase, place.epoch, place.batch)
        first, noise = batch.fields[0], self.settings.training.phases[place.phase].noise
        if noise:
            scale = self.emulator.forecast.stepping.scale.cpu().numpy()
            first = first + noise * scale * samples.disturbance(first.shape, *key)
        return self.missed(first, batch.fields[1], batch.seconds[0], np.random.default_rng((*key, FLOW)))

    def missed(self, first: np.ndarray, later: np.ndarray, seconds: np.ndarray, random: np.random.Generator) -> Tensor:
        """The loss of pairs of states (B, channel, lat, lon) a step apart, the first of them at `seconds` (B,)."""
        r, told = self.error(first, later, seconds)
        theta = self.tensor((np.arange(len(r)) + random.random(len(r))) / len(r) * np.pi / 2)
        n = self.drawn(random, len(r))
        cosine, sine = (part[:, None, None, None] for part in (theta.cos(), theta.sin()))
        found = self.network(cosine * n + sine * r, theta, told)
        return (self.weights * (found - (cosine * r - sine * n)).square()).mean()

    @torch.no_grad()
    def error(self, first: np.ndarray, later: np.ndarray, seconds: np.ndarray) -> tuple[Tensor, Tensor]:
        """r and what the flow is told of the states."""
        x, truth = self.tensor(first), self.tensor(later)
        (ahead,) = self.emulator.forecast.advance((x,), seconds)
        return (truth - ahead) / self.emulator.size, self.emulator.told(x, ahead, seconds)

    @torch.no_grad()
    def drawn(self, random: np.random.Generator, count: int) -> Tensor:
        """n (B, channel, lat, lon)."""
        assert self.emulator.noise is not None
        return self.network.source(self.tensor(self.emulator.noise.several(None, [random] * count)))

    def tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.asarray(array, np.float32)).to(self.data.device)

    @property
    def weights(self) -> Tensor:
        """(lat, lon), mean one."""
        return self.tensor(self.settings.space.grid.area_weights)

    @torch.no_grad()
    def scores(self, place: Place) -> Validated:
        """By the loss, and by the error that is left of a forecast with the mean of r."""
        total = sum(float(self.missed(*pair, random)) * len(pair[0]) for pair, random in self._pairs())
        return Validated(total / len(self.unseen), self._scored("forecast with its mean error", corrected=True))

    @torch.no_grad()
    def references(self) -> list[Score]:
        """The forecast network alone."""
        return list(self._scored("forecast", corrected=False))

    def _scored(self, kind: str, corrected: bool) -> tuple[Score, ...]:
        sums, climate = Scores(self.settings.space.grid.area_weights), self.data.statistics.climatology
        step = self.settings.experiment.step_hours
        for (first, later, seconds), random in self._pairs():
            r, told = self.error(first, later, seconds)
            # At θ = 0 q is noise alone, and what N makes of it the mean of r, told the state.
            mean = self.network(self.drawn(random, len(r)), r.new_zeros(len(r)), told) if corrected else 0 * r
            left = (self.emulator.size * (mean - r)).cpu().numpy()
            sums.add(later + left, later, climate.at(seconds + step * HOUR))
        return validation.rows(kind, self.settings.space, sums, step)

    def _pairs(self) -> Iterator[tuple[tuple[np.ndarray, np.ndarray, np.ndarray], np.random.Generator]]:
        """Pairs of states of the validation with the times of the first, each piece with random numbers of its own."""
        series = self.data.series
        for number in range(0, len(self.unseen), PIECE):
            window = self.unseen[number : number + PIECE]
            random = np.random.default_rng((self.settings.experiment.seed, VALIDATION, number))
            yield (series.fields(window[:, 0]), series.fields(window[:, 1]), series.seconds[window[:, 0]]), random

    def checkpoint(self, best: Mapping[str, Tensor]) -> Checkpoint:
        arrays = {name: tensor.numpy() for name, tensor in best.items()}
        return Checkpoint(self.card, arrays, statistics.constants(self.data.series))


def of(settings: config.Settings, sizes: Settings, data: Data) -> Flowing:
    """The task; raises UserError where the forecast network, the grid or the data do not fit."""
    space = settings.space
    if settings.begin is None:
        raise UserError("[training] begin: name the weights whose errors the flow is to learn")
    if space.grid.shape[0] % 2 or space.grid.shape[1] % 2:
        raise UserError(f"a flow takes patches of 2 x 2 points, got the {space.grid}: of even rows and columns")
    found = checkpoints.read(settings.begin)
    forecast = emulator.plain(forecasts.load(settings.begin), space, settings.training.begin).to(data.device)
    unseen = validation.spread(data.series.starts(*settings.validation, settings.experiment.step_hours * HOUR, 1),
                               settings.training.validation_samples)
    if not len(unseen):
        raise UserError(f"{data.series.folder.folder}: holds no pair of states for validation; it holds "
                        f"{data.series.span}")
    errors = fitted(settings, sizes, data, forecast, found.card.sha256)
    card = card_of(settings, sizes, data, found.card, errors)
    torch.manual_seed(settings.experiment.seed)
    flow = Flow(space.grid, len(space.channels), sizes.width, sizes.blocks,
                planes.of(card, statistics.constants(data.series)), data.precision,
                [channel.is_wind for channel in space.channels])
    flow.scale.copy_(torch.from_numpy(errors.scale))
    flow.source.root.copy_(torch.from_numpy(errors.root))
    flow.most.copy_(torch.from_numpy(errors.most))
    flow.to(data.device)
    return Flowing(settings, data, flow, FlowEmulator(forecast, flow, card.network.memory, sizes.steps), card, unseen)


def card_of(settings: config.Settings, sizes: Settings, data: Data, of_forecast: Card,
            errors: Errors) -> Card[FlowCard]:
    """The card of the weights that this training makes."""
    own = FlowCard(width=sizes.width, blocks=sizes.blocks, steps=sizes.steps, forecast=settings.training.begin,
                   forecast_sha256=of_forecast.sha256, memory=tuple(map(float, errors.memory.round(3))),
                   lead_hours=float(settings.experiment.step_hours))
    return cards.made(settings, own, data.statistics.moments)


def fitted(settings: config.Settings, sizes: Settings, data: Data, forecast: ClimaXEmulator, sha256: str) -> Errors:
    """Scale, source and memory of the errors of `forecast` in the training years; kept for a training that goes on."""
    cache, key = settings.folder / "errors.npz", f"{sha256} {sizes.errors} {settings.periods}"
    found = _read(cache, key)
    if found is None:
        found = fit(settings, sizes.errors, data, forecast)
        with paths.atomic(cache) as partial, open(partial, "wb") as stream:
            np.savez(stream, allow_pickle=False, key=np.array(key), **vars(found))
    return found


def _read(cache: Path, key: str) -> Errors | None:
    try:
        with np.load(cache) as found:
            same = str(found["key"]) == key
            return Errors(**{name: found[name] for name in Errors.__dataclass_fields__}) if same else None
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return None


def fit(settings: config.Settings, count: int, data: Data, forecast: ClimaXEmulator) -> Errors:
    """Of `count` pairs of errors one after the other: half of the variance of a place is its own, half its row's."""
    step = settings.experiment.step_hours * HOUR
    windows = validation.spread(np.concatenate([data.series.starts(*period, step, 2) for period in settings.periods]),
                                count)
    pairs, told = zip(*(_errors(data, forecast, window) for window in
                        progress.reported(windows, "errors that the source is fitted to", log)), strict=True)
    e = np.stack(pairs)  # (pair, 2, channel, lat, lon)
    square = np.square(e).mean(axis=(0, 1))
    scale = np.sqrt((square + square.mean(axis=-1, keepdims=True)) / 2).astype(np.float32)
    scale = np.where(scale > 0, scale, 1)
    q, weights = e / scale, settings.space.grid.area_weights
    now, later = (q[:, one] - q[:, one].mean(axis=0) for one in (0, 1))
    both, *each = ((weights * product).sum(axis=(0, 2, 3)) for product in (now * later, now**2, later**2))
    memory = np.clip(both / np.sqrt(np.prod(each, axis=0)).clip(1e-30), 0, MOST)
    log.info("errors remember from one step to the next: %.2f, mean of channels", memory.mean())
    return Errors(scale, source.roots(q.reshape(-1, *q.shape[2:]), settings.space.grid), memory, np.max(told, axis=0))


@torch.no_grad()
def _errors(data: Data, forecast: ClimaXEmulator, window: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(2, channel, lat, lon) of the steps from the first and the second of three states; and the most of what is told
    of the two, (field, lat)."""
    states, seconds = torch.from_numpy(data.series.fields(window)).to(data.device), data.series.seconds[window]
    (ahead,), of = forecast.advance((states[:2],), seconds[:2]), forecast.stepping
    told = torch.cat([(states[:2] - of.mean) / of.std, (ahead - states[:2]) / of.scale], dim=1)
    return ((states[1:] - ahead) / of.scale).cpu().numpy(), told.abs().amax(dim=(0, 3)).cpu().numpy()
