"""A file of ours that several processes fill: one lays it down with room for the numbers, each writes its part there.

    rooms = state.lay_down(path, …)                  one process, with the `disk` of `paths.withheld`
    fill(path, rooms, first, values, disk)           each its rows; the file appears when the first one's block ends

No wheel has parallel HDF5, but a chunk in a file is no more than its numbers with a checksum behind them, and HDF5
tells where it stands: who knows that needs no HDF5.  Of the file system it asks that processes may write different
parts of a file.

The checksum is Fletcher's (1982, IEEE Trans. Commun. 30, 247) of words w_i of 16 bits, the higher byte first, as HDF5
(`H5checksum.c`) takes it:

    s₁ = Σ w_i,  s₂ = Σ (n − i) w_i,  i = 0 … n − 1,   modulo 65535, but for nothing at all never 0;  2¹⁶ s₂ + s₁
"""

import os
from pathlib import Path

import numpy as np

from contracts import paths
from contracts.paths import Disk

CHECKSUM = 4  # bytes behind a chunk
_SIDE = 256  # words that are summed at once


def fill(path: Path, rooms: np.ndarray, first: int, values: np.ndarray, disk: Disk) -> None:
    """Write `values` (row, lat, lon), of whose rows the `first` has this number in the file that another process makes;
    `disk` flushes them.

    `rooms` (chunk, 7) of the whole file: row, lat and lon where a chunk begins, how many it has of each, and its place
    in bytes.  Rows begin and end where chunks do.  Raises UserError where the disk refuses.
    """
    mine = rooms[(rooms[:, 0] >= first) & (rooms[:, 0] < first + values.shape[0])]
    with paths.part_of_another(path, disk) as partial, open(partial, "r+b", buffering=0) as file:
        for row, lat, lon, rows, lats, lons, place in mine.tolist():
            chunk = np.zeros(values.itemsize * rows * lats * lons + CHECKSUM, np.uint8)
            numbers = chunk[:-CHECKSUM].view(values.dtype).reshape(rows, lats, lons)
            here = values[row - first : row - first + rows, lat : lat + lats, lon : lon + lons]
            numbers[tuple(map(slice, here.shape))] = here
            chunk[-CHECKSUM:] = np.frombuffer(checksum(chunk[:-CHECKSUM]).to_bytes(CHECKSUM, "little"), np.uint8)
            _write(file.fileno(), chunk, place)


def checksum(data: np.ndarray) -> int:
    """Of bytes (n,), an even number of them."""
    words = data.view(">u2")
    blocks = np.zeros((-(-words.size // _SIDE), _SIDE))
    blocks.reshape(-1)[blocks.size - words.size :] = words  # zeros before the first add nothing
    sums = (blocks @ np.stack([np.ones(_SIDE), np.arange(_SIDE, 0, -1)], axis=1)).astype(np.int64)  # exact
    behind = _SIDE * np.arange(len(blocks) - 1, -1, -1)
    return _folded(int((sums[:, 1] + behind * sums[:, 0]).sum())) << 16 | _folded(int(sums[:, 0].sum()))


def _folded(total: int) -> int:
    return total and (total - 1) % 65535 + 1


def _write(descriptor: int, data: np.ndarray, place: int) -> None:
    """All of it: the system may take less at once."""
    left = data.data
    while left:
        written = os.pwrite(descriptor, left, place)
        left, place = left[written:], place + written
