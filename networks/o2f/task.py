"""The task: from what stations observe to what they will observe.

Of each sample some stations are left out; the others observe `times` states one step apart, and the network steps on
from them without observations.  All stations verify every step, those left out too, but for the ones that are withheld
from the whole training:

    d(t) = A (ξ(t) - ξ_climate(t)) + e,  e ~ N(0, I)          the observations, in units of their errors
    loss = mean over steps and observations of (d - A ξ)² / v             v the variance of each d

so that the climate has a loss of 1.  Fields of the past are looked at in one place, `Network.observe`, to make the
observations; nothing else of them is known to loss, normalisation, climate or the choice of weights, all of which are
the same to the bit where the fields differ in what no station sees.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from contracts.constants import HOUR
from contracts.errors import UserError
from networks import planes
from networks.card import Card
from networks.checkpoint import Checkpoint
from networks.data.shards import Series
from networks.normalization import CONSTANTS, Moments
from networks.o2f import climate, network, stations
from networks.o2f.card import O2FCard, Settings
from networks.o2f.climate import ObservedClimate
from networks.o2f.network import Forecaster, Seen
from networks.o2f.scores import Sums
from networks.o2f.stations import Known, Stations
from networks.o2l import footprints
from networks.o2l.task import refuse_other_halves
from networks.training import cards, config, plan, statistics, validation
from networks.training.config import Phase
from networks.training.task import Batch, Data, Place, Roles, Score, Validated

SEASONS = 3  # functions of the date in the climate
CLIMATE_TIMES = 400  # of the training years, whose observations tell the climate
CLIMATE, VALIDATION = 10**6, 10**6 + 1  # tell their random numbers from those of the training
PIECE = 8  # forecasts at once in a validation


@dataclass(frozen=True)
class Network:
    """The stations and how they observe: `known` what each observation sees of the channels that are forecast."""

    known: Known

    def observe(self, fields: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """What is observed of `fields` (B, channel, lat, lon), SI units, with an error each, in units of the errors:
        (B, n)."""
        seen = fields[:, self.known.channels].reshape(len(fields), -1).astype(np.float64)
        clear = (self.known.rows @ seen.T).T
        return clear + random.standard_normal(clear.shape)


@dataclass(frozen=True)
class Predicting:
    """A `Task`: a `Forecaster` learns from observations; `said` (climate) is what they say of the mean, `variance` (n,)
    of each, `verify` (n,) which of them do."""

    settings: config.Settings
    sizes: Settings
    data: Data
    network: Forecaster
    card: Card[O2FCard]
    stations: Network
    tensors: Stations
    said: ObservedClimate
    variance: np.ndarray
    verify: np.ndarray
    unseen: np.ndarray  # (forecast, time) numbers of the times to validate with
    roles: Roles = Roles()

    def span(self, phase: Phase) -> int:
        return self.sizes.times - 1 + phase.rollout

    def loss(self, batch: Batch, place: Place) -> Tensor:
        random = np.random.default_rng((self.settings.experiment.seed, place.phase, place.epoch, place.batch))
        d = self.departures(batch.fields, batch.seconds, random)
        used = np.stack([self.used(random) for _ in range(d.shape[1])])
        steps = self.forecast(d, used, batch.seconds)
        return torch.stack([self.off(d[number], of_it, self.verify).mean() for number, of_it in steps]).mean()

    def departures(self, fields: np.ndarray, seconds: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """d float32 (T, B, n) of `fields` (T, B, channel, lat, lon) at the times `seconds` (T, B)."""
        return np.stack([self.stations.observe(of_time, random) - self.expected(when)
                         for of_time, when in zip(fields, seconds, strict=True)]).astype(np.float32)

    def expected(self, seconds: np.ndarray) -> np.ndarray:
        """What would be observed of the climate at the times `seconds` (B,), in errors: (B, n)."""
        return (self.stations.known.rows @ self.said.at(seconds).reshape(len(seconds), -1).T).T

    def used(self, random: np.random.Generator) -> np.ndarray:
        """(n,) bool: which of the observations there are, of stations that are not withheld and not left out."""
        station = self.stations.known.station
        there = random.random(int(station.max()) + 1) >= self.sizes.dropped * random.random()
        return there[station] & self.verify

    def forecast(self, d: np.ndarray, used: np.ndarray, seconds: np.ndarray) -> Iterator[tuple[int, Tensor]]:
        """Yields (number of the time, A ξ (B, n)) of each step after the first time; the first `times` of `d` (T, B, n)
        are given to the network, of the observations `used` (B, n)."""
        there, carried = torch.from_numpy(used.astype(np.float32)).to(self.data.device), self.network.start(d.shape[1])
        for number in range(len(d) - 1):
            seen = Seen(self.tensors, torch.from_numpy(d[number]).to(there.device), there)
            carried = self.network(carried, seconds[number], seen if number < self.sizes.times else None)
            yield number + 1, self.tensors.observe(carried.xi)

    def off(self, d: np.ndarray, forecast: Tensor, chosen: np.ndarray) -> Tensor:
        """(d - A ξ)² / v (B, m) of the `chosen` observations."""
        where = torch.from_numpy(np.flatnonzero(chosen)).to(forecast.device)
        truth = torch.from_numpy(d[:, chosen]).to(forecast.device)
        weight = torch.from_numpy((1 / self.variance[chosen]).astype(np.float32)).to(forecast.device)
        return (truth - forecast.index_select(1, where)).square() * weight

    @torch.no_grad()
    def scores(self, place: Place) -> Validated:
        """The loss to the phase's last step; scores in errors of the observations, at the stations of the training and
        at those withheld."""
        phase, hours = self.settings.training.phases[place.phase], self.settings.experiment.step_hours
        first, total, sums = self.sizes.times - 1, 0.0, self._sums()
        for d, seconds in self._observed():
            used = np.broadcast_to(self.verify, d.shape[1:])
            for number, forecast in self.forecast(d, used, seconds):
                if number <= first + phase.rollout:
                    total += float(self.off(d[number], forecast, self.verify).mean()) * d.shape[1]
                if (lead := (number - first) * hours) in self.settings.training.leads_hours:
                    sums.add(lead, d[number], forecast.cpu().numpy())
        return Validated(total / len(self.unseen) / (first + phase.rollout), sums.scores())

    def references(self) -> list[Score]:
        """The same of the climate."""
        first, hours, sums = self.sizes.times - 1, self.settings.experiment.step_hours, self._sums()
        for d, _ in self._observed():
            for number in range(1, len(d)):
                if (lead := (number - first) * hours) in self.settings.training.leads_hours:
                    sums.add(lead, d[number], np.zeros_like(d[number]), "climatology")
        return list(sums.scores())

    def _sums(self) -> Sums:
        return Sums(self.card.outputs, self.stations.known.channel, self.verify)

    def _observed(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """d (T, B, n) and seconds (T, B) of the forecasts to validate with, a few at a time."""
        series = self.data.series
        for first in range(0, len(self.unseen), PIECE):
            numbers = self.unseen[first : first + PIECE].T
            fields = series.fields(numbers.ravel()).reshape(*numbers.shape, *series.space.shape)
            random = np.random.default_rng((self.settings.experiment.seed, VALIDATION, first))
            yield self.departures(fields, series.seconds[numbers], random), series.seconds[numbers]

    def checkpoint(self, best: Mapping[str, Tensor]) -> Checkpoint:
        arrays = {name: tensor.numpy() for name, tensor in best.items()}
        return Checkpoint(self.card, arrays, statistics.constants(self.data.series))


def of(settings: config.Settings, sizes: Settings, data: Data) -> Predicting:
    """The task; raises UserError or ContractError where footprints or data do not fit."""
    refuse_other_halves(settings, sizes.widths)
    training, step = settings.training, settings.experiment.step_hours
    ahead = max(*training.leads_hours, *(phase.rollout * step for phase in training.phases)) // step
    unseen = validation.spread(data.series.starts(*settings.validation, step * HOUR, sizes.times - 1 + ahead),
                               training.validation_samples)
    if not len(unseen):
        raise UserError(f"{data.series.folder.folder}: holds no forecast of {ahead * step} h for validation; it holds "
                        f"{data.series.span}")
    seen = footprints.read(settings.experiment.in_work(sizes.footprints), settings.space)
    known = Known.of(seen, len(settings.space.channels), sizes.known)
    stand = Network(known)
    verify = ~stations.withheld(known.station, sizes.withheld, settings.experiment.seed)
    said, variance, scale = learn_climate(settings, data.series, stand, verify)
    names = tuple(settings.space.channels[number].name for number in known.channels)
    card = card_of(settings, sizes, data, names, said.coefficients[0, 0], scale)
    return Predicting(settings, sizes, data, fresh(settings, card, data, said), card, stand,
                      Stations.of(known.rows, scale, data.device), said, variance, verify, unseen)


def learn_climate(settings: config.Settings, series: Series, of: Network,
                  verify: np.ndarray) -> tuple[ObservedClimate, np.ndarray, np.ndarray]:
    """The climate that the observations of the training years tell, those that `verify`; the variance (n,) of each
    about it; the scale (channel,)."""
    known, count = of.known.select(verify), len(of.known.channels)
    chosen = validation.spread(plan.windows_of(series, settings, 0), CLIMATE_TIMES)[:, 0]
    random = np.random.default_rng((settings.experiment.seed, CLIMATE))
    observed = [(int(series.seconds[number]), of.observe(series.fields([number]), random)[0]) for number in chosen]
    said = climate.fit(series.space.grid, count, known.rows, [(when, y[verify]) for when, y in observed], SEASONS)
    expected = (of.known.rows @ said.at(np.array([when for when, _ in observed])).reshape(len(observed), -1).T).T
    variance = np.square(np.stack([y for _, y in observed]) - expected).mean(axis=0)
    return said, variance, climate.scale(known, variance[verify])


def card_of(settings: config.Settings, sizes: Settings, data: Data, names: tuple[str, ...], mean: np.ndarray,
            scale: np.ndarray) -> Card[O2FCard]:
    """The card of the weights that this training makes."""
    moments = {name: Moments(mean=float(m), std=float(s)) for name, m, s in zip(names, mean, scale, strict=True)}
    moments |= {name: data.statistics.moments[name] for name in CONSTANTS}
    own = O2FCard(step_hours=settings.experiment.step_hours, times=sizes.times, memory=sizes.memory,
                  widths=sizes.widths, blocks=sizes.blocks, seasons=SEASONS, footprints=sizes.footprints,
                  dropped=sizes.dropped, withheld=sizes.withheld, seed=settings.experiment.seed)
    return cards.made(settings, own, moments, channels=names, seen_as="observations of ")


def fresh(settings: config.Settings, card: Card[O2FCard], data: Data, said: ObservedClimate) -> Forecaster:
    """The network as it begins, drawn from the experiment's seed, with the climate."""
    torch.manual_seed(settings.experiment.seed)
    still = planes.of(card, statistics.constants(data.series))
    found = Forecaster(network.shape_of(card), card.network.memory, settings.space.grid, still, data.precision)
    mean, scale = (np.array([getattr(card.normalization[name], what) for name in card.outputs])[:, None]
                   for what in ("mean", "std"))
    rows = said.rows / scale
    rows[0] -= mean / scale
    found.season.copy_(torch.from_numpy(rows))
    return found
