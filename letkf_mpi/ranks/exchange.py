"""Parts of arrays from every rank to every other: the one way that members, statistics, fields, H(x) and rows go.

Who sends what to whom is a matter of layouts (`layouts`, `observing`); here a piece only finds its rank.
"""

from collections.abc import Sequence
from math import prod

import numpy as np

from letkf_mpi.ranks.parallel import World, nothing


def exchange(world: World, sent: Sequence[np.ndarray], shapes: Sequence[tuple[int, ...]]) -> list[np.ndarray]:
    """Give piece r to rank r; what comes from rank r has the r-th of `shapes`."""
    outgoing, pieces = room([piece.shape for piece in sent], sent[0].dtype)
    for laid, piece in zip(pieces, sent, strict=True):
        laid[...] = piece
    return exchange_laid(world, outgoing, pieces, shapes)


def exchange_laid(world: World, outgoing: np.ndarray, pieces: Sequence[np.ndarray],
                  shapes: Sequence[tuple[int, ...]]) -> list[np.ndarray]:
    """The same of `pieces` that lie side by side in `outgoing`, as `room` gives them."""
    incoming, found = room(shapes, outgoing.dtype)
    world.comm.Alltoallv([outgoing, [piece.size for piece in pieces]], [incoming, [piece.size for piece in found]])
    return found


def room(shapes: Sequence[tuple[int, ...]], dtype: np.dtype) -> tuple[np.ndarray, list[np.ndarray]]:
    """An array for pieces of these shapes side by side, and the pieces."""
    starts = np.cumsum([0, *map(prod, shapes)])
    whole = np.empty(starts[-1], dtype)
    return whole, [whole[first:end].reshape(shape)
                   for first, end, shape in zip(starts, starts[1:], shapes, strict=False)]


def lengths(world: World, sent: Sequence[np.ndarray]) -> list[tuple[int]]:
    """The shapes of what comes, where each rank gives one-dimensional pieces of whatever length."""
    counts, found = np.array([piece.size for piece in sent]), np.empty(world.size, np.intp)
    world.comm.Alltoall(counts, found)
    return [(int(count),) for count in found]


def to_root(world: World, mine: np.ndarray) -> np.ndarray:
    """(…, my part) of each rank side by side, (…, all parts), on rank 0; None elsewhere."""
    widths = world.of_each_rank(mine.shape[-1])
    sent = [mine if rank == 0 else mine[..., :0] for rank in range(world.size)]
    shapes = [(*mine.shape[:-1], width if world.is_root else 0) for width in widths]
    pieces = exchange(world, sent, shapes)
    return np.concatenate(pieces, axis=-1) if world.is_root else nothing()
