"""Columns in tiles: the unit of work, fixed by the grid and never by the number of ranks.

A tile is a block of neighbouring columns.  Results depend on a tile's contents only, so that they are the same bits
for any number of ranks; who computes which tile is a matter of time alone.
"""

import heapq
from collections.abc import Sequence

import numpy as np

from contracts.grid import Grid
from letkf_mpi.local import subspace

BATCH = 16  # columns that the kernel solves together


def blocks(grid: Grid, side: int) -> tuple[np.ndarray, ...]:
    """Column numbers of each tile: `side` x `side` columns, less at the rims, from south-west to north-east."""
    nlat, nlon = grid.shape
    number, many = np.arange(grid.size).reshape(nlat, nlon), nlon // side
    found: list[np.ndarray] = []
    for row in range(0, nlat, side):
        strip = number[row : row + side]
        of_tile = strip[:, : many * side].reshape(len(strip), many, side).swapaxes(0, 1)
        found.extend(of_tile.reshape(many, len(strip) * side))
        if many * side < nlon:
            found.append(strip[:, many * side :].reshape(-1))
    return tuple(found)


def work(tiles: Sequence[np.ndarray], nearby: np.ndarray, members: int) -> np.ndarray:
    """Cost estimate of each tile: batches of columns x (p k² + c k³) for `nearby` (tile,) observations p around it.

    The compiled kernel takes as long for one column as for a batch.  Its time beside assembly, measured with k = 20,
    40 and 80, is that of 120, 140 and 180 observations: c = 1 + 100/k.  k is that of the smaller ensemble where there
    is one (`subspace`).
    """
    batches, k = np.array([-(-tile.size // BATCH) for tile in tiles]), subspace.size(members, nearby)
    return batches * k**2 * (nearby + 100.0 + k)


def share(costs: np.ndarray, ranks: int) -> tuple[tuple[int, ...], ...]:
    """Tile numbers of each rank: the longest job goes to the rank with the least work so far."""
    load = [(0.0, rank) for rank in range(ranks)]
    owned: list[list[int]] = [[] for _ in range(ranks)]
    order = np.argsort(-costs, kind="stable")
    for tile, cost in zip(order.tolist(), costs[order].tolist(), strict=True):
        work_so_far, rank = load[0]
        owned[rank].append(tile)
        heapq.heapreplace(load, (work_so_far + cost, rank))
    return tuple(tuple(sorted(mine)) for mine in owned)
