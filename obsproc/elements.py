"""The elements of BUFR reports by name, through ecCodes: whatever its packing, a report is a `Report`.

A message without compression holds its reports one behind the other, each of its own shape, and ecCodes cuts them out.
In a compressed message all reports have one shape, and an element is an array over the reports: it is read whole, once.
(To cut reports out of it would be slow, and fails where there are two texts.)
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import eccodes
import numpy as np

from obsproc.bufr import envelope
from obsproc.bufr.messages import BufrError

log = logging.getLogger(__name__)
MISSING = eccodes.CODES_MISSING_DOUBLE


@dataclass(frozen=True)
class Report(ABC):
    """One report of a message: its data category and international subcategory (BUFR table A and common table C-13),
    the descriptors as the message gives them and expanded, and its elements."""

    category: int
    subcategory: int
    template: list[int]
    descriptors: list[int]

    @abstractmethod
    def all(self, *keys: str) -> np.ndarray:
        """All values (n,) of the first of some elements that occurs, in the order of the message, missing NaN."""

    @abstractmethod
    def text(self, key: str) -> str:
        """The first text of an element, empty where there is none."""


def first(report: Report, *keys: str) -> float:
    """The first value of the first of some elements that has one."""
    for key in keys:
        values = report.all(key)
        if values.size and np.isfinite(values[0]):
            return float(values[0])
    return np.nan


def messages(path: Path, accept_truncated: bool, refused: list[BufrError] | None) -> Iterator[tuple[int, Any]]:
    """Number, from 1, and handle of each message; where the file cannot be read on, that goes into a list `refused`."""
    number = 0
    with path.open("rb") as original, TemporaryFile() as inside:
        file = _plain(path, original, inside)
        while True:
            number += 1
            try:
                handle = eccodes.codes_bufr_new_from_file(file)
            except eccodes.CodesInternalError as error:
                if refused is not None:
                    refused.append(BufrError(path, f"ecCodes cannot read on ({error})", number))
                    return
                if accept_truncated:
                    log.warning("%s; the messages before it are used", BufrError(path, str(error), number))
                    return
                raise BufrError(path, f"ecCodes cannot read it ({error}); fetch the file again, or set [observations] "
                                "truncated = 'accept' to use the messages before it", number) from error
            if handle is None:
                break
            yield number, handle
    if number == 1:
        raise BufrError(path, "there is no BUFR message in this file")


def _plain(path: Path, original: IO[bytes], inside: IO[bytes]) -> IO[bytes]:
    """The original, or where it is compressed what is inside: ecCodes reads files only."""
    raw = path.read_bytes()
    data = envelope.unpacked(raw, path)
    if data is raw:
        return original
    inside.write(data)
    inside.seek(0)
    return inside


def reports(handle: Any) -> Iterator[Report]:
    """The reports of a message; raises CodesInternalError where ecCodes cannot unpack it."""
    count = eccodes.codes_get(handle, "numberOfSubsets")
    _unpack(handle)
    if count == 1:
        yield _Single.of(handle)
    elif eccodes.codes_get(handle, "compressedData"):
        columns = _Columns(handle, count)
        yield from (_OfCompressed(*_heads(handle), columns, number) for number in range(count))
    else:
        for number in range(1, count + 1):
            eccodes.codes_set(handle, "extractSubset", number)
            eccodes.codes_set(handle, "doExtractSubsets", 1)
            single = eccodes.codes_clone(handle)
            try:
                _unpack(single)
                yield _Single.of(single)
            finally:
                eccodes.codes_release(single)


def _unpack(handle: Any) -> None:
    eccodes.codes_set(handle, "skipExtraKeyAttributes", 1)
    eccodes.codes_set(handle, "unpack", 1)


def _heads(handle: Any) -> tuple[int, int, list[int], list[int]]:
    subcategory = ("internationalDataSubCategory" if eccodes.codes_is_defined(handle, "internationalDataSubCategory")
                   else "dataSubCategory")
    return (eccodes.codes_get(handle, "dataCategory"), eccodes.codes_get(handle, subcategory),
            eccodes.codes_get_array(handle, "unexpandedDescriptors").tolist(),
            eccodes.codes_get_array(handle, "expandedDescriptors").tolist())


def _clean(text: str) -> str:
    text = text.strip().strip("\xff")
    return text if text.isascii() else ""


@dataclass(frozen=True)
class _Single(Report):
    """The report of a message that holds one."""

    handle: Any

    @classmethod
    def of(cls, handle: Any) -> "_Single":
        return cls(*_heads(handle), handle)

    def all(self, *keys: str) -> np.ndarray:
        for key in keys:
            if eccodes.codes_is_defined(self.handle, key):
                values = np.atleast_1d(eccodes.codes_get_double_array(self.handle, key))
                return np.where(values == MISSING, np.nan, values)
        return np.empty(0)

    def text(self, key: str) -> str:
        if not eccodes.codes_is_defined(self.handle, key):
            return ""
        return _clean(eccodes.codes_get_string(self.handle, f"#1#{key}"))


@dataclass(frozen=True)
class _Columns:
    """The elements of a compressed message: by name all its occurrences for all reports."""

    handle: Any
    count: int
    _numbers: dict[str, np.ndarray] = field(default_factory=dict)
    _texts: dict[str, list[str]] = field(default_factory=dict)

    def numbers(self, key: str) -> np.ndarray:
        """(noccurrence, nreport)"""
        if key not in self._numbers:
            found: list[np.ndarray] = []
            while eccodes.codes_is_defined(self.handle, rank := f"#{len(found) + 1}#{key}"):
                values = np.atleast_1d(eccodes.codes_get_double_array(self.handle, rank))
                found.append(np.broadcast_to(np.where(values == MISSING, np.nan, values), self.count))
            self._numbers[key] = np.array(found).reshape(-1, self.count)
        return self._numbers[key]

    def texts(self, key: str) -> list[str]:
        if key not in self._texts:
            defined = eccodes.codes_is_defined(self.handle, key)
            found = eccodes.codes_get_string_array(self.handle, f"#1#{key}") if defined else [""]
            self._texts[key] = list(found) if len(found) == self.count else [found[0]] * self.count
        return self._texts[key]


@dataclass(frozen=True)
class _OfCompressed(Report):
    """One report of a compressed message."""

    columns: _Columns
    number: int

    def all(self, *keys: str) -> np.ndarray:
        for key in keys:
            values = self.columns.numbers(key)
            if len(values):
                return values[:, self.number]
        return np.empty(0)

    def text(self, key: str) -> str:
        return _clean(self.columns.texts(key)[self.number])
