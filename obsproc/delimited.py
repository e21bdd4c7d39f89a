"""A text of cells, CSV with commas, semicolons or tabs, as columns; every fault names the file and the line.

The first line that is not empty is the heading, and its delimiter that of the file. Cells may stand in quotes; what
follows a # outside of quotes is a comment. Numbers are plain: no underscores, no commas.
"""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from contracts.errors import UserError

DELIMITERS = ",;\t"
LONGEST_CELL = 200  # characters: a column takes as much memory as its longest cell in every row
_BLANK = f"{DELIMITERS} \""  # what a line without any content is made of


@dataclass(frozen=True)
class Cells:
    """`columns[name]` (nrow,) texts, stripped; `line` (nrow,) where each row stands in the file."""

    path: Path
    columns: dict[str, np.ndarray]
    line: np.ndarray

    def numbers(self, name: str, missing: float) -> np.ndarray:
        """A column as float64, `missing` where a cell is empty."""
        texts = self.columns[name]
        empty = texts == ""
        self._refuse(name, np.char.find(texts, "_") >= 0, "a number")
        try:
            values = np.where(empty, "nan", texts).astype(np.float64)
        except ValueError:
            self._refuse(name, np.array([not _is_number(text) for text in texts]) & ~empty, "a number")
            raise
        return np.where(empty, missing, values)

    def integers(self, name: str, missing: int) -> np.ndarray:
        """A column of whole numbers, as float64."""
        values = self.numbers(name, missing)
        self._refuse(name, values != np.rint(values), "a whole number")
        return values

    def times(self, name: str) -> np.ndarray:
        """A column of ISO times, without a zone UTC, as int64 seconds since 1970."""
        different, place = np.unique(self.columns[name], return_inverse=True)
        seconds = np.empty(len(different), np.int64)
        for index, text in enumerate(different):
            try:
                seconds[index] = _seconds(str(text))
            except ValueError:
                self._refuse(name, self.columns[name] == text, "a time such as 1989-01-01T12:00:00Z")
        return seconds[place.ravel()]

    def _refuse(self, name: str, wrong: np.ndarray, expected: str) -> None:
        if wrong.any():
            row = int(np.argmax(wrong))
            raise UserError(f"{self.path}, line {self.line[row]}: column {name} is {str(self.columns[name][row])!r}, "
                            f"expected {expected}")


def read(path: Path, data: bytes, check_names: Callable[[Path, list[str]], None]) -> Cells:
    """The cells of a text; `check_names` raises where the heading is not as expected.

    Raises UserError naming file and line where the bytes are no text or rows have other lengths than the heading.
    """
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is neither NetCDF nor text ({error.reason} at byte {error.start}); give a CSV or "
                        "NetCDF file") from None
    kept = [(number, text) for number, line in enumerate(lines, start=1)
            if (text := _without_comment(line)).strip(_BLANK)]
    heading = kept[0][1] if kept else ""
    delimiter = max(DELIMITERS, key=heading.count)
    try:
        rows = list(csv.reader((text for _, text in kept), delimiter=delimiter))
    except csv.Error as error:
        raise UserError(f"{path}: is no text of cells ({error}); is a quote not closed?") from None
    if len(rows) != len(kept):
        raise UserError(f"{path}: a cell reaches over the end of its line, a quote is not closed")
    for (number, _), cells in zip(kept, rows, strict=True):
        if max(map(len, cells), default=0) > LONGEST_CELL:
            raise UserError(f"{path}, line {number}: has a cell of {max(map(len, cells))} characters, expected at most "
                            f"{LONGEST_CELL}")
    names = [cell.strip() for cell in rows[0]] if rows else []
    check_names(path, names)
    if twice := [name for number, name in enumerate(names) if name in names[:number]]:
        raise UserError(f"{path}: column {twice[0]!r} stands there twice; which one is meant? leave the other out")
    for (number, _), cells in zip(kept, rows, strict=True):
        if len(cells) != len(names):
            raise UserError(f"{path}, line {number}: has {len(cells)} cells, expected {len(names)} as in the header")
    columns = zip(*rows[1:], strict=True) if len(rows) > 1 else ((),) * len(names)
    return Cells(path, {name: np.char.strip(np.array(column, dtype=str)) for name, column in
                        zip(names, columns, strict=True)}, np.array([number for number, _ in kept[1:]], np.int64))


def _without_comment(line: str) -> str:
    start = line.find("#")
    while start >= 0 and line.count('"', 0, start) % 2:
        start = line.find("#", start + 1)
    return line if start < 0 else line[:start]


def _is_number(text: Any) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _seconds(text: str) -> int:
    time = datetime.fromisoformat(text)
    return round((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())
