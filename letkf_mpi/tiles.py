"""Columns in tiles: the unit of work, fixed by the grid and never by the number of ranks.

A tile is a block of neighbouring columns.  Results depend on a tile's contents only, so that they are the same bits
for any number of ranks; who computes which tile is a matter of time alone.
"""

import heapq
from collections.abc import Sequence

import numpy as np

from contracts.grid import Grid


def blocks(grid: Grid, side: int) -> tuple[np.ndarray, ...]:
    """Column numbers of each tile: `side` x `side` columns, less at the rims, from south-west to north-east."""
    nlat, nlon = grid.shape
    number = np.arange(grid.size).reshape(nlat, nlon)
    return tuple(number[row : row + side, col : col + side].reshape(-1)
                 for row in range(0, nlat, side) for col in range(0, nlon, side))  # fmt: skip


def work(tiles: Sequence[np.ndarray], nearby: np.ndarray, members: int) -> np.ndarray:
    """Cost estimate of each tile: columns x (p k² + c k³) for `nearby` (tile,) observations p around it.

    c = 60 makes an eigendecomposition of k = 20 weigh as much as 1200 observations, as measured with NumPy.
    """
    columns = np.array([tile.size for tile in tiles])
    return columns * (nearby * members**2 + 60.0 * members**3)


def share(costs: np.ndarray, ranks: int) -> tuple[tuple[int, ...], ...]:
    """Tile numbers of each rank: the longest job goes to the rank with the least work so far."""
    load = [(0.0, rank) for rank in range(ranks)]
    owned: list[list[int]] = [[] for _ in range(ranks)]
    for tile in np.argsort(-costs, kind="stable"):
        work_so_far, rank = heapq.heappop(load)
        owned[rank].append(int(tile))
        heapq.heappush(load, (work_so_far + float(costs[tile]), rank))
    return tuple(tuple(sorted(mine)) for mine in owned)
