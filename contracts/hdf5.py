"""HDF5 files hold their own data: nothing is read that stands in another file, that is its own part, or that would
fill the memory.

HDF5 lets a file point elsewhere: by external links, datasets in external storage and virtual datasets. A file that
someone sends could so make us read, and hand on, whatever file we can read. It lets a file of a few bytes say that it
holds terabytes of a fill value, and a group contain itself. Every door through which such a file comes looks first;
files of ours are looked at as they are opened (`contracts.opened`).
"""

from functools import lru_cache
from pathlib import Path

from contracts.errors import ContractError


class Unreadable(ContractError):
    """Half a file, or another damage; `why` without the file's name, for doors that know who makes it again."""

    def __init__(self, path: Path, why: str):
        super().__init__(path, why)  # what it is made of again on its way from a process to another
        self.path, self.why = path, why

    def __str__(self) -> str:
        return f"{self.path}: is no readable HDF5 file ({self.why})"


def refuse_elsewhere(path: Path) -> None:
    """Raises Unreadable where it is damaged, and ContractError where an HDF5 file points to other files, has a group in
    itself, more objects than any table or arrays that are out of all proportion to its size."""
    try:
        found = path.stat()
        _look_at(path, (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns))
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise Unreadable(path, str(error)) from None


@lru_cache(1000)  # shards and files of ERA5 are opened again and again
def _look_at(path: Path, identity: tuple[int, ...]) -> None:
    from contracts import hdf5_objects  # here, because h5py takes time that a program saves which opens no file

    hdf5_objects.look_at(path, identity[2])
