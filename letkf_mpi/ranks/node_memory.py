"""What rank 0 knows and all ranks read, once in the memory of each computer.

A node of 64 ranks then holds one table of observations, one Y (nobs, k) and one inflation field, not 64: at 10⁶
observations and 80 members Y alone is 640 MB.  The arrays of any object are taken out of it as it is pickled
(protocol 5, PEP 574), laid side by side in a window of MPI's shared memory, and the object is put together again
around them on every rank, read-only.

Something small is not worth a window, and where the system lacks shared memory (a container has 64 MB of it) each
rank keeps its own copy and the log says so.
"""

import logging
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import numpy as np

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
        starts = np.cumsum([0, *(-(-size // _ALIGNMENT) * _ALIGNMENT for size in sizes)])
        memory = self._filled(int(starts[-1]), starts, arrays)
        return pickle.loads(frame, buffers=[memory[first : first + size].toreadonly()
                                            for first, size in zip(starts, sizes, strict=False)])

    def _filled(self, size: int, starts: np.ndarray, arrays: list[pickle.PickleBuffer]) -> memoryview:
        """Memory of `size` bytes with the arrays of rank 0, of the node where that is worth it, else of this rank."""
        world = self._world
        window = world.shared_window(size) if self._is_worth(size) else None
        memory = np.empty(size, np.uint8).data if window is None else window.Shared_query(0)[0].cast("B")
        if window is not None:
            window.Lock_all()
            self._windows.append(window)
        for first, array in zip(starts, arrays, strict=False):
            raw = array.raw()
            memory[first : first + raw.nbytes] = raw
        receivers = world.comm if window is None else world.leaders
        for first in range(0, size if receivers else 0, self._most_at_once):
            receivers.Bcast(memory[first : first + self._most_at_once])
        if window is not None:
            window.Sync()
            world.node.Barrier()
            window.Sync()
        return memory

    def _is_worth(self, size: int) -> bool:
        if size < self._least_bytes or self._world.largest_node == 1:
            return False
        room = not _FOLDER.is_dir() or shutil.disk_usage(_FOLDER).free > 1.1 * size
        everywhere = all(self._world.comm.allgather(room))
        if not everywhere and self._world.is_root:
            log.warning("%s has no room for %.0f MB that ranks could share: each keeps its own", _FOLDER, size / 1e6)
        return everywhere
