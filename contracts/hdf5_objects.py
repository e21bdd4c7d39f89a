"""Every object of an HDF5 file, by h5py's own names for what its library does (`contracts.hdf5` says what for)."""

import math
import os
from collections.abc import Iterator
from pathlib import Path

import h5py
from h5py import h5d, h5f, h5g, h5l, h5o, h5p, h5t

from contracts.errors import ContractError

DIMENSION_ONLY = "This is a netCDF dimension but not a netCDF variable."  # NetCDF's name of what has no values
HIDDEN = "_nc4_non_coord_"  # before the name of a variable that NetCDF could take for a coordinate
Array = tuple[str, h5d.DatasetID, tuple[int, ...], h5t.TypeID]
MOST_OBJECTS = 100_000
FREE_BYTES, TIMES_LARGER = 2**28, 300  # what the arrays of a file may hold: so much, and so many times its own bytes
_CLOSES_ALL = h5p.create(h5p.FILE_ACCESS)  # a file, with all that is open of it
_CLOSES_ALL.set_fclose_degree(h5f.CLOSE_STRONG)


def look_at(path: Path, size: int) -> None:
    """Look at all objects of a file of `size` bytes, unless it is of another format; raises as
    `hdf5.refuse_elsewhere` does, and what h5py raises."""
    if not h5py.is_hdf5(path):
        return
    file = opened(path)
    try:
        for _ in look(path, h5g.open(file, b"/"), size):
            pass
    finally:
        file.close()


def opened(path: Path) -> h5f.FileID:
    """The file, to be read; to close it closes all that is open of it."""
    return h5f.open(os.fsencode(path), h5f.ACC_RDONLY, _CLOSES_ALL)


def look(path: Path, root: h5g.GroupID, size: int, plain: bool = False) -> Iterator[Array]:
    """The arrays of a file with their places, shapes and types, each once it was looked at; with `plain` none may be of
    a type that no contract has."""
    waiting, seen, room = [(root, "", frozenset[int]())], 0, FREE_BYTES + TIMES_LARGER * size
    while waiting:
        group, place, above = waiting.pop()
        above |= {h5o.get_info(group).addr}
        for name in group:
            seen += 1
            if seen > MOST_OBJECTS:
                raise ContractError(f"{path}: has more than {MOST_OBJECTS} groups and variables")
            inside = f"{place}/{name.decode(errors='replace')}"
            if (item := _inside(f"{path}: {inside}", group, name)) is None:
                continue
            if isinstance(item, h5g.GroupID):
                if h5o.get_info(item).addr in above:
                    raise ContractError(f"{path}: {inside} is a group that contains itself")
                waiting.append((item, inside, above))
            elif isinstance(item, h5d.DatasetID):
                _refuse_data_elsewhere(f"{path}: {inside}", item)
                kind, shape = item.get_type(), item.shape
                if plain and not _is_plain(kind):
                    raise ContractError(f"{path}: {inside} holds neither numbers nor characters; make the file again")
                room -= math.prod(shape) * kind.get_size()
                if room < 0:
                    raise ContractError(f"{path}: {inside}: the arrays up to this one would fill more than "
                                        f"{(FREE_BYTES + TIMES_LARGER * size) / 2**20:.0f} MB, of a file of {size} "
                                        "bytes; it is damaged, or not what it should be")
                yield inside, item, shape, kind


def _inside(where: str, group: h5g.GroupID, name: bytes) -> h5g.GroupID | h5d.DatasetID | None:
    """What the name stands for, None where it is a soft link to nothing."""
    kind = group.links.get_info(name).type
    if kind not in (h5l.TYPE_HARD, h5l.TYPE_SOFT):
        raise ContractError(f"{where} is a link to another file; only what the file itself holds is read")
    try:
        return h5o.open(group, name)
    except KeyError:
        if kind == h5l.TYPE_SOFT:
            return None
        raise


def _is_plain(kind: h5t.TypeID) -> bool:
    if kind.get_class() == h5t.STRING:
        return kind.is_variable_str() or kind.get_size() == 1
    return kind.get_class() in (h5t.INTEGER, h5t.FLOAT)


def _refuse_data_elsewhere(where: str, item: h5d.DatasetID) -> None:
    made = item.get_create_plist()
    layout = made.get_layout()
    virtual = layout == h5d.VIRTUAL and any(made.get_virtual_filename(number) != "."
                                            for number in range(made.get_virtual_count()))
    if virtual or layout == h5d.CONTIGUOUS and made.get_external_count():
        raise ContractError(f"{where} has its data in another file; only what the file itself holds is read")
