"""Where the BUFR messages of a file lie: offsets, lengths and section headers, nothing decoded.

A PREPBUFR file is a sequence of BUFR messages (WMO FM 94, editions 0 to 4), each

    section 0 | "BUFR", length (24 bit), edition        section 3 | number of subsets, flags, descriptors
    section 1 | category, reference time                section 4 | the data
    section 2 | optional                                section 5 | "7777"

Editions 0 and 1 have no length in section 0; their section 1 follows "BUFR" at once, its fourth byte is the edition.

We step from message to message by length: the text "BUFR" also occurs inside data, so searching for it is wrong. Only
the gap behind a message is searched for the next one: any number of zeros (files come padded to whole blocks) and of
the characters of a bulletin's heading, and a few bytes of anything, such as the record lengths that Fortran writes.

Reference: WMO-No. 306, Manual on Codes, Vol. I.2, FM 94 BUFR.
"""

import logging
import struct
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from contracts.errors import UserError

log = logging.getLogger(__name__)

DX_CATEGORY = 11  # messages of this category carry the tables, not data
LARGEST_GAP = 64  # bytes that are no padding and no heading, accepted between two messages
_PADDING = bytes([0, 1, 3, 10, 13, 30, *range(0x20, 0x7F)])  # zeros; SOH, ETX, line ends, RS and text of bulletins
OLD_EDITIONS, EDITIONS = (0, 1), (0, 1, 2, 3, 4)
END = b"7777"


class BufrError(UserError):
    """A file that cannot be decoded; the sentence names the file, the message and the byte."""

    def __init__(self, path: str | Path, what: str, message: int | None = None, byte: int | None = None):
        where = "" if message is None else f", message {message}"
        where += "" if byte is None else f", byte {byte}"
        super().__init__(f"{path}{where}: {what}")

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), str(self))


def _again(kind: type[BufrError], sentence: str) -> BufrError:
    """An error as it was, in another process."""
    error = kind.__new__(kind)
    error.args = (sentence,)
    return error


class Message(NamedTuple):
    """One message: its place in the file and what its headers say.

    `number` counts from 1; `data_start` and `data_end` (bytes in the file) bound the data of section 4;
    `reference` is (year or year of century, month, day, hour, minute) as written.
    """

    number: int
    start: int
    length: int
    category: int
    reference: tuple[int, int, int, int, int]
    subsets: int
    descriptors: tuple[int, ...]
    data_start: int
    data_end: int

    @property
    def is_table(self) -> bool:
        return self.category == DX_CATEGORY

    def time(self, near: datetime) -> datetime | None:
        """The reference time, in the century that brings it nearest to `near`; None where it is no time."""
        return _time_near(self.reference, near)


@lru_cache(1024)  # the messages of a cycle share one
def _time_near(reference: tuple[int, int, int, int, int], near: datetime) -> datetime | None:
    year, month, day, hour, minute = reference
    full = year if year > 100 else year % 100 + 100 * round((near.year - year % 100) / 100)
    try:
        return datetime(full, month, day, hour, minute, tzinfo=UTC)
    except ValueError:
        return None


class _Truncated(BufrError):
    """The file ends inside a message."""


def scan(data: bytes, path: str | Path, accept_truncated: bool = False,
         refused: list[BufrError] | None = None) -> list[Message]:
    """List the messages of a file's bytes, in order.

    A last message that is cut short raises BufrError, or, with `accept_truncated`, is left out with a warning.
    Anything else that is not a chain of messages raises BufrError. With a list `refused` all these errors go there
    instead, one for each damaged place, and the chain is taken up again at the next sound message.
    """
    if not data:
        raise BufrError(path, "the file is empty, expected BUFR messages")
    first = _find(data, 0)
    if first < 0 or (refused is None and not _is_gap(data[:first])):
        raise BufrError(path, "no BUFR message at its beginning: this is not a BUFR file")
    messages: list[Message] = []
    position, damaged, searching = 0, 0, False
    while True:
        start, number = position, len(messages) + damaged + 1
        try:
            start = data.find(b"BUFR", position) if searching else _next_start(data, position, path, number)
            if start < 0:
                return messages
            message = _read_message(data, start, number, path)
        except BufrError as error:
            if isinstance(error, _Truncated) and accept_truncated and refused is None:
                log.warning("%s; the %d messages before it are used", error, len(messages))
                return messages
            if refused is None:
                raise
            if not searching:
                refused.append(error)
                damaged += 1
            position, searching = start + 4, True
        else:
            messages.append(message)
            position, searching = start + message.length, False


def _next_start(data: bytes, position: int, path: str | Path, number: int) -> int:
    """Byte at which the next message begins, or -1 at the end of the file."""
    start = _find(data, position)
    if not _is_gap(data[position : start if start >= 0 else len(data)]):
        raise BufrError(path, "expected 'BUFR' here, the length of the message before it may be damaged",
                        number, position)
    return start


def _find(data: bytes, position: int) -> int:
    """Byte from which on "BUFR" may begin a message, or -1: in a text its edition is a letter."""
    start = data.find(b"BUFR", position)
    while start >= 0 and data[start + 7 : start + 8] >= b" ":
        start = data.find(b"BUFR", start + 4)
    return start


def _is_gap(content: bytes) -> bool:
    """Whether bytes can stand between two messages."""
    return len(content) <= LARGEST_GAP or len(content.translate(None, _PADDING)) <= LARGEST_GAP


def _read_message(data: bytes, start: int, number: int, path: str | Path) -> Message:
    section1 = start + 8
    length = int.from_bytes(data[start + 4 : start + 7], "big")
    if start + 8 <= len(data) and data[start + 7] in OLD_EDITIONS and data[start + length - 4 : start + length] != END:
        section1, length = start + 4, _old_length(data, start)
    if start + 8 > len(data) or start + length > len(data):
        raise _Truncated(path, f"the file ends inside this message, {len(data) - start} of {length} bytes are there; "
                         "fetch the file again, or set [observations] truncated = 'accept' to use the messages "
                         "before it", number, start)
    return _read_headers(data, start, section1, length, number, path)


def _old_length(data: bytes, start: int) -> int:
    """Length of a message of edition 0 or 1: that of its sections, of which sections 2 is there where a bit says so."""
    end = start + 4
    for section in (1, 2, 3, 4):
        if section == 2 and not (start + 11 < len(data) and data[start + 11] & 0x80):
            continue
        end += int.from_bytes(data[end : end + 3], "big")
    return end + 4 - start


def _read_headers(data: bytes, start: int, section1: int, length: int, number: int, path: str | Path) -> Message:
    def fail(what: str, byte: int) -> BufrError:
        return BufrError(path, what, number, byte)

    def integer(byte: int, size: int) -> int:
        return int.from_bytes(data[byte : byte + size], "big")

    end = start + length
    edition = data[start + 7]
    if edition not in EDITIONS:
        raise fail(f"BUFR edition {edition} is not supported, expected 0 to 4", start + 7)
    if length < 32 or data[end - 4 : end] != END:
        raise fail(f"the message does not end in '7777' after its {length} bytes", end - 4)

    category, optional, reference = _section1(data, section1, edition)
    section3 = section1 + integer(section1, 3)
    if optional and section3 < end:
        section3 += integer(section3, 3)
    section4 = section3 + integer(section3, 3)
    if not (section1 + 17 <= section3 and section3 + 7 <= section4 <= end - 8):
        raise fail("the section lengths do not fit into the message", section1)
    if data[section3 + 6] & 0x40:
        raise fail("compressed subsets are not supported, PREPBUFR has none; WMO BUFR is read with [observations] "
                   "source = 'wmo'", section3 + 6)
    data_end = section4 + integer(section4, 3)
    if data_end != end - 4:
        raise fail(f"section 4 ends at byte {data_end}, expected {end - 4}", section4)
    descriptors = struct.unpack_from(f">{(section4 - section3 - 7) // 2}H", data, section3 + 7)
    return Message(number, start, length, category, reference, integer(section3 + 4, 2), descriptors,
                   section4 + 4, data_end)


def _section1(data: bytes, section1: int, edition: int) -> tuple[int, bool, tuple[int, int, int, int, int]]:
    """Category, whether section 2 is present, reference time (octet numbers in the Manual count from 1)."""
    if edition == 4:
        year = int.from_bytes(data[section1 + 15 : section1 + 17], "big")
        month, day, hour, minute = data[section1 + 17 : section1 + 21]
        return data[section1 + 10], bool(data[section1 + 9] & 0x80), (year, month, day, hour, minute)
    year, month, day, hour, minute = data[section1 + 12 : section1 + 17]
    return data[section1 + 8], bool(data[section1 + 7] & 0x80), (year, month, day, hour, minute)
