"""What the fields of a contestant say that its scores do not: near stations and in voids, balance, energy by scale.

Means of background and analysis are read at some of the times, the truth of the same times beside them:

    error by place    RMSE over the columns of a class of distances to the nearest station
    balance           of the increments x_a - x_b at 500 hPa: their wind against the geostrophic wind of their
                      geopotential, correlation and slope (`contracts.balance`), poleward of 15 degrees
    energy by scale   of the analysis' mean over that of the truth, in the smallest third of the wavenumbers
                      (`spectrum`): a mean of members is smooth where they disagree, so less than 1 is expected
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

import numpy as np

from contracts import balance, harmonics, observations, sphere, state
from contracts.balance import PHI, Agreement, Pair, T, U, V
from contracts.constants import HECTOPASCAL
from contracts.grid import Grid
from contracts.state import StateSpace
from contracts.variables import Flag
from verify import scores, spectrum
from verify.blocks import ENSEMBLES
from verify.config import Settings
from verify.league.config import League

LEVEL = 500 * HECTOPASCAL  # of balance and energy; the nearest that the state has


@dataclass(frozen=True)
class Places:
    """Classes of columns by the distance to the nearest station: `names` and area `weights` (class, lat, lon)."""

    names: tuple[str, ...]
    weights: np.ndarray

    @classmethod
    def of(cls, grid: Grid, lat: np.ndarray, lon: np.ndarray, bounds_km: Sequence[float],
           names: Sequence[str] = ()) -> Self:
        """By stations at `lat`, `lon` in degrees; `bounds_km` ascend from 0. A class without a column is left out."""
        distance = nearest_km(grid, lat, lon)
        names = names or [f"{low:g} to {high:g} km" for low, high in zip(bounds_km, bounds_km[1:], strict=False)]
        masks = [(low <= distance) & (distance < high) for low, high in zip(bounds_km, bounds_km[1:], strict=False)]
        kept = [(name, mask * grid.area_weights) for name, mask in zip(names, masks, strict=True) if mask.any()]
        return cls(tuple(name for name, _ in kept), np.stack([weights / weights.sum() for _, weights in kept]))

    @classmethod
    def read(cls, settings: Settings, league: League) -> Self | None:
        """By the stations whose observations the first analysis took; None where there is none yet."""
        path = settings.experiment.folder.at(settings.experiment.start).departures
        if not path.exists():
            return None
        table, _ = observations.read_departures(path)
        used = table.flag == Flag.assimilated
        bounds = (0, league.near_km, league.void_km, np.inf)
        return cls.of(settings.grid.grid(), table.lat[used], table.lon[used], bounds,
                      ("near stations", "between", "voids"))


def nearest_km(grid: Grid, lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
    """(lat, lon) km from each column to the nearest of the places."""
    places = sphere.unit_vectors(*np.unique(np.stack([lat, lon]), axis=1))
    columns = sphere.unit_vectors(grid.column_lat, grid.column_lon)
    return sphere.great_circle_km(columns[:, None], places[None]).min(axis=1).reshape(grid.shape)


@dataclass(frozen=True)
class Fields:
    """By time, ensemble (background, analysis), class and channel the `square` of the error of the mean; `balance` of
    increments and `energy`, ratios by name, where the state has what they need."""

    times: tuple[datetime, ...]
    places: tuple[str, ...]
    channels: tuple[str, ...]
    square: np.ndarray
    balance: Agreement | None
    energy: dict[str, float]

    @classmethod
    def read(cls, settings: Settings, league: League, places: Places, count: int) -> Self | None:
        """At times of the first `count` cycles; None where none of them is after the days that are left out."""
        space = settings.state.space(settings.grid.grid())
        chosen = sampled(settings, league, count)
        squares, pairs, energies = [], [], []
        for time in chosen:
            truth_file, here = settings.truth(time), settings.experiment.folder.at(time)
            if truth_file is None:
                return None
            truth = state.read(truth_file, space, time).data.astype(np.float64)
            means = np.stack([state.read(each.mean, space, time).data.astype(np.float64)
                              for each in (here.background, here.analysis)])
            squares.append(np.stack([scores.regional_mean(one, places.weights) for one in (means - truth) ** 2]))
            pairs += _balance(means[1] - means[0], space)
            energies.append(_energy(means[1], truth, space))
        if not squares:
            return None
        energy = {name: float(np.mean([each[name] for each in energies])) for name in energies[0]}
        return cls(tuple(chosen), places.names, tuple(channel.name for channel in space.channels), np.stack(squares),
                   Agreement.of(pairs) if pairs else None, energy)

    def blocks(self, league: League, start: datetime, count: int, ensemble: str, place: str,
               channel: str) -> np.ndarray:
        """(block,) RMSE in the first `count` blocks after the days left out."""
        begin, block = start + timedelta(days=league.skip_days), timedelta(days=league.block_days)
        of = [(time - begin) // block for time in self.times]
        values = self.square[:, ENSEMBLES.index(ensemble), self.places.index(place), self.channels.index(channel)]
        return np.array([np.sqrt(values[np.array(of) == number].mean()) for number in range(count)])


def sampled(settings: Settings, league: League, count: int) -> list[datetime]:
    """Every so many hours, from the end of the days left out, among the first `count` times."""
    first = settings.experiment.start + timedelta(days=league.skip_days)
    every = timedelta(hours=league.sample_hours)
    return [time for time in settings.experiment.times()[:count] if time >= first and not (time - first) % every]


def _balance(dx: np.ndarray, space: StateSpace) -> list[Pair]:
    if not dx.any() or not all(name in space for name in (U, V, PHI)):  # where nothing was assimilated
        return []
    return [balance.geostrophic(dx, space, _level(space), np.ones(space.grid.shape, bool))]


def _energy(analysis: np.ndarray, truth: np.ndarray, space: StateSpace) -> dict[str, float]:
    """Of the smallest third of the wavenumbers, over that of the truth."""
    if space.grid.lat.size > spectrum.MOST_ROWS or not all(name in space for name in (U, V, T)):
        return {}
    u, v, t = (balance.index_of(space, name, _level(space)) for name in (U, V, T))
    smallest = 2 * harmonics.truncation(space.grid) // 3
    both = np.stack([analysis, truth])
    found = {"kinetic energy": spectrum.kinetic_energy(space.grid, both[:, u], both[:, v]),
             "temperature": spectrum.variance(space.grid, both[:, t])}
    sums = {name: values[:, smallest + 1 :].sum(axis=1) for name, values in found.items()}
    return {name: float(ours / theirs) for name, (ours, theirs) in sums.items()}


def _level(space: StateSpace) -> float:
    levels = np.asarray(space.levels(U))
    return float(levels[np.abs(levels - LEVEL).argmin()])
