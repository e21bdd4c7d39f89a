"""A NetCDF-4 file of ours that is being written, by HDF5's own names for what NetCDF's library lays down in one.

That library reads it as a file of its own, and so do all that know HDF5: every dimension is a dimension scale, to which
the variables that have it are attached; objects and attributes keep the order in which they came (NetCDF-4 file format,
Unidata, netcdf-c, `file_format_specifications.md`).  To write a state so takes 0.6 of that library's time, and none
is loaded beside the one that reads (`opened`).

HDF5 is not told where a disk refuses, because it does not survive that in all places: what it writes then goes nowhere,
and the block ends with the disk's own error.
"""

from collections.abc import Callable, Mapping
from functools import cache
from io import FileIO
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5d, h5ds, h5f, h5fd, h5g, h5p, h5s, h5t

from contracts.hdf5_objects import DIMENSION_ONLY, HIDDEN
from contracts.rooms import CHECKSUM

_ORDER = h5p.CRT_ORDER_TRACKED | h5p.CRT_ORDER_INDEXED
_MOST_OF_A_CHUNK = 2**22  # bytes; checksums, and reads of parts, are of whole chunks
_MOST_BESIDE = 64  # of an axis no more than one part in so many is stored beside its end, in the last chunk
_TEXT = h5py.string_dtype()
_SCALAR = h5s.create(h5s.SCALAR)


class _Patient(FileIO):
    """A file that takes all that is written, also what the disk refuses; `refused` is the first error, or Ctrl-C.

    What lies at `nothing` in memory stands for what others will write.
    """

    refused: BaseException | None = None
    nothing: int | None = None

    def write(self, data: Any) -> int:
        if self.nothing is not None and np.frombuffer(data, np.uint8).ctypes.data == self.nothing:
            return len(data)
        left = memoryview(data)
        while left and not self.refused:
            left = left[self._tried(super().write, left) :]
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        self._tried(super().truncate, size)
        return size or 0

    def _tried(self, step: Callable, *arguments: object) -> Any:
        try:
            return step(*arguments)
        except BaseException as error:  # whatever it is would be HDF5's to survive
            self.refused = self.refused or error


class NewDataset:
    """A block around what is written, into a file that is made anew; raises the OSError of a disk that refuses."""

    def __init__(self, path: Path):
        self.dimensions: dict[str, int] = {}
        self._scales: dict[str, h5d.DatasetID] = {}
        self._others: list[tuple[h5d.DatasetID, tuple[str, ...]]] = []  # with their dimensions
        self._disk = _Patient(path, "w+")
        self._file = h5f.create(str(path).encode(), h5f.ACC_TRUNC, _file_settings(), _access(self._disk))
        self._root = h5g.open(self._file, b"/")

    def __enter__(self) -> "NewDataset":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._disk.close()
        self._refuse_what_the_disk_refused()

    def _refuse_what_the_disk_refused(self) -> None:
        if self._disk.refused:
            raise self._disk.refused

    def describe(self, attributes: Mapping[str, object]) -> None:
        """Attributes of the file: text, a number, or several of either."""
        _describe(self._root, attributes)

    def add_dimension(self, name: str, size: int) -> None:
        """One without a length is without end, as NetCDF has no others."""
        self.dimensions[name] = size

    def add(self, name: str, dimensions: tuple[str, ...], values: np.ndarray, attributes: Mapping[str, object]) -> None:
        """A variable: numbers, characters (S1) or texts (U); raises ValueError where they are not of these
        dimensions."""
        shape = tuple(self.dimensions[dimension] for dimension in dimensions)
        if values.shape != shape:
            raise ValueError(f"{name}: expected values of shape {shape} for {dimensions}, got {values.shape}")
        native = _TEXT if values.dtype.kind in "UO" else values.dtype.newbyteorder("=")
        item = self._new(name, native, dimensions, chunks_of(shape, native.itemsize), values.size > 0)
        _describe(item, attributes)
        item.write(h5s.ALL, h5s.ALL, np.asarray(values, native, order="C"), _in_memory(native))
        self._refuse_what_the_disk_refused()

    def add_parts(self, name: str, dtype: np.dtype, dimensions: tuple[str, ...], chunks: tuple[int, ...],
                  attributes: Mapping[str, object]) -> h5py.Dataset:
        """A variable whose values come part by part: `found[part] = values`."""
        item = self._new(name, dtype, dimensions, chunks, True)
        _describe(item, attributes)
        return h5py.Dataset(item)

    def add_room(self, name: str, dtype: np.dtype, dimensions: tuple[str, ...], chunks: tuple[int, ...],
                 attributes: Mapping[str, object]) -> np.ndarray:
        """A variable whose numbers others write into the file: (chunk, 2 n + 1), of n dimensions, where each of its
        chunks begins, how long it is, and its place in bytes (`contracts.rooms`)."""
        item = self._new(name, dtype, dimensions, chunks, True)
        _describe(item, attributes)
        nothing = np.zeros(dtype.itemsize * prod(chunks) + CHECKSUM, np.uint8)
        self._disk.nothing = nothing.ctypes.data
        starts = list(product(*(range(0, self.dimensions[each], length)
                                for each, length in zip(dimensions, chunks, strict=True))))
        for start in starts:
            item.write_direct_chunk(start, nothing)
        self._disk.nothing = None
        return np.array([(*start, *chunks, item.get_chunk_info_by_coord(start).byte_offset) for start in starts])

    def finish(self) -> None:
        """Join variables with their dimensions, and hand all to the system; variables end here."""
        for name in self.dimensions:
            if name not in self._scales:
                self._new_scale_alone(name)
        for item, dimensions in self._others:
            for axis, dimension in enumerate(dimensions):
                h5ds.attach_scale(item, self._scales[dimension], axis)
        h5f.flush(self._file)
        self._refuse_what_the_disk_refused()

    def _new(self, name: str, dtype: np.dtype, dimensions: tuple[str, ...], chunks: tuple[int, ...],
             checked: bool) -> h5d.DatasetID:
        is_scale = dimensions[:1] == (name,)
        settings = _dataset_settings()
        if dimensions:
            settings.set_chunk(chunks)
        elif dtype.kind != "O":
            settings.set_layout(h5d.COMPACT)  # within the description, which has a checksum
        if dtype.kind != "O":
            settings.set_fill_time(h5d.FILL_TIME_NEVER)
            if dimensions and checked:
                settings.set_fletcher32()
        stored = name if is_scale or name not in self.dimensions else HIDDEN + name
        item = h5d.create(self._root, stored.encode(), _in_file(dtype), self._space(dimensions), settings)
        if dimensions:
            _describe(item, {"_Netcdf4Coordinates": np.array([self._number(each) for each in dimensions], np.int32)})
        if is_scale:
            self._make_scale(name, item, name.encode())
        else:
            self._others.append((item, dimensions))
        return item

    def _new_scale_alone(self, name: str) -> None:
        """Of a dimension that no variable has the name of."""
        settings = _dataset_settings()
        if not self.dimensions[name]:
            settings.set_chunk((1,))
        item = h5d.create(self._root, name.encode(), h5t.IEEE_F32BE, self._space((name,)), settings)
        self._make_scale(name, item, f"{DIMENSION_ONLY}{self.dimensions[name]:10d}".encode())

    def _make_scale(self, name: str, item: h5d.DatasetID, title: bytes) -> None:
        h5ds.set_scale(item, title)
        h5a.create(item, b"_Netcdf4Dimid", h5t.NATIVE_INT32, _SCALAR).write(np.array(self._number(name), np.int32))
        self._scales[name] = item

    def _number(self, dimension: str) -> int:
        return list(self.dimensions).index(dimension)

    def _space(self, dimensions: tuple[str, ...]) -> h5s.SpaceID:
        if not dimensions:
            return _SCALAR
        shape = tuple(self.dimensions[dimension] for dimension in dimensions)
        return h5s.create_simple(shape, tuple(size or h5s.UNLIMITED for size in shape))


def _file_settings() -> h5p.PropFCID:
    settings = h5p.create(h5p.FILE_CREATE)
    settings.set_link_creation_order(_ORDER)
    settings.set_attr_creation_order(_ORDER)
    return settings


def _access(disk: FileIO) -> h5p.PropFAID:
    """Objects of HDF5 1.10, whose indices of chunks have checksums: in an earlier one a flipped bit would hide a chunk,
    and HDF5 return what memory holds.  To close a file closes all that is open of it."""
    access = h5p.create(h5p.FILE_ACCESS)
    access.set_libver_bounds(h5f.LIBVER_V110, h5f.LIBVER_V110)
    access.set_fclose_degree(h5f.CLOSE_STRONG)
    access.set_fileobj_driver(h5fd.fileobj_driver, disk)
    return access


def _dataset_settings() -> h5p.PropDCID:
    settings = h5p.create(h5p.DATASET_CREATE)
    settings.set_attr_creation_order(_ORDER)
    settings.set_obj_track_times(False)
    return settings


def chunks_of(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """The whole of an array, of a large one about as much of its last axes as there is room for."""
    chunks = [max(1, size) for size in shape]
    for axis, size in enumerate(chunks):
        beside = itemsize * prod(chunks) // size
        chunks[axis] = _part(size, max(1, _MOST_OF_A_CHUNK // beside))
    return tuple(chunks)


def _part(size: int, most: int) -> int:
    """The length of the fewest parts of an axis, `most` at most, that end about where it does: what stands beside the
    end of a large array is written and read as the rest is."""
    lengths = (-(-size // count) for count in range(-(-size // most), size + 1))
    return next(length for length in lengths if -size % length <= size // _MOST_BESIDE)


@cache
def _in_file(dtype: np.dtype) -> h5t.TypeID:
    if dtype.kind == "S" and dtype.itemsize == 1:
        return h5t.C_S1  # NetCDF's characters
    if dtype.kind == "O" or dtype.kind in "iu" or dtype.kind == "f" and dtype.itemsize in (4, 8):
        return h5t.py_create(dtype, logical=True)
    raise TypeError(f"NetCDF has no values of type {dtype}")


@cache
def _in_memory(dtype: np.dtype) -> h5t.TypeID:
    return h5t.C_S1 if dtype.kind == "S" else h5t.py_create(dtype)


def _describe(item: h5g.GroupID | h5d.DatasetID, attributes: Mapping[str, object]) -> None:
    for name, value in attributes.items():
        if isinstance(value, str) and value.isascii():
            _describe_in_characters(item, name, value.encode() or b"\0")
        else:
            _describe_in_array(item, name, value)


def _describe_in_characters(item: h5g.GroupID | h5d.DatasetID, name: str, text: bytes) -> None:
    kind = _characters(len(text))
    h5a.create(item, name.encode(), kind, _SCALAR).write(np.array(text, f"S{len(text)}"), mtype=kind)


@cache
def _characters(length: int) -> h5t.TypeID:
    kind = h5t.C_S1.copy()
    kind.set_size(length)
    return kind


def _describe_in_array(item: h5g.GroupID | h5d.DatasetID, name: str, value: Any) -> None:
    """Numbers or texts, as many as there are."""
    values = np.atleast_1d(value)
    values = np.asarray(values, _TEXT if values.dtype.kind in "UO" else values.dtype.newbyteorder("="))
    space = h5s.create_simple(values.shape) if values.size else h5s.create(h5s.NULL)
    attribute = h5a.create(item, name.encode(), _in_file(values.dtype), space)
    if values.size:
        attribute.write(values)
