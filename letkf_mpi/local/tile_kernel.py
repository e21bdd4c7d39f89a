"""The way from grid, observations and settings to the compiled kernel, tile by tile.

Neighbours are searched once for a tile; the kernel finds the horizontal taper of each site and column once and goes
through the levels.  It knows the LETKF, inflation by sums over local observations, RTPP and RTPS.  Where members are
more than the observations around a tile it gets a smaller ensemble (`subspace`), and only the transform is its work.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from contracts.grid import Grid
from contracts.sphere import unit_vectors
from contracts.tapers import CUTOFF
from letkf_mpi.config import Settings
from letkf_mpi.kernel import lanes
from letkf_mpi.kernel.lanes import Channels, Geometry, Lanes, Method, Observations, TileAnalysis
from letkf_mpi.kernel.tapers import fit
from letkf_mpi.local import subspace
from letkf_mpi.local.inflation import Adaptive, Constant, Sums
from letkf_mpi.local.localization import TAPERS, Localization, Sites
from letkf_mpi.local.relaxation import NoRelaxation, Rtpp, Rtps
from letkf_mpi.local.selection import Limit
from letkf_mpi.local.subspace import Subspace
from letkf_mpi.shares import ByShares, alone
from letkf_mpi.solvers import Letkf
from obsoperator.departures import Used


def wanted(settings: Settings) -> bool:
    """Whether the kernel is asked for and knows the methods chosen."""
    solver, relaxation, inflation = settings.analysis.solver, settings.relaxation, settings.inflation
    knows = isinstance(relaxation, NoRelaxation | Rtpp | Rtps) and isinstance(inflation, Constant | Adaptive)
    return isinstance(solver, Letkf) and solver.kernel == "compiled" and knows


def serves(settings: Settings) -> bool:
    """Whether it is wanted and there."""
    return wanted(settings) and lanes.compiled() is not None


def instructions(settings: Settings) -> str:
    """How this process will solve: by the kernel with which instructions, or in NumPy; raises UserError as it would."""
    return lanes.chosen_instructions() if serves(settings) else "NumPy"


def method(settings: Settings) -> Method:
    """What the kernel is told of the settings."""
    solver, relaxation = settings.analysis.solver, settings.relaxation
    assert isinstance(solver, Letkf)
    name = {NoRelaxation: "none", Rtpp: "rtpp", Rtps: "rtps"}[type(relaxation)]
    return Method(solver.precision, solver.noobs_transform, name, getattr(relaxation, "alpha", 0.0))


def channels(groups: Sequence[Sequence[tuple[np.ndarray, np.ndarray]]], humidity: np.ndarray) -> Channels:
    """From the groups of each level, (channels, which rows they see (nobs,)), and what each channel is to humidity."""
    flat = [(level, *group) for level, of_level in enumerate(groups) for group in of_level]
    levels, members, sees = zip(*flat, strict=True)
    first = np.concatenate([[0], np.cumsum([part.size for part in members])])
    return Channels(np.array(levels), np.stack(sees), first, np.concatenate(members), humidity)


@dataclass(frozen=True)
class Shared:
    """What the kernel is prepared with: `table`, taper `vertical(rows)` (level, r), channels, limits and sites."""

    table: Observations
    vertical: Callable[[np.ndarray], np.ndarray]
    parts: Channels
    limits: tuple[Limit, ...]
    geometry: Geometry

    def lanes(self, how: Method, by_shares: ByShares = alone) -> Lanes:
        return Lanes(self.table, self.vertical, self.parts, how, self.limits, self.geometry, by_shares)

    def rows(self, near: np.ndarray) -> np.ndarray:
        """(p,) of the table, of the sites `near` (s,), site by site."""
        first = self.table.first_row
        return self.table.rows[np.concatenate([np.arange(first[site], first[site + 1]) for site in near])]

    def of(self, near: np.ndarray, rows: np.ndarray, Y: np.ndarray) -> "Shared":
        """With the sites `near` and their `rows` alone, and other perturbations `Y` (p, members) of them; humidity is
        left to whoever knows the members."""
        table, parts = self.table, self.parts
        counts = np.diff(table.first_row)[near]
        return Shared(Observations(Y, table.d[rows], table.variance[rows], np.arange(rows.size),
                                   np.append(0, np.cumsum(counts))), lambda some: self.vertical(rows[some]),
                      replace(parts, sees=parts.sees[:, rows], humidity=np.zeros_like(parts.humidity)),
                      tuple(Limit(limit.kind[rows], limit.most[rows]) for limit in self.limits),
                      Geometry(self.geometry.points[near], self.geometry.taper))


@dataclass(frozen=True)
class TileKernel:
    """The compiled kernel with the way to it."""

    lanes: Lanes
    shared: Shared
    how: Method
    sites: Sites
    columns: np.ndarray  # (column, 3) unit vectors of the whole grid
    localization: Localization
    inflation: Constant | Adaptive
    fraction: float  # of the likelihood that the observations' variances stand for

    @classmethod
    def of(cls, grid: Grid, used: Used, sites: Sites, settings: Settings, vertical: Callable[[np.ndarray], np.ndarray],
           parts: Channels, limits: Sequence[Limit] = (), fraction: float = 1.0,
           by_shares: ByShares = alone) -> "TileKernel":
        """For all tiles of `grid`; `vertical(rows)` (level, r) taper; `sites` of the rows."""
        scale, how = settings.localization, method(settings)
        table = Observations(used.Y, used.d, used.variance, sites.rows, sites.first_row)
        geometry = Geometry(sites.points, fit(TAPERS[scale.taper], scale.horizontal_km, CUTOFF))
        shared = Shared(table, vertical, parts, tuple(limits), geometry)
        lat, lon = grid.column_lat, grid.column_lon
        columns, = by_shares(grid.size, lambda part: [unit_vectors(lat[part], lon[part]).reshape(-1)])
        return cls(shared.lanes(how, by_shares), shared, how, sites, columns.reshape(-1, 3), scale, settings.inflation,
                   fraction)

    def near(self, columns: np.ndarray) -> np.ndarray:
        """(s,) the sites around `columns`."""
        return self.sites.near(self.columns[columns], self.localization.reach_km)

    def analyse(self, columns: np.ndarray, near: np.ndarray, X: np.ndarray,
                inflation: np.ndarray) -> tuple[TileAnalysis, np.ndarray]:
        """The analysis of `columns`, around which the sites `near` are, from the background `X` float32
        (k, channel, column) and β (level, column), and β at the next time."""
        found = self.lanes.analyse(near, self.columns[columns], inflation, X)
        return found, self._learned(found, inflation)

    def few(self, near: np.ndarray) -> bool:
        """Whether the sites `near` have so few observations that the members are better analysed as a smaller
        ensemble."""
        members = self.shared.table.Y.shape[1]
        if members < subspace.LEAST_MEMBERS or self.how.noobs_transform != "identity":
            return False
        return bool(subspace.size(members, np.diff(self.shared.table.first_row)[near].sum()) < members)

    def analyse_smaller(self, columns: np.ndarray, near: np.ndarray, X: np.ndarray, inflation: np.ndarray,
                        level: np.ndarray) -> tuple[TileAnalysis, np.ndarray, np.ndarray]:
        """As `analyse`, and the members (k, channel, column) before relaxation; of the `level` (channel,) each, and the
        sites `near` are few.  What is told of members is that of the smaller ensemble."""
        rows, points = self.shared.rows(near), self.columns[columns]
        seen = Subspace.of(self.shared.table.Y[rows])
        shared = self.shared.of(near, rows, seen.smaller(self.shared.table.Y[rows]))
        mean = X.mean(axis=0, dtype=np.float64)
        Xb = np.moveaxis(X - mean, 0, -1)  # (channel, column, k)
        small = np.moveaxis(seen.smaller(Xb), -1, 0).astype(np.float32)
        solve = shared.lanes(replace(self.how, relaxation="none"))
        found = solve.analyse(np.arange(near.size), points, inflation, small)
        increment = found.X.mean(axis=0, dtype=np.float64)
        Xa = np.sqrt(inflation)[level][..., None] * seen.across(Xb)
        Xa += seen.larger(np.moveaxis(found.X - increment, 0, -1))
        return found, self._learned(found, inflation), mean + increment + np.moveaxis(Xa, -1, 0)

    def _learned(self, found: TileAnalysis, inflation: np.ndarray) -> np.ndarray:
        sums = Sums(found.square / self.fraction, found.power / self.fraction, found.weight)
        return self.inflation.learn(sums, inflation)
