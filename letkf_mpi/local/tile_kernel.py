"""The way from grid, observations and settings to the compiled kernel, tile by tile.

Neighbours are searched once for a tile; the kernel finds the horizontal taper of each site and column once and goes
through the levels.  It knows the LETKF, inflation by sums over local observations, RTPP and RTPS.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from contracts.grid import Grid
from contracts.sphere import unit_vectors
from contracts.tapers import CUTOFF
from letkf_mpi.config import Settings
from letkf_mpi.kernel import lanes
from letkf_mpi.kernel.lanes import Channels, Geometry, Lanes, Method, Observations, TileAnalysis
from letkf_mpi.kernel.tapers import fit
from letkf_mpi.local.inflation import Adaptive, Constant, Sums
from letkf_mpi.local.localization import TAPERS, Localization, Sites
from letkf_mpi.local.relaxation import NoRelaxation, Rtpp, Rtps
from letkf_mpi.local.selection import Limit
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
class TileKernel:
    """The compiled kernel with the way to it."""

    lanes: Lanes
    sites: Sites
    columns: np.ndarray  # (column, 3) unit vectors of the whole grid
    localization: Localization
    inflation: Constant | Adaptive
    fraction: float  # of the likelihood that the observations' variances stand for

    @classmethod
    def of(cls, grid: Grid, used: Used, settings: Settings, vertical: np.ndarray, parts: Channels,
           limits: Sequence[Limit] = (), fraction: float = 1.0) -> "TileKernel":
        """For all tiles of `grid`; `vertical` (level, nobs) taper."""
        sites = Sites(used.lat, used.lon)
        table = Observations(used.Y, used.d, used.variance, sites.rows, sites.first_row)
        scale = settings.localization
        geometry = Geometry(sites.points, fit(TAPERS[scale.taper], scale.horizontal_km, CUTOFF))
        return cls(Lanes(table, vertical, parts, method(settings), limits, geometry), sites,
                   unit_vectors(grid.column_lat, grid.column_lon), scale, settings.inflation, fraction)

    def analyse(self, columns: np.ndarray, X: np.ndarray, inflation: np.ndarray) -> tuple[TileAnalysis, np.ndarray]:
        """The analysis of `columns` from the background `X` float32 (k, channel, column) and β (level, column), and
        β at the next time."""
        points = self.columns[columns]
        found = self.lanes.analyse(self.sites.near(points, self.localization.reach_km), points, inflation, X)
        sums = Sums(found.square / self.fraction, found.power / self.fraction, found.weight)
        return found, self.inflation.learn(sums, inflation)
