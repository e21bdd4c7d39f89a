"""Texts that people write: experiment files, cards, and what of them is kept in a folder. Read whole, or one sentence.

A file is UTF-8, with or without a byte order mark, on a disk (a device or a pipe may have no end) and of a size that
people write. A table is TOML whose numbers are finite and have 64 bits, so that what is computed from them is a number,
and whose times are of years in which there is weather to be had.
"""

import math
import os
import stat
import tomllib
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

from contracts.errors import UserError

MOST_BYTES = 4 * 2**20
MOST_DEPTH = 16  # tables and arrays in one another
MOST_HOURS = 876_600.0  # of a span of time: a century
YEARS = (1800, 2200)
_HOURS = {"hours": 1.0, "days": 24.0, "minutes": 1 / 60, "seconds": 1 / 3600}  # by the last word of a setting's name


def read(path: Path) -> str:
    """The text of a file; raises OSError where the system gives none, UserError where it is no text of a person."""
    path = Path(path)
    if "\0" in str(path):
        raise UserError(f"{str(path)!r} is no name of a file")
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:  # a pipe nobody writes to does not hold us up
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise UserError(f"{path}: is no ordinary file, such as a pipe or a device; write what it says into one")
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise UserError(f"{path}: is longer than {MOST_BYTES // 2**20} MiB, as no text is that a person wrote")
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}, line {line}: is not UTF-8 (byte {data[error.start]:#04x}); save it as UTF-8, which "
                        "an editor offers, or iconv -f latin1 -t utf8") from None


def table(text: str, where: str) -> dict[str, Any]:
    """A text as TOML; `where` names it in the UserError that is raised where it is none, or a value is out of bounds.
    """
    try:
        document = tomllib.loads(text)
    except RecursionError:
        raise UserError(f"{where}: has more than {MOST_DEPTH} arrays in one another") from None
    except ValueError as error:  # of TOML, also of a number with more digits than Python turns into one
        raise UserError(f"{where}: is not valid TOML: {error}") from None
    _refuse(document, where, "")
    return document


def record(path: Path) -> dict[str, Any]:
    """What a program of ours keeps of what it made, a JSON object; raises UserError where the file holds none."""
    import json  # here, because it takes time that a program saves which reads none

    try:
        found = json.loads(read(path))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: is damaged ({error}); remove it and what it tells of, and make both again") from None
    if not isinstance(found, dict):
        raise UserError(f"{path}: is damaged, it holds no names and values; remove it and what it tells of, and make "
                        "both again")
    return found


def refuse_unprintable(document: dict[str, Any], where: str) -> None:
    """Raises UserError where a text in an experiment file has control characters: they would stand in names of files,
    lines of logs and words of a shell."""
    for section, settings in document.items():
        for name, value in (settings.items() if isinstance(settings, dict) else ()):
            for text in (section, name, *_texts(value)):
                if not text.isprintable():
                    raise UserError(f"{where}: [{section}] {name}: {text!r} has characters that cannot be shown; take "
                                    "them out"[:500])


def _texts(value: object) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from (name, *_texts(inner))
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def _refuse(value: object, where: str, name: str, place: str = "", depth: int = 0) -> None:
    """Raises UserError where a value is out of bounds; `name` is its own or that of the array it stands in."""
    at = f"{where}: {place}"
    if depth > MOST_DEPTH:
        raise UserError(f"{at}: has more than {MOST_DEPTH} arrays in one another")
    if isinstance(value, dict):
        for inner, content in value.items():
            section = f"[{inner}]" if not place and isinstance(content, dict) else f"{place} {inner}".lstrip()
            _refuse(content, where, inner, section, depth + 1)
    elif isinstance(value, list):
        for content in value:
            _refuse(content, where, name, place, depth + 1)
    elif isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{at}: expected a finite number, got {value}")
    elif isinstance(value, int) and abs(value) >= 2**63:
        raise UserError(f"{at}: expected a number of 64 bits, got one of {value.bit_length()}")
    elif isinstance(value, int | float) and abs(value) * _HOURS.get(name.rpartition("_")[2], 0.0) > MOST_HOURS:
        raise UserError(f"{at}: expected a span of at most a century, got {value:g}")
    elif isinstance(value, date) and not YEARS[0] <= value.year <= YEARS[1]:
        raise UserError(f"{at}: expected a time of the years {YEARS[0]} to {YEARS[1]}, got {value}")
