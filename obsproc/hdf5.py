"""HDF5 files of others hold their own data: nothing is read that stands in another file, and no group is its own part.

HDF5 lets a file point elsewhere: by external links, datasets in external storage and virtual datasets. A file that
someone sends could so make us read, and write into observations.nc, whatever file we can read.
"""

from pathlib import Path

import h5py

from contracts.errors import UserError

SIGNATURE = b"\x89HDF"
MOST_OBJECTS = 100_000


def refuse_elsewhere(path: Path) -> None:
    """Raises UserError where an HDF5 file points to other files, has a group in itself or more objects than any table;
    files of other formats pass."""
    with path.open("rb") as start:
        if start.read(4) != SIGNATURE:
            return
    try:
        with h5py.File(path) as file:
            _look(path, file)
    except (OSError, RuntimeError, KeyError) as error:
        raise UserError(f"{path}: is no readable HDF5 file ({error})") from None


def _look(path: Path, file: h5py.File) -> None:
    waiting, seen, objects = [(file["/"], frozenset[int]())], 0, MOST_OBJECTS
    while waiting:
        group, above = waiting.pop()
        above |= {h5py.h5o.get_info(group.id).addr}
        for name in group:
            seen += 1
            where = f"{path}: {group.name.rstrip('/')}/{name}"
            if seen > objects:
                raise UserError(f"{path}: has more than {objects} groups and variables")
            if isinstance(group.get(name, getlink=True), h5py.ExternalLink):
                raise UserError(f"{where} is a link to another file; only what the file itself holds is read")
            if (item := group.get(name)) is None:  # a soft link to nothing
                continue
            if isinstance(item, h5py.Group):
                if h5py.h5o.get_info(item.id).addr in above:
                    raise UserError(f"{where} is a group that contains itself")
                waiting.append((item, above))
            elif isinstance(item, h5py.Dataset) and (item.external or _is_virtual(item)):
                raise UserError(f"{where} has its data in another file; only what the file itself holds is read")


def _is_virtual(item: h5py.Dataset) -> bool:
    return item.is_virtual and any(source.file_name != "." for source in item.virtual_sources())
