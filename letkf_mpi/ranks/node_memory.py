"""What all ranks read, once in the memory of each computer, be it what rank 0 knows or what each knows a part of.

A node of 64 ranks then holds one table of observations, one Y (nobs, k) and one inflation field, not 64: at 10⁶
observations and 80 members Y alone is 640 MB.  The arrays of any object are taken out of it as it is pickled
(protocol 5, PEP 574), laid side by side in a window of MPI's shared memory, and the object is put together again
around them on every rank, read-only.

Something small is not worth a window, and where the system lacks shared memory (a container has 64 MB of it) each
rank keeps its own copy and the log says so.
"""

import logging
import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np

from letkf_mpi.ranks.layouts import part_of
from letkf_mpi.ranks.parallel import Agreed, World

T = TypeVar("T")
P = ParamSpec("P")
_WORTH_A_WINDOW = 2**20  # bytes
_MOST_AT_ONCE = 2**30  # bytes of one broadcast: MPI counts to 2^31
_ALIGNMENT = 64  # bytes, so that no array shares a line of the cache with another
_FOLDER = Path("/dev/shm")  # where the windows live, on Linux
log = logging.getLogger(__name__)


class NodeMemory:
    """Windows that last as long as the block; arrays in them must not be used after it."""

    def __init__(self, world: World, least_bytes: int = _WORTH_A_WINDOW, most_at_once: int = _MOST_AT_ONCE):
        self._world, self._least_bytes, self._most_at_once = world, least_bytes, most_at_once
        self._windows: list = []

    def __enter__(self) -> "NodeMemory":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None or issubclass(kind, Agreed):  # where one rank fails alone, the others do not come here
            for window in self._windows:
                window.Unlock_all()
                window.Free()

    def shared(self, step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `step` on rank 0 and give its result to all; arrays are read-only, a UserError is raised on all."""
        world, arrays = self._world, list[pickle.PickleBuffer]()
        if world.size == 1:
            return world.at_root(step, *args, **kwargs)
        frame = world.shared(
            lambda: pickle.dumps(step(*args, **kwargs), protocol=5, buffer_callback=arrays.append))
        sizes = world.comm.bcast([array.raw().nbytes for array in arrays])
        starts = _starts(sizes)
        with self._memory(starts[-1]) as (memory, is_of_node):
            for first, array in zip(starts, arrays, strict=False):
                raw = array.raw()
                memory[first : first + raw.nbytes] = raw
            receivers = world.leaders if is_of_node else world.comm
            for first in range(0, len(memory) if receivers else 0, self._most_at_once):
                receivers.Bcast(memory[first : first + self._most_at_once])
        return pickle.loads(frame, buffers=[memory[first : first + size].toreadonly()
                                            for first, size in zip(starts, sizes, strict=False)])

    def joined(self, parts: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Arrays (n, …) of whose rows each rank has a part, in the order of ranks: whole on all ranks, read-only.

        What another computer has comes over the ranks with the same number there, so that no rank carries all of it.
        """
        return self._joined(parts, 0, self._world.comm, self._world.peers)

    def by_shares(self, count: int, make: Callable[[slice], Sequence[np.ndarray]]) -> list[np.ndarray]:
        """Arrays (…, n) that `make(slice)` gives a part of for a part of `count` things: whole on all ranks, read-only.

        The ranks of each computer make them together.  For all ranks at once.
        """
        node = self._world.node
        return self._joined(make(part_of(slice(0, count), node.rank, node.size)), -1, node, self._world.alone)

    def _joined(self, parts: Sequence[np.ndarray], axis: int, team: Any, givers: Any) -> list[np.ndarray]:
        """The parts of a `team` of ranks side by side along an `axis`.

        In the memory of a node each rank lays those of its `givers`, without it each has those of the whole team.
        """
        if self._world.size == 1:
            return list(parts)
        lengths = np.array(team.allgather([part.shape[axis] for part in parts]))  # (rank, array)
        ends = np.cumsum(lengths, axis=0)
        shapes = [_with_length(part.shape, axis, length) for part, length in zip(parts, ends[-1].tolist(), strict=True)]
        starts = _starts([prod(shape) * part.itemsize for shape, part in zip(shapes, parts, strict=True)])
        with self._memory(starts[-1]) as (memory, is_of_node):
            whole = [np.ndarray(shape, part.dtype, memory, first)
                     for shape, part, first in zip(shapes, parts, starts, strict=False)]
            sources = givers if is_of_node else team
            ranks = sources.allgather(team.rank)
            for number, part in enumerate(parts):
                rows = np.moveaxis(whole[number], axis, 0)
                pieces = _of_each(sources, np.moveaxis(part, axis, 0), lengths[ranks, number])
                for end, piece in zip(ends[ranks, number], pieces, strict=True):
                    rows[end - len(piece) : end] = piece
        for array in whole:
            array.flags.writeable = False
        return whole

    @contextmanager
    def _memory(self, size: int) -> Iterator[tuple[memoryview, bool]]:
        """Memory of `size` bytes to be filled within the block, and whether it is that of the node, or of this rank."""
        window = self._world.shared_window(size) if self._is_worth(size) else None
        if window is None:
            yield np.empty(size, np.uint8).data, False
            return
        window.Lock_all()
        self._windows.append(window)
        yield window.Shared_query(0)[0].cast("B"), True
        window.Sync()
        self._world.node.Barrier()
        window.Sync()

    def _is_worth(self, size: int) -> bool:
        if size < self._least_bytes or self._world.largest_node == 1:
            return False
        room = not _FOLDER.is_dir() or _free(_FOLDER) > 1.1 * size
        everywhere = all(self._world.comm.allgather(room))
        if not everywhere and self._world.is_root:
            log.warning("%s has no room for %.0f MB that ranks could share: each keeps its own", _FOLDER, size / 1e6)
        return everywhere


def _free(folder: Path) -> int:
    """Bytes that this user may still write there."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def _starts(sizes: Sequence[int]) -> list[int]:
    """Where arrays of so many bytes begin that stand side by side, and where the last one ends."""
    return np.cumsum([0, *(-(-size // _ALIGNMENT) * _ALIGNMENT for size in sizes)]).tolist()


def _with_length(shape: tuple[int, ...], axis: int, length: int) -> tuple[int, ...]:
    return tuple(length if number == axis % len(shape) else size for number, size in enumerate(shape))


def _of_each(givers: Any, part: np.ndarray, rows: np.ndarray) -> Iterator[np.ndarray]:
    """The part of each rank of the communicator `givers`, of so many `rows` (rank,)."""
    row = prod(part.shape[1:])
    mine = np.ascontiguousarray(part).view(f"u{part.itemsize}")  # text too: MPI moves bytes
    whole = np.empty(int(rows.sum()) * row, mine.dtype)
    givers.Allgatherv(mine, [whole, rows * row])
    for piece in np.split(whole.view(part.dtype), np.cumsum(rows)[:-1] * row):
        yield piece.reshape(-1, *part.shape[1:])
