"""The analysis of the columns of one tile: choose observations, taper, solve, apply, relax.

    xᵃ_i = x̄ + X (w̄ + W_i)        one transform for all channels of a level that see the same observations

Analysis levels are the distinct pressures of the channels; surface channels stand at their nominal pressure.
Inflation and the count of local observations are of the level, with everything that any channel might see.
Only tile contents enter, in an order fixed by grid and table: the bits do not depend on ranks.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

from contracts.constants import HECTOPASCAL
from contracts.state import StateSpace
from letkf_mpi.config import Settings
from letkf_mpi.departures import Used
from letkf_mpi.localization import Neighbours
from letkf_mpi.relaxation import spread
from letkf_mpi.solvers import LocalProblem


@dataclass(frozen=True)
class Diagnostics:
    """What is told of the analysis of some columns.

    (channel, column): `mean`, `spread`, `least` and `most` over the members as written, `background_spread`;
    (level, column): `inflation` for the next time, `count` of local observations, `relaxation` factor on the
    spread; `clipped` (column,) negative humidities set to 0.
    """

    mean: np.ndarray
    spread: np.ndarray
    least: np.ndarray
    most: np.ndarray
    background_spread: np.ndarray
    inflation: np.ndarray
    count: np.ndarray
    relaxation: np.ndarray
    clipped: np.ndarray

    def each(self, change: Callable[[np.ndarray], np.ndarray]) -> "Diagnostics":
        """The same with every array changed."""
        return Diagnostics(**{f.name: change(getattr(self, f.name)) for f in fields(self)})


@dataclass(frozen=True)
class ColumnsAnalysis:
    """The analysis of some columns: members `X` float32 (k, channel, column) and what is told of them."""

    X: np.ndarray
    diagnostics: Diagnostics

    @classmethod
    def of(cls, X: np.ndarray, Xb: np.ndarray, **others: np.ndarray) -> "ColumnsAnalysis":
        """From analysis members and background perturbations."""
        written = X.astype(np.float32)
        exact, mean, perturbations = _decompose(written)
        return cls(written, Diagnostics(mean=mean, spread=spread(perturbations), least=exact.min(axis=0),
                                        most=exact.max(axis=0), background_spread=spread(Xb), **others))  # fmt: skip

    @classmethod
    def join(cls, tiles: Sequence["ColumnsAnalysis"]) -> "ColumnsAnalysis":
        """Tiles side by side."""
        X = np.concatenate([tile.X for tile in tiles], axis=-1)
        told = {f.name: np.concatenate([getattr(tile.diagnostics, f.name) for tile in tiles], axis=-1)
                for f in fields(Diagnostics)}  # fmt: skip
        return cls(X, Diagnostics(**told))


@dataclass(frozen=True)
class Group:
    """`channels` of one level that the same observations may update: `sees` (nobs,) of the table's used rows."""

    channels: np.ndarray
    sees: np.ndarray

    def part_of(self, problem: LocalProblem, rows: np.ndarray) -> LocalProblem:
        """What these channels see of the level's problem, whose observations are `rows` (p,) of the table."""
        seen = self.sees[rows]
        return problem if seen.all() else problem.select(seen)


@dataclass(frozen=True)
class LocalAnalysis:
    """Everything that all columns share."""

    space: StateSpace
    used: Used
    settings: Settings

    @cached_property
    def levels(self) -> np.ndarray:
        """(level,) Pa, ascending."""
        return analysis_levels(self.space)

    @cached_property
    def channels_at(self) -> tuple[np.ndarray, ...]:
        """Channel numbers that stand at each level."""
        return tuple(np.flatnonzero(self.space.pressure == level) for level in self.levels)

    @cached_property
    def groups(self) -> tuple[tuple[Group, ...], ...]:
        """Groups of channels of each level."""
        return tuple(tuple(self._groups_of(channels)) for channels in self.channels_at)

    def _groups_of(self, channels: np.ndarray) -> Iterator[Group]:
        sees = np.stack([self.settings.localization.sees(self.space.channels[i].variable, self.used.quantity)
                         for i in channels])  # fmt: skip
        distinct, group = np.unique(sees, axis=0, return_inverse=True)
        for number, common in enumerate(distinct):
            yield Group(channels[group.reshape(-1) == number], common)

    @cached_property
    def neighbours(self) -> Neighbours:
        return Neighbours(self.used.lat, self.used.lon)

    @cached_property
    def vertical_taper(self) -> np.ndarray:
        """(level, nobs)"""
        return np.stack([self.settings.localization.vertical(self.used.pressure, level) for level in self.levels])

    def tile(self, columns: np.ndarray, X: np.ndarray, inflation: np.ndarray) -> ColumnsAnalysis:
        """Analyse `columns` (column,) of the grid: background `X` (k, channel, column), β (level, column)."""
        background, mean, Xb = _decompose(X)
        increment, Xa = np.zeros_like(mean), np.empty_like(Xb)
        adapted, count = np.empty_like(inflation), np.empty_like(inflation)
        for j, column in enumerate(columns):
            for level, (rows, problem) in enumerate(self._problems(column, inflation[:, j])):
                for group in self.groups[level]:
                    weights = self.settings.analysis.solver.solve(group.part_of(problem, rows))
                    local = Xb[:, group.channels, j].T  # (channel, k)
                    increment[group.channels, j] = local @ weights.mean
                    Xa[:, group.channels, j] = (local @ weights.perturbations).T
                adapted[level, j] = self.settings.inflation.update(problem)
                count[level, j] = problem.p
        relaxed = self.settings.relaxation.relax(Xb, Xa)
        analysis, clipped = self._respect_humidity(mean + increment + relaxed, background)
        return ColumnsAnalysis.of(analysis, Xb, inflation=adapted, count=count, clipped=clipped,
                                  relaxation=self._mean_ratio(relaxed, Xa))  # fmt: skip

    def unchanged(self, columns: np.ndarray, X: np.ndarray, inflation: np.ndarray) -> ColumnsAnalysis:
        """The background as analysis, its inflation carried forward: when there is not a single observation."""
        background, _, Xb = _decompose(X)
        return ColumnsAnalysis.of(background, Xb, inflation=inflation, count=np.zeros_like(inflation),
                                  clipped=np.zeros(columns.size, int), relaxation=np.ones_like(inflation))  # fmt: skip

    def _problems(self, column: int, inflation: np.ndarray) -> Iterator[tuple[np.ndarray, LocalProblem]]:
        """Rows and local problem of each level of a column; an observation without weight there is no part of it."""
        grid, scale, used = self.space.grid, self.settings.localization, self.used
        near, distance = self.neighbours.within(grid.column_lat[column], grid.column_lon[column], scale.reach_km)
        Y, d, variance, horizontal = used.Y[near], used.d[near], used.variance[near], scale.horizontal(distance)
        for level, beta in enumerate(inflation):
            taper = horizontal * self.vertical_taper[level, near]
            seen = taper > 0
            problem = LocalProblem(Y, d, variance, taper, float(beta))
            yield (near, problem) if seen.all() else (near[seen], problem.select(seen))

    def _respect_humidity(self, analysis: np.ndarray, background: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Keep the background's humidity above the configured level, and none below 0; count those (column,)."""
        humid = np.array([channel.variable in ("specific_humidity", "2m_specific_humidity")
                          for channel in self.space.channels])  # fmt: skip
        kept = humid & (self.space.pressure <= self.settings.analysis.humidity_below_hpa * HECTOPASCAL)
        analysis = np.where(kept[:, None], background, analysis)
        negative = (humid & ~kept)[:, None] & (analysis < 0)
        return np.where(negative, 0.0, analysis), negative.sum(axis=(0, 1))

    def _mean_ratio(self, relaxed: np.ndarray, unrelaxed: np.ndarray) -> np.ndarray:
        """(level, column) spread after / before relaxation, mean over the channels that have spread (1 if none)."""
        before, after = spread(unrelaxed), spread(relaxed)
        has = before > 0
        ratio = np.divide(after, before, out=np.zeros_like(after), where=has)
        total = np.stack([ratio[here].sum(axis=0) for here in self.channels_at])
        number = np.stack([has[here].sum(axis=0) for here in self.channels_at])
        return np.divide(total, number, out=np.ones_like(total), where=number > 0)


def _decompose(X: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(k, channel, column) in double precision, its mean and its perturbations."""
    whole = np.ascontiguousarray(X, dtype=np.float64)
    mean = whole.mean(axis=0)
    return whole, mean, whole - mean


def analysis_levels(space: StateSpace) -> np.ndarray:
    """(level,) Pa: the distinct pressures of the channels, ascending."""
    return np.unique(space.pressure)
