"""A NetCDF file of ours, opened to be read: variables and attributes, by HDF5's own names for what its library does.

To open a file and to look into it (`contracts.hdf5`) are one here, because each alone is most of what reading a member
costs: a variable is reached only as the object that was looked at.  What NetCDF's library adds (masks, scales, parts of
a variable) no file of ours has or its reader wants; characters stay characters.
"""

from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5d, h5ds, h5g, h5i, h5s, h5t

from contracts import hdf5_objects
from contracts.hdf5_objects import DIMENSION_ONLY, HIDDEN

_NATIVE = (h5t.NATIVE_FLOAT, h5t.NATIVE_DOUBLE, h5t.NATIVE_INT32, h5t.NATIVE_INT64)


class _Described:
    """What has attributes: text as str, one number as a scalar of NumPy, more as an array; AttributeError for none."""

    def __init__(self, item: h5g.GroupID | h5d.DatasetID):
        self._item = item

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or not h5a.exists(self._item, name.encode()):
            raise AttributeError(f"has no attribute {name!r}")
        return _attribute(h5a.open(self._item, name.encode()))


class Variable(_Described):
    """Of a shape and a type, with its values behind `[…]`, which are read whole, or part by part."""

    def __init__(self, item: h5d.DatasetID, shape: tuple[int, ...], kind: h5t.TypeID):
        super().__init__(item)
        self.shape, self._kind = shape, kind

    @cached_property
    def dtype(self) -> np.dtype:
        """In the byte order of this computer, whatever the file's is."""
        return self._kind.dtype.newbyteorder("=")

    @cached_property
    def dimensions(self) -> tuple[str, ...]:
        """Their names, empty for one that has none."""
        found = [""] * len(self.shape)
        for axis in range(len(found)):
            if h5ds.get_num_scales(self._item, axis):
                h5ds.iterate(self._item, axis, lambda scale, axis=axis: found.__setitem__(axis, _name(scale)))
        if found == [""] and h5ds.is_scale(self._item):
            return (_name(self._item),)
        return tuple(found)

    def part(self, *where: int | slice) -> np.ndarray:
        """The numbers of `[where]`, whose slices have both ends; these alone are read."""
        whole = [slice(0, size) for size in self.shape]
        wanted = [slice(each, each + 1) if isinstance(each, int) else each for each in where]
        wanted += whole[len(where) :]
        size = tuple(each.stop - each.start for each in wanted)
        values, stored = np.empty(size, self.dtype), h5s.ALL
        if wanted != whole:
            stored = self._item.get_space()
            stored.select_hyperslab(tuple(each.start for each in wanted), size)
        self._item.read(h5s.create_simple(size), stored, values, _as_in_memory(self._kind))
        return values.reshape([length for length, each in zip(size, (*where, *whole[len(where) :]), strict=True)
                               if not isinstance(each, int)])

    def __getitem__(self, where: Any) -> Any:
        values = np.empty(self.shape, self.dtype)
        self._item.read(h5s.ALL, h5s.ALL, values, _as_in_memory(self._kind))
        if h5py.check_string_dtype(values.dtype) and values.dtype.kind == "O":
            values = np.array([_text(each) for each in values.flat], object).reshape(values.shape)
        return values[where]


class Dataset(_Described):
    """A block around what is read; raises what h5py raises and as `hdf5.refuse_elsewhere` does."""

    def __init__(self, path: Path):
        self._file = hdf5_objects.opened(path)
        try:
            super().__init__(h5g.open(self._file, b"/"))
            found = hdf5_objects.look(path, self._item, path.stat().st_size, plain=True)
            self.variables = {place[1:].removeprefix(HIDDEN): Variable(item, shape, kind)
                              for place, item, shape, kind in found
                              if "/" not in place[1:] and not _is_dimension_only(item, kind)}
        except BaseException:
            self._file.close()
            raise

    def __getitem__(self, name: str) -> Variable:
        return self.variables[name]

    def __enter__(self) -> "Dataset":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 where: TracebackType | None) -> None:
        self._file.close()


def _name(item: h5d.DatasetID) -> str:
    return h5i.get_name(item).decode(errors="replace").rpartition("/")[2].removeprefix(HIDDEN)


def _is_dimension_only(item: h5d.DatasetID, kind: h5t.TypeID) -> bool:
    if not kind.equal(h5t.IEEE_F32BE) or not h5a.exists(item, b"NAME"):  # of that type it always is
        return False
    name = _attribute(h5a.open(item, b"NAME"))
    return isinstance(name, str) and name.startswith(DIMENSION_ONLY)


def _attribute(attribute: h5a.AttrID) -> Any:
    kind, space = attribute.get_type(), attribute.get_space()
    is_text = kind.get_class() == h5t.STRING
    if space.get_simple_extent_type() == h5s.NULL:
        return "" if is_text else np.empty(0)
    values = np.empty(space.shape, kind.dtype)
    attribute.read(values, None if is_text else _as_in_memory(kind))
    if is_text:
        texts = [_text(each) for each in values.flat]
        return texts[0] if len(texts) == 1 else texts
    return values.reshape(-1)[0] if values.size == 1 else values


def _as_in_memory(kind: h5t.TypeID) -> h5t.TypeID | None:
    """The type itself where a file has values as this computer does, else None, and h5py looks for one."""
    return kind if kind in _NATIVE else None


def _text(found: bytes | None) -> str:
    return bytes(found or b"").decode(errors="replace")
