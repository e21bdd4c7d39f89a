"""The local analyses: tiles shared out to ranks, each tile analysed in its place.

The analysis of a tile overwrites its background, because a second ensemble is what memory is shortest of.
"""

import logging
import time as clock
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

from contracts import progress
from contracts.grid import Grid
from letkf_mpi.config import Settings
from letkf_mpi.local import tiles
from letkf_mpi.local.localization import Sites
from letkf_mpi.local.update import ColumnsAnalysis, Diagnostics, LocalAnalysis
from letkf_mpi.ranks.layouts import part_of
from letkf_mpi.ranks.parallel import World

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """Which tiles each rank analyses, as column numbers, and the `work` (rank,) that is expected of them."""

    tiles: tuple[tuple[np.ndarray, ...], ...]  # of each rank
    work: np.ndarray

    @classmethod
    def of(cls, blocks: Sequence[np.ndarray], work: np.ndarray, ranks: int) -> "Plan":
        """For the columns of each tile and the `work` (tile,) that is expected of it."""
        shares = tiles.share(work, ranks)
        return cls(tuple(tuple(blocks[tile] for tile in of_rank) for of_rank in shares),
                   np.array([work[list(of_rank)].sum() for of_rank in shares]))

    @cached_property
    def columns(self) -> tuple[np.ndarray, ...]:
        """Columns of each rank, tile after tile."""
        return tuple(one_after_another(mine) for mine in self.tiles)


def one_after_another(tiles: Sequence[np.ndarray]) -> np.ndarray:
    """(column,) of the columns of some tiles."""
    return np.concatenate([*tiles, np.empty(0, dtype=np.intp)])


def share_tiles(world: World, blocks: Sequence[np.ndarray], grid: Grid, settings: Settings, sites: Sites) -> Plan:
    """Give tiles to ranks by the work that the observations around them promise; each rank counts for some of them."""
    mine = part_of(slice(0, len(blocks)), world.rank, world.size)
    centres = np.array([block[block.size // 2] for block in blocks[mine]], dtype=np.intp)
    counted = sites.counts(grid.column_lat[centres], grid.column_lon[centres], settings.localization.reach_km)
    work = tiles.work(blocks, np.concatenate(world.of_each_rank(counted)), settings.experiment.members)
    return Plan.of(blocks, work, world.size)


@dataclass
class Columns:
    """My columns at one time: `X` (member, channel, column), of the background and then of the analysis, tile by tile.

    `seconds` is what all local analyses took.
    """

    tiles: Sequence[np.ndarray]
    X: np.ndarray
    threads: int
    seconds: float = 0.0

    @property
    def columns(self) -> np.ndarray:
        """(column,) numbers of the grid."""
        return one_after_another(self.tiles)

    def analyse(self, local: LocalAnalysis, inflation: np.ndarray, alpha: np.ndarray) -> Diagnostics:
        """Every tile in its place, from β and α (level, column) of the whole grid."""
        analyse_tile = local.tile if len(local.used) else local.unchanged
        local.prepare()
        return self.each(local, lambda columns, here: analyse_tile(columns, self.X[:, :, here], inflation[:, columns],
                                                                   alpha[:, columns]))

    def each(self, local: LocalAnalysis, change: Callable[[np.ndarray, slice], ColumnsAnalysis]) -> Diagnostics:
        """The same with any `change` of a tile: its columns as numbers of the grid, and where they are among mine."""
        start, ends = clock.monotonic(), np.cumsum([columns.size for columns in self.tiles])
        told = _room_for(local, self.X)

        def change_one(number: int) -> None:
            here = slice(ends[number] - self.tiles[number].size, ends[number])
            _put(change(self.tiles[number], here), self.X, told, here)

        with ThreadPoolExecutor(self.threads) as pool:  # not used for one thread: handing over costs more than a tile
            changed = (map if self.threads == 1 else pool.map)(change_one, range(len(self.tiles)))
            for _ in progress.reported(self.tiles, "local analyses, tiles of this rank", log):
                next(changed)
        self.seconds += clock.monotonic() - start
        return told


def _room_for(local: LocalAnalysis, X: np.ndarray) -> Diagnostics:
    """Diagnostics of the columns of `X`, shaped and typed as those of no column."""
    of_none = local.unchanged(np.empty(0, np.intp), X[:, :, :0], np.empty((local.levels.size, 0))).diagnostics
    return of_none.each(lambda part: np.empty((*part.shape[:-1], X.shape[-1]), part.dtype))


def _put(done: ColumnsAnalysis, X: np.ndarray, told: Diagnostics, here: slice) -> None:
    X[:, :, here] = done.X
    for part in fields(told):
        getattr(told, part.name)[..., here] = getattr(done.diagnostics, part.name)
