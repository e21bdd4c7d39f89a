"""Biases of the temperatures of aircraft against the background, a running mean over the times of an experiment.

Of each report type, and of each aircraft that reports enough, with n observations at a time whose mean departure is m,

    b <- b + n / (n + N) (m - b)        b = 0 at first

so that few observations move it little, and an old bias is forgotten as new departures come.  It is one against the
background, and what that has of a bias itself is taken over, unless soundings hold it in place.

    [aircraft_bias]
    learn = true

lets the analysis of each time take from the temperatures what the time before had learned, and leave in
`aircraft_bias.nc` what it has learned itself.  This is done where the analysis reads its observations, not where they
are made: those of later times are made while an analysis is still running, when its departures are not known, but an
analysis never begins before the one before it is complete.  So the bits are the same however the programs are started,
and the values in `departures.nc` are those without the bias.  Without such a section `verify consistency` adds up the
same over an experiment that has run, for the next one.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from contracts import analysis, netcdf, times
from contracts.config import Experiment, Positive, Section
from contracts.errors import ContractError
from contracts.estimated_errors import Bias, is_aircraft
from contracts.observations import Departures, Observations, Source
from contracts.variables import Flag, Quantity

log = logging.getLogger(__name__)
CONTRACT = "aircraft-bias/1"
NAME = "aircraft_bias"
_COMPARED = (Flag.assimilated, Flag.withheld, Flag.monitored)


class AircraftBias(Section, frozen=True):
    """[aircraft_bias] Whether biases of the temperatures of aircraft are learned, and taken away, while cycling."""

    learn: bool = False
    inertia: Positive = 100  # N: so many new observations weigh as much as all before them
    least: Positive = 50  # observations of an aircraft, for a bias of its own


class Known(NamedTuple):
    """A bias in K, and from how many observations."""

    bias: float
    number: int


@dataclass(frozen=True)
class Biases:
    """By report type and aircraft what is known of its temperatures; with an empty name of all of the type."""

    chosen: AircraftBias = AircraftBias()
    known: Mapping[tuple[int, bytes], Known] = field(default_factory=dict)

    def of(self, table: Observations) -> np.ndarray:
        """(nobs,) what temperatures of aircraft read too high, K: of the aircraft, where it has reported enough, else
        of its type; 0 of everything else."""
        found = np.zeros(len(table))
        for kind, station, rows in _groups(table, np.flatnonzero(_is_spoken_of(table))):
            own = self.known.get((kind, station), Known(0.0, 0))
            found[rows] = (own if own.number >= self.chosen.least else self.known.get((kind, b""), own)).bias
        return found

    def taken_from(self, table: Observations) -> Observations:
        """The table without what is known of biases."""
        return table.with_columns(value=table.value - self.of(table))

    def moved(self, departures: Departures, were_taken: bool) -> "Biases":
        """After the departures of one more time; `were_taken`: these biases were taken from its values."""
        rows = np.flatnonzero(_is_spoken_of(departures) & np.isin(departures.flag, _COMPARED)
                              & np.isfinite(departures.background_mean) & np.isfinite(departures.analysis_mean))
        omb = departures.value - departures.background_mean + (self.of(departures) if were_taken else 0.0)
        known = dict(self.known)
        for kind in np.unique(departures.type[rows]).tolist():
            known[kind, b""] = self._moved((kind, b""), omb[rows[departures.type[rows] == kind]])
        for kind, station, of_it in _groups(departures, rows):
            if station:
                known[kind, station] = self._moved((kind, station), omb[of_it])
        return Biases(self.chosen, known)

    def _moved(self, key: tuple[int, bytes], omb: np.ndarray) -> Known:
        before, n = self.known.get(key, Known(0.0, 0)), len(omb)
        share = n / (n + self.chosen.inertia)
        return Known(before.bias + share * (float(omb.mean()) - before.bias), before.number + n)

    def told(self) -> tuple[Bias, ...]:
        """Those that are used, by report type and aircraft."""
        return tuple(Bias(type=kind, station=station.decode("latin-1"), bias=found.bias, count=found.number)
                     for (kind, station), found in sorted(self.known.items())
                     if not station or found.number >= self.chosen.least)


def running(departures: Iterable[Departures]) -> Biases:
    """After some times, in order, from whose values nothing was taken."""
    found = Biases()
    for of_time in departures:
        found = found.moved(of_time, were_taken=False)
    return found


def read_observations(chosen: AircraftBias, experiment: Experiment, time: datetime) -> tuple[Observations, Source]:
    """The table of `time`, without the biases that were learned before where they are `chosen`.

    Raises ContractError where a file is missing or damaged; in mode "realtime" see `contracts.analysis`.
    """
    table, source = analysis.read_observations(experiment, time)
    return (_before(chosen, experiment, time).taken_from(table) if chosen.learn else table), source


def learn(chosen: AircraftBias, experiment: Experiment, time: datetime, departures: Departures) -> None:
    """Where that is `chosen`, write what is known after the departures of `time`, for the next one."""
    if chosen.learn:
        after = _before(chosen, experiment, time).moved(departures, were_taken=True)
        write(experiment.folder.at(time).field(NAME), after, time, experiment.name)


def write(path: Path, biases: Biases, time: datetime, experiment: str = "") -> None:
    """Write the file atomically."""
    found = sorted(biases.known.items())
    with netcdf.create(path, CONTRACT, {"experiment": experiment}) as dataset:
        netcdf.add_time(dataset, time)
        dataset.add_dimension("aircraft", len(found))
        dataset.add_dimension("text", 8)
        names = np.array([station for (_, station), _ in found], "S8").view("S1").reshape(-1, 8)
        netcdf.add(dataset, "type", ("aircraft",), np.array([kind for (kind, _), _ in found], np.int16))
        netcdf.add(dataset, "station", ("aircraft", "text"), names)
        netcdf.add(dataset, "bias", ("aircraft",), np.array([one.bias for _, one in found], np.float64), units="K")
        netcdf.add(dataset, "count", ("aircraft",), np.array([one.number for _, one in found], np.int64), units="1")


def read(path: Path, chosen: AircraftBias, time: datetime) -> Biases:
    """What was known after `time`; raises ContractError where the file does not fit."""
    with netcdf.open_to_read(path, CONTRACT) as dataset:
        if (found := times.from_seconds(dataset["time"][0])) != time:
            raise ContractError(f"{path}: expected biases of {times.name(time)}, got {times.name(found)}")
        kind, bias, count = (np.asarray(dataset[name][:]) for name in ("type", "bias", "count"))
        station = np.ascontiguousarray(dataset["station"][:]).view("S8").reshape(-1)
        if not (np.isfinite(bias).all() and (count > 0).all()):
            raise ValueError("expected finite biases, each from one observation or more")
        rows = zip(kind.tolist(), station.tolist(), bias.tolist(), count.tolist(), strict=True)
        return Biases(chosen, {(int(of_kind), name): Known(value, number) for of_kind, name, value, number in rows})


def _before(chosen: AircraftBias, experiment: Experiment, time: datetime) -> Biases:
    """What the time before has left for this one: nothing at first, and in mode "realtime" where it is missing."""
    before = time - experiment.step
    if before < experiment.start:
        return Biases(chosen)
    path = experiment.folder.at(before).field(NAME)
    if not path.exists() and experiment.mode == "realtime":
        log.warning("%s: no such file; biases of aircraft are learned anew", path)
        return Biases(chosen)
    return read(path, chosen, before)


def _is_spoken_of(table: Observations) -> np.ndarray:
    return (table.quantity == Quantity.temperature) & is_aircraft(table.type)


def _groups(table: Observations, rows: np.ndarray) -> Iterator[tuple[int, bytes, np.ndarray]]:
    """Report type, aircraft and rows of each of those that are among some rows, the rows in their order."""
    order = rows[np.lexsort((table.station[rows], table.type[rows]))]
    kind, station = table.type[order], table.station[order]
    new = np.flatnonzero((np.diff(kind, prepend=-1) != 0) | np.append(True, station[1:] != station[:-1])[: len(order)])
    for of_it in np.split(order, new[1:]) if len(order) else ():
        yield int(table.type[of_it[0]]), bytes(table.station[of_it[0]]), of_it
