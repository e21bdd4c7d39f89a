"""The first ensemble from states of the real atmosphere: files of others, on the experiment's grid and levels.

    x_i = c_i                            states of the same days in other years: a climatology, with its variance
    x_i = x₀ + f (c_i − mean c)          with a centre: around the state x₀ at the start, an analysis of a centre,
                                         with a share f of these deviations; no humidity is negative

Dates: those of the start in each year of `years` but its own, then `every_hours` later and earlier, twice as much later
and earlier, … within `within_days`, until there is one for each member: neighbours in the list are of different years.
Around the turn of the year none is of a year outside of `years`, whose states one need not have.
Which states a member is made of follows from its number alone, so that a killed run goes on with the same bits.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property

import numpy as np

from contracts import humidity
from contracts.errors import UserError
from contracts.static import Static
from model_server.config import Initial, Settings
from networks.data import states

log = logging.getLogger("model_server.initial")


@dataclass(frozen=True)
class Beginnings:
    """Members of an experiment's first ensemble; `dates` (member,) are those of the states in other years."""

    settings: Settings
    start: datetime
    dates: tuple[datetime, ...]

    def members(self, numbers: Sequence[int]) -> np.ndarray:
        """float32 (member, channel, lat, lon) of members with these numbers from 1."""
        chosen, space = self.settings.initial, self.settings.space
        drawn = np.stack([self._state(self.dates[number - 1]) for number in numbers])
        if not chosen.centre:
            return drawn
        around = self._centre[None] + np.float32(chosen.factor) * (drawn - self._mean[None])
        flat = around.reshape(*around.shape[:2], -1)
        clipped, count = humidity.not_negative(flat, humidity.humid(space))
        if count.sum():
            log.info("%d negative humidities set to 0 in members %s", count.sum(), list(numbers))
        return clipped.reshape(around.shape)

    def earlier(self, step: timedelta) -> "Beginnings":
        """The same members `step` earlier: what a model that needs two states begins with beside them."""
        return replace(self, start=self.start - step, dates=tuple(date - step for date in self.dates))

    def holds(self, number: int) -> bool:
        """Whether the files that a member is made of, by its number from 1, are there."""
        chosen = self.settings.initial
        needed = [(chosen.states, date) for date in (self.dates if chosen.centre else [self.dates[number - 1]])]
        needed += [(chosen.centre, self.start)] if chosen.centre else []
        return all(states.hold(patterns, time) for patterns, time in needed)

    def static(self) -> Static:
        """Orography and land-sea mask of these states, on the experiment's grid."""
        chosen, grid = self.settings.initial, self.settings.space.grid
        if chosen.static:
            return states.static([chosen.static], self.start, grid, chosen.regrid)
        if chosen.centre:
            return states.static(chosen.centre, self.start, grid, chosen.regrid)
        return states.static(chosen.states, self.dates[0], grid, chosen.regrid)

    def _state(self, time: datetime) -> np.ndarray:
        chosen = self.settings.initial
        return states.read(chosen.states, time, self.settings.space, chosen.regrid)

    @cached_property
    def _mean(self) -> np.ndarray:
        """Of the states of all members, summed in their order."""
        total = np.zeros(self.settings.space.shape)
        for date in self.dates:
            total += self._state(date)
        return (total / len(self.dates)).astype(np.float32)

    @cached_property
    def _centre(self) -> np.ndarray:
        chosen = self.settings.initial
        return states.read(chosen.centre, self.start, self.settings.space, chosen.regrid)


def of(settings: Settings, start: datetime) -> Beginnings:
    """The members of an experiment; raises UserError where the years do not give one for each."""
    wanted, members = list(dates(settings.initial, start)), settings.experiment.members
    if len(wanted) < members:
        raise UserError(f"[initial] years {list(settings.initial.years or ())}, every_hours = "
                        f"{settings.initial.every_hours} and within_days = {settings.initial.within_days} give "
                        f"{len(wanted)} states for {members} members; take more years, more days, or fewer hours")
    return Beginnings(settings, start, tuple(wanted[:members]))


def dates(chosen: Initial, start: datetime) -> Iterator[datetime]:
    """Times in other years, those nearest to the date of `start` first."""
    first, last = chosen.years or (start.year, start.year - 1)
    step, most = timedelta(hours=chosen.every_hours), timedelta(days=chosen.within_days)
    offsets = [timedelta()]
    for number in range(1, most // step + 1):
        offsets += [number * step, -number * step]
    for offset in offsets:
        for year in range(first, last + 1):
            found = same_day(start, year) + offset
            if year != start.year and first <= found.year <= last:
                yield found


def same_day(time: datetime, year: int) -> datetime:
    """The same date in another year, 28 February for the 29th where there is none."""
    try:
        return time.replace(year=year)
    except ValueError:
        return time.replace(year=year, day=28)
