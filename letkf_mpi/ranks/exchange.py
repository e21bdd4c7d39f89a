"""Parts of arrays from every rank to every other: the one way that members, statistics, fields, H(x) and rows go.

Who sends what to whom is a matter of layouts (`layouts`, `observing`); here a piece only finds its rank.
"""

from collections.abc import Sequence
from math import prod

import numpy as np

from letkf_mpi.ranks.parallel import World, nothing


def exchange(world: World, sent: Sequence[np.ndarray], shapes: Sequence[tuple[int, ...]]) -> list[np.ndarray]:
    """Give piece r to rank r; what comes from rank r has the r-th of `shapes`."""
    send_counts, receive_counts = [piece.size for piece in sent], [prod(shape) for shape in shapes]
    outgoing = np.concatenate([piece.reshape(-1) for piece in sent])
    incoming = np.empty(sum(receive_counts), dtype=outgoing.dtype)
    world.comm.Alltoallv([outgoing, send_counts], [incoming, receive_counts])
    starts = np.cumsum([0, *receive_counts])
    return [incoming[first : first + count].reshape(shape)
            for first, count, shape in zip(starts, receive_counts, shapes, strict=False)]


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
