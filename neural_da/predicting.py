"""A forecast from observations, step by step: tables in, states out.

    d = (y - H(x_c)) / sigma           x_c the climate of the date that the network knows
    x(t) = x_c(t) + s ξ(t)             of the channels that it forecasts

H is made linear at x_c, where the network's stations were made linear too.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import torch

from contracts import humidity, observations, state, static, times
from contracts.ensemble import refuse_insane
from contracts.errors import UserError
from contracts.observations import Observations
from contracts.state import State, StateSpace
from contracts.static import Static
from networks.card import Card
from networks.climate import file as climates
from networks.climate.gaussian import Climate
from networks.o2f import reading
from networks.o2f.card import O2FCard
from networks.o2f.network import Carried, Forecaster, Seen
from networks.o2f.stations import Known, Stations
from neural_da import footprints
from neural_da.predict_config import Settings

log = logging.getLogger("neural_da.predict")


@dataclass(frozen=True)
class Look:
    """What was observed at one time: the rows of `table` that the network takes, and what it takes of them."""

    table: Observations
    seen: Seen


@dataclass(frozen=True)
class Predictor:
    """The network of an experiment; `known` are the numbers of its channels among those of `space`, `mean` and `scale`
    (channel, 1, 1) its own."""

    settings: Settings
    space: StateSpace
    network: Forecaster
    card: Card[O2FCard]
    prior: Climate
    static: Static
    known: np.ndarray
    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, settings: Settings, time: datetime) -> "Predictor":
        """For a forecast from `time`; raises UserError or ContractError where weights or climate do not fit."""
        experiment, space = settings.experiment, settings.space
        chosen = settings.predict
        until = time + timedelta(hours=chosen.hours)
        network, card = reading.read(experiment.file(chosen.weights, time), space, [time, until])
        prior = climates.read(experiment.file(chosen.climate, time), space)
        names = [channel.name for channel in space.channels]
        known = np.array([names.index(name) for name in card.outputs])
        mean, scale = (np.array([getattr(card.normalization[name], what) for name in card.outputs])[:, None, None]
                       for what in ("mean", "std"))
        still = static.read(experiment.folder.static, space.grid)
        return cls(settings, space, network, card, prior, still, known, mean, scale)

    @property
    def step(self) -> timedelta:
        return timedelta(hours=self.card.network.step_hours)

    def observed(self, time: datetime) -> list[datetime]:
        """The times whose observations are taken in, the last one `time`."""
        return [time - number * self.step for number in reversed(range(self.card.network.times))]

    def climate(self, time: datetime) -> np.ndarray:
        """The state (channel, lat, lon) of the date: what the network knows, and the prior's mean of other channels."""
        return self.state(self.network.start(1), time)

    def state(self, carried: Carried, time: datetime) -> np.ndarray:
        """float64 (channel, lat, lon) of what is `carried` (1, …) at `time`."""
        found, seconds = self.prior.mean(time), np.array([times.to_seconds(time)])
        known = (self.network.climate(seconds) + carried.xi)[0].detach().double().numpy()
        found[self.known] = self.mean + self.scale * known
        moist = humidity.humid(self.space)
        found[moist] = np.maximum(found[moist], 0.0)
        return found

    def look(self, time: datetime) -> Look:
        """What the observations of `time` say; raises ContractError where they are not there or damaged."""
        table, _ = observations.read(self.settings.experiment.folder.at(time).observations)
        x = self.climate(time).reshape(len(self.space.channels), -1)
        found = footprints.departing(table, self.space, self.static, x, self.settings.predict.max_height_difference_m)
        known = Known.among(found.seen, len(self.space.channels), self.known)
        stations = Stations.of(known.rows, self.scale.ravel(), dtype=self.network.season.dtype)
        departure = torch.from_numpy(found.departure[known.kept])[None].to(self.network.season)
        return Look(found.table.select(known.kept), Seen(stations, departure, torch.ones_like(departure)))

    def looks(self, time: datetime) -> list[Look]:
        """What the network takes in; raises UserError where nothing was observed."""
        found = [self.look(each) for each in self.observed(time)]
        if not sum(len(look.table) for look in found):
            raise UserError(f"observations of {times.name(time)} and before: none is of what the network knows, "
                            f"{', '.join(self.card.outputs[:3])} and so on; name another time")
        return found

    def steps(self, time: datetime, seen: Sequence[Seen], count: int) -> Iterator[Carried]:
        """What is carried at `time`, from what was `seen` before, and at each of `count` steps after it, from all that
        was `seen` at the times `observed`."""
        carried, when = self.network.start(1), self.observed(time)[0]
        for number in range(len(seen) + count):
            if number >= len(seen) - 1:
                yield carried
            if number < len(seen) - 1 + count:
                seconds = np.array([times.to_seconds(when + number * self.step)])
                carried = self.network(carried, seconds, seen[number] if number < len(seen) else None)

    def write(self, time: datetime) -> None:
        """The states of all steps to [predict] hours, TIME/forecast/012h/ensmean.nc and so on."""
        experiment, count = self.settings.experiment, timedelta(hours=self.settings.predict.hours) // self.step
        folder = experiment.folder.at(time)
        others = [channel.name for number, channel in enumerate(self.space.channels) if number not in self.known]
        if others:
            log.warning("not forecast, and the mean of the date in all files: %s", ", ".join(others))
        seen = [look.seen for look in self.looks(time)]
        with torch.no_grad():
            for number, carried in enumerate(self.steps(time, seen, count)):
                if not (lead := number * self.step):
                    continue
                data = self.state(carried, time + lead).astype(np.float32)
                refuse_insane(data, self.space, f"the forecast of {times.name(time)} for {times.name(time + lead)}")
                state.write(folder.forecast(lead).mean, State(self.space, data, time + lead),
                            experiment=experiment.name, statistic="mean", start=time)
        log.info("%s: to %s", folder.folder / "forecast", times.name(time + count * self.step))

    def told(self, time: datetime, lat: float, lon: float, hours: float) -> list[str]:
        """Lines of a table of what is forecast of a place, `hours` after `time`."""
        x, at = self.between(time, timedelta(hours=hours)), self.space.grid.bilinear(np.array([lat]), np.array([lon]))
        return [f"{self.space.channels[number].name:28s} {at.scalar(x[number].ravel())[0]:12.6g}"
                for number in self.known]

    def between(self, time: datetime, lead: timedelta) -> np.ndarray:
        """The state (channel, lat, lon) `lead` after `time`, between two steps linear in time."""
        before, beyond = divmod(lead, self.step)
        seen = [look.seen for look in self.looks(time)]
        with torch.no_grad():
            steps = list(self.steps(time, seen, before + 1))
        first, second = (self.state(steps[number], time + number * self.step) for number in (before, before + 1))
        share = beyond / self.step
        return (1 - share) * first + share * second
