"""Biases of the temperatures of aircraft against the background, a running mean over the times of an experiment.

Of each report type, and of each aircraft that reports enough, with n observations at a time whose mean departure is m,

    b <- b + n / (n + N) (m - b)        b = 0 at first, N = 100

so that few observations move it little, and an old bias is forgotten as new departures come.  It is one against the
background, and what that has of a bias itself is taken over, unless soundings hold it in place.
"""

from collections.abc import Iterable

import numpy as np

from contracts.estimated_errors import Bias, is_aircraft
from contracts.observations import Departures
from contracts.variables import Quantity
from verify import groups

INERTIA = 100  # N
FROM = 50  # observations of an aircraft, for a bias of its own


class Running:
    """The biases so far; `add` the departures of one time after another."""

    def __init__(self) -> None:
        self._bias: dict[tuple[int, str], float] = {}
        self._count: dict[tuple[int, str], int] = {}

    def add(self, departures: Departures) -> None:
        """Take in those temperatures of aircraft that were compared with the background."""
        table = groups.compared(departures)
        table = table.select((table.quantity == Quantity.temperature) & is_aircraft(table.type))
        omb = table.value - table.background_mean
        for kind in np.unique(table.type).tolist():
            of_type = table.type == kind
            self._move((kind, ""), omb[of_type])
            for station in np.unique(table.station[of_type]).tolist():
                if station:
                    self._move((kind, station.decode("latin-1")), omb[of_type & (table.station == station)])

    def _move(self, key: tuple[int, str], omb: np.ndarray) -> None:
        before, n = self._bias.get(key, 0.0), len(omb)
        self._bias[key] = before + n / (n + INERTIA) * (float(omb.mean()) - before)
        self._count[key] = self._count.get(key, 0) + n

    def biases(self) -> tuple[Bias, ...]:
        """By report type and aircraft."""
        return tuple(Bias(type=kind, station=station, bias=bias, count=self._count[kind, station])
                     for (kind, station), bias in sorted(self._bias.items())
                     if not station or self._count[kind, station] >= FROM)


def running(times: Iterable[Departures]) -> tuple[Bias, ...]:
    """The biases after some times, in order."""
    found = Running()
    for departures in times:
        found.add(departures)
    return found.biases()
