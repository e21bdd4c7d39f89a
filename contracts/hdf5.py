"""HDF5 files hold their own data: nothing is read that stands in another file, that is its own part, or that would
fill the memory.

HDF5 lets a file point elsewhere: by external links, datasets in external storage and virtual datasets. A file that
someone sends could so make us read, and hand on, whatever file we can read. It lets a file of a few bytes say that it
holds terabytes of a fill value, and a group contain itself. Every door through which such a file comes looks first:
a third of a millisecond for the file of a member.
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


def refuse_elsewhere(path: Path, plain: bool = False) -> dict[str, tuple[int, ...]]:
    """The shapes of its arrays by their place, none of a file of another format.

    Raises Unreadable where it is damaged, and ContractError where an HDF5 file points to other files, has a group in
    itself, more objects than any table or arrays that are out of all proportion to its size.

    With `plain` also where a variable is of a type that no contract has: NetCDF's library ends with a signal on some,
    such as texts of fixed length where it expects a dimension.
    """
    try:
        found = path.stat()
        return _looked(path, plain, (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns))
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise Unreadable(path, str(error)) from None


@lru_cache(1000)  # programs read a member more than once, some channels at a time
def _looked(path: Path, plain: bool, identity: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    from contracts import hdf5_objects  # here, because h5py takes time that a program saves which opens no file

    return hdf5_objects.looked_at(path, identity[2], plain)
