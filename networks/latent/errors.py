"""Errors of forecasts from states of a run that the network has not seen: what a latent is fitted from."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta

import numpy as np

from contracts import times

Read = Callable[[datetime], np.ndarray]  # a time -> the state (channel, lat, lon), float32, SI units
# states (batch, channel, lat, lon), valid at seconds (batch,) since 1970 -> one step of the network later
Step = Callable[[np.ndarray, np.ndarray], np.ndarray]
AT_ONCE = 8  # forecasts side by side


def starts(first: datetime, last: datetime, lead: timedelta, step: timedelta, count: int) -> list[datetime]:
    """`count` times at equal distances, rounded down to a multiple of `step` after `first`, whose forecasts of `lead`
    end by `last`; ValueError where there are not so many different ones."""
    there = (last - first - lead) // step + 1
    if there < count:
        raise ValueError(f"{count} errors were asked for, and from {first:%Y-%m-%d} to {last:%Y-%m-%d} there are "
                         f"{max(there, 0)} forecasts of {lead / timedelta(hours=1):g} h: name a longer period")
    numbers = np.linspace(0, there - 1, count).astype(int)
    return [first + int(number) * step for number in numbers]


def groups(begin: Sequence[datetime]) -> list[Sequence[datetime]]:
    """The beginnings of forecasts that run side by side."""
    return [begin[i : i + AT_ONCE] for i in range(0, len(begin), AT_ONCE)]


def forecast_errors(read: Read, step: Step, begin: Iterable[Sequence[datetime]], every: timedelta,
                    lead: timedelta) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Of each beginning in the groups `begin` the error (channel, lat, lon), forecast minus truth, of a forecast of
    `lead` in steps of `every`, and the truth."""
    for group in begin:
        forecast = np.stack([read(time) for time in group])
        seconds = np.array([times.to_seconds(time) for time in group])
        for number in range(lead // every):
            forecast = step(forecast, seconds + number * int(every.total_seconds()))
        for end, time in zip(forecast, group, strict=True):
            truth = read(time + lead)
            yield end - truth, truth
