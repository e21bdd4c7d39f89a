"""The analysis of the columns of one tile: choose observations, taper, solve, apply, relax.

    xᵃ_i = x̄ + X (w̄ + W_i)        one transform for all channels of a level that see the same observations

Analysis levels are the distinct pressures of the channels; surface channels stand at their nominal pressure.
Inflation and the count of local observations are of the level, with everything that any channel might see.
Only tile contents enter, in an order fixed by grid and table: the bits do not depend on ranks.

The plain LETKF goes through the compiled kernel tile by tile (`tile_kernel`), with the inflation and relaxation
that it knows; every other method point by point through `solve(LocalProblem) -> Weights`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import ClassVar

import numpy as np

from contracts import humidity
from contracts.relaxation import spread
from contracts.state import StateSpace
from letkf_mpi.config import Settings
from letkf_mpi.kernel.lanes import HUMIDITY, TileAnalysis
from letkf_mpi.local import tile_kernel
from letkf_mpi.local.localization import Neighbours, Sites
from letkf_mpi.local.selection import Limit, limits
from letkf_mpi.local.tile_kernel import TileKernel
from letkf_mpi.shares import ByShares, alone
from letkf_mpi.solvers import LocalProblem
from letkf_mpi.static.static_set import StaticColumns
from obsoperator.departures import Used


@dataclass(frozen=True, kw_only=True)
class Diagnostics:
    """What is told of the analysis of some columns.

    (channel, column): `mean`, `spread`, `least` and `most` over the members as written, `background_spread`;
    (level, column): `inflation` for the next time, `count` of local observations, how many more were `left_out` for
    nearer ones, `weight`, the sum of their tapers, degrees of freedom for `signal` (0 of a solver without them),
    `relaxation` factor on the spread and its `alpha` for the next time;
    `clipped` (column,) negative humidities set to 0.
    """

    mean: np.ndarray
    spread: np.ndarray
    least: np.ndarray
    most: np.ndarray
    background_spread: np.ndarray
    inflation: np.ndarray
    count: np.ndarray
    weight: np.ndarray
    signal: np.ndarray
    relaxation: np.ndarray
    clipped: np.ndarray
    alpha: np.ndarray
    left_out: np.ndarray

    BY_CHANNEL: ClassVar = ("mean", "spread", "least", "most", "background_spread")
    BY_LEVEL: ClassVar = ("inflation", "count", "weight", "signal", "relaxation", "alpha", "left_out")

    @classmethod
    def told_by(cls, kernel: TileAnalysis, **others: np.ndarray) -> "Diagnostics":
        """By the names that both have, and `others`."""
        return cls(**others, **{f.name: getattr(kernel, f.name) for f in fields(cls) if f.name not in others})

    @classmethod
    def bytes_of(cls, channels: int, levels: int) -> int:
        """Of one column."""
        by_column = len(fields(cls)) - len(cls.BY_CHANNEL) - len(cls.BY_LEVEL)
        return 8 * (len(cls.BY_CHANNEL) * channels + len(cls.BY_LEVEL) * levels + by_column)

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
                                        most=exact.max(axis=0), background_spread=spread(Xb), **others))


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
    """Everything that all columns share.

    For the methods that want them: `seed` of draws, `static` perturbations at the columns.  `fraction` of the
    likelihood that is used: errors have 1/fraction of their variance, but inflation learns from them as they are.
    What is made of all observations is made `by_shares` of several processes, where there are some, and their sites are
    made here if they are not known.
    """

    space: StateSpace
    used: Used
    settings: Settings
    seed: tuple[int, ...] = ()
    static: StaticColumns | None = None
    fraction: float = 1.0
    by_shares: ByShares = alone
    known_sites: Sites | None = None

    @cached_property
    def levels(self) -> np.ndarray:
        """(level,) Pa, ascending."""
        return self.space.analysis_levels

    @cached_property
    def channels_at(self) -> tuple[np.ndarray, ...]:
        """Channel numbers that stand at each level."""
        return tuple(np.flatnonzero(self.space.pressure == level) for level in self.levels)

    @cached_property
    def groups(self) -> tuple[tuple[Group, ...], ...]:
        """Groups of channels of each level."""
        return tuple(tuple(self._groups_of(channels)) for channels in self.channels_at)

    def _groups_of(self, channels: np.ndarray) -> Iterator[Group]:
        quantities, of_row = self._quantities
        alike: dict[bytes, list[int]] = {}
        for i in channels:
            sees = self.settings.localization.sees(self.space.channels[i].variable, quantities)
            alike.setdefault(sees.tobytes(), []).append(i)
        for seen, members in alike.items():
            yield Group(np.array(members), np.frombuffer(seen, dtype=bool)[of_row])

    @cached_property
    def _quantities(self) -> tuple[np.ndarray, np.ndarray]:
        """Those that are observed, and the number (nobs,) of each row's."""
        present = np.bincount(self.used.quantity, minlength=1) > 0
        return np.flatnonzero(present), (np.cumsum(present) - 1)[self.used.quantity]

    @cached_property
    def neighbours(self) -> Neighbours:
        return Neighbours(self.used.lat, self.used.lon)

    @cached_property
    def vertical_taper(self) -> np.ndarray:
        """(level, nobs)"""
        return self.vertical(np.arange(len(self.used)))

    def vertical(self, rows: np.ndarray) -> np.ndarray:
        """(level, r) vertical taper of some rows."""
        pressure = self.used.pressure[rows]
        return np.stack([self.settings.localization.vertical(pressure, level) for level in self.levels])

    @cached_property
    def sites(self) -> Sites:
        """Of the rows."""
        return self.known_sites or Sites.of(self.used.lat, self.used.lon, self.by_shares)

    @cached_property
    def variance(self) -> np.ndarray:
        """(nobs,) of the errors, in this part of the likelihood."""
        return self.used.variance / self.fraction

    @cached_property
    def limits(self) -> tuple[Limit, ...]:
        """On the number of local observations."""
        types = self.used.message_type
        return limits(self.settings.localization.nearest, self.used.quantity,
                      np.full(len(self.used), b"") if types is None else types)

    @cached_property
    def kernel(self) -> TileKernel | None:
        """The compiled kernel, where it serves."""
        if not tile_kernel.serves(self.settings):
            return None
        humid = np.where(humidity.humid(self.space), HUMIDITY["not_negative"], HUMIDITY["none"])
        treated = np.where(self._kept, HUMIDITY["kept"], humid)
        groups = [[(group.channels, group.sees) for group in of_level] for of_level in self.groups]
        return TileKernel.of(self.space.grid, replace(self.used, variance=self.variance), self.sites, self.settings,
                             self.vertical, tile_kernel.channels(groups, treated), self.limits, self.fraction,
                             self.by_shares)

    def prepare(self) -> None:
        """Make what tiles share, before they are analysed by several threads that would each make it; of all processes
        that share in it, also of those that have no tile."""
        if len(self.used) and self.kernel is None:
            _ = self.groups, self.neighbours, self.vertical_taper, self.limits, self.variance

    def tile(self, columns: np.ndarray, X: np.ndarray, inflation: np.ndarray,
             alpha: np.ndarray | None = None) -> ColumnsAnalysis:
        """Analyse `columns` (column,) of the grid: background `X` (k, channel, column), β and α (level, column).

        Without α it is that of the start.
        """
        alpha = self._alpha(columns) if alpha is None else alpha
        if self.kernel is None:
            return self._point_by_point(columns, X, inflation, alpha)
        near = self.kernel.near(columns)
        if self.kernel.few(near):
            found, adapted, unrelaxed = self.kernel.analyse_smaller(columns, near, X, inflation, self._level_of_channel)
            return self.relaxed(X, unrelaxed, Diagnostics.told_by(found, inflation=adapted, alpha=alpha))
        found, adapted = self.kernel.analyse(columns, near, X, inflation)
        return ColumnsAnalysis(found.X, Diagnostics.told_by(found, inflation=adapted, alpha=alpha))

    def _point_by_point(self, columns: np.ndarray, X: np.ndarray, inflation: np.ndarray,
                        alpha: np.ndarray) -> ColumnsAnalysis:
        """The same with any method."""
        background, mean, Xb = _decompose(X)
        increment, Xa = np.zeros_like(mean), np.empty_like(Xb)
        adapted, next_alpha, count, weight, signal, left_out = (np.zeros_like(inflation) for _ in range(6))
        for j, column in enumerate(columns):
            for level, (rows, problem, others) in enumerate(self._problems(column, inflation[:, j])):
                for group in self.groups[level]:
                    part = group.part_of(problem, rows)
                    weights = self.settings.analysis.solver.solve(part)
                    local = self._perturbations(column, group.channels, Xb[:, :, j])
                    increment[group.channels, j] = local @ weights.mean
                    Xa[:, group.channels, j] = (local @ weights.perturbations).T
                    share = group.channels.size / self.channels_at[level].size
                    signal[level, j] += share * weights.signal
                    next_alpha[level, j] += share * self.settings.relaxation.update(alpha[level, j], part, weights)
                whole = replace(problem, variance=problem.variance * self.fraction)
                adapted[level, j] = self.settings.inflation.update(whole)
                count[level, j], left_out[level, j], weight[level, j] = problem.p, others, problem.taper.sum()
        relaxed = self.settings.relaxation.relax(Xb, Xa, alpha[self._level_of_channel])
        analysis, clipped = self._respect_humidity(mean + increment + relaxed, background)
        return ColumnsAnalysis.of(analysis, Xb, inflation=adapted, count=count, weight=weight, signal=signal,
                                  relaxation=self._mean_ratio(relaxed, Xa), clipped=clipped,
                                  alpha=next_alpha, left_out=left_out)

    def relaxed(self, background: np.ndarray, X: np.ndarray, told: Diagnostics) -> ColumnsAnalysis:
        """The analysis `X` made in parts, relaxed to the `background` of the first one, both (k, channel, column);
        `told` of the parts."""
        whole, _, Xb = _decompose(background)
        _, mean, Xa = _decompose(X)
        relaxed = self.settings.relaxation.relax(Xb, Xa, told.alpha[self._level_of_channel])
        analysis, clipped = self._respect_humidity(mean + relaxed, whole)
        kept = {name: getattr(told, name) for name in ("inflation", "count", "weight", "signal", "alpha", "left_out")}
        return ColumnsAnalysis.of(analysis, Xb, relaxation=self._mean_ratio(relaxed, Xa),
                                  clipped=told.clipped + clipped, **kept)

    def _perturbations(self, column: int, channels: np.ndarray, Xb: np.ndarray) -> np.ndarray:
        """(channel, k), or (channel, k + m) with static ones, at one column from its `Xb` (k, all channels)."""
        local = Xb[:, channels].T
        return local if self.static is None else np.hstack([local, self.static.at(column, channels)])

    def _alpha(self, columns: np.ndarray) -> np.ndarray:
        return np.repeat(self.settings.relaxation.start(self.levels)[:, None], columns.size, axis=1)

    @cached_property
    def _level_of_channel(self) -> np.ndarray:
        return np.searchsorted(self.levels, self.space.pressure)

    def unchanged(self, columns: np.ndarray, X: np.ndarray, inflation: np.ndarray,
                  alpha: np.ndarray | None = None) -> ColumnsAnalysis:
        """The background as analysis, β and α carried forward: when there is not a single observation."""
        alpha = self._alpha(columns) if alpha is None else alpha
        background, _, Xb = _decompose(X)
        nothing = np.zeros_like(inflation)
        return ColumnsAnalysis.of(background, Xb, inflation=inflation, count=nothing, weight=nothing, signal=nothing,
                                  relaxation=np.ones_like(inflation), clipped=np.zeros(columns.size, int),
                                  alpha=alpha, left_out=nothing)

    def _problems(self, column: int, inflation: np.ndarray) -> Iterator[tuple[np.ndarray, LocalProblem, int]]:
        """Rows and local problem of each level of a column, and how many observations were left out for nearer ones; an
        observation without weight there is no part of it."""
        grid, scale, used = self.space.grid, self.settings.localization, self.used
        near, distance = self.neighbours.within(grid.column_lat[column], grid.column_lon[column], scale.reach_km)
        Y, d, variance, horizontal = used.Y[near], used.d[near], self.variance[near], scale.horizontal(distance)
        noise, static = (None if part is None else part[near] for part in (used.noise, used.static))
        for level, beta in enumerate(inflation):
            taper = horizontal * self.vertical_taper[level, near]
            seen = taper > 0
            within = np.count_nonzero(seen)
            for limit in self.limits:
                seen[seen] = limit.kept(near[seen], taper[seen])
            problem = LocalProblem(Y, d, variance, taper, float(beta), noise, self.seed, static)
            left_out = int(within - np.count_nonzero(seen))
            yield (near, problem, left_out) if seen.all() else (near[seen], problem.select(seen), left_out)

    @cached_property
    def _kept(self) -> np.ndarray:
        """(channel,) humidity at and above the configured level, bool."""
        return humidity.kept(self.space, self.settings.analysis.humidity_below_hpa)

    def _respect_humidity(self, analysis: np.ndarray, background: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Keep the background's humidity above the configured level, and none below 0; count those (column,)."""
        analysis = np.where(self._kept[:, None], background, analysis)
        return humidity.not_negative(analysis, humidity.humid(self.space) & ~self._kept)

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
