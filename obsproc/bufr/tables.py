"""The tables a PREPBUFR file brings with it (DX messages): what its descriptors mean.

NCEP writes its own BUFR tables in front of the data, as messages of category 11 whose section 4 is text:

    u8 nA x [ 3 category, 64 text ]                                              Table A: message types
    u8 nB x [ 6 FXY, 64 text, 24 unit, 1 + 3 scale, 1 + 10 reference, 3 width ]  Table B: elements
    u8 nD x [ 6 FXY, 64 text, u8 n, n x 6 FXY ]                                  Table D: sequences

The first 8 characters of each text are the mnemonic. Nothing about descriptors, widths or categories is known
to this program beforehand: the vintages differ (1989: ADPUPA = 360230; 2020: 348102).

A descriptor FXXYYY is kept as its 16 bits, F in the top two, X in six and Y in eight; `fxy` makes it readable.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from obsproc.bufr.messages import BufrError, Message


@dataclass(frozen=True)
class Element:
    """A Table B entry: value = (bits + reference) / 10**scale in `unit`."""

    mnemonic: str
    unit: str
    scale: int
    reference: int
    width: int

    def __post_init__(self):
        largest = 2048 if self.is_text else 56  # bits; an integer is cut out of 64 bits at any bit
        if not 1 <= self.width <= largest or (self.is_text and self.width % 8) or abs(self.scale) > 99:
            raise ValueError(f"element {self.mnemonic!r} has width {self.width} and scale {self.scale}")

    @property
    def is_text(self) -> bool:
        return self.unit.startswith("CCITT")

    @property
    def is_number(self) -> bool:
        """Operators 201, 202 and 207 change numbers only, not code tables, flag tables and text."""
        return not (self.is_text or self.unit.startswith(("CODE", "FLAG")))


@dataclass(frozen=True)
class Sequence:
    """A Table D entry: a named list of descriptors."""

    mnemonic: str
    members: tuple[int, ...]


@dataclass(frozen=True)
class Tables:
    """Tables B and D, by descriptor."""

    elements: dict[int, Element] = field(default_factory=dict)
    sequences: dict[int, Sequence] = field(default_factory=dict)

    def merged(self, other: Tables) -> Tables:
        """Both together; `other` wins where they differ."""
        return Tables(self.elements | other.elements, self.sequences | other.sequences)


def fxy(descriptor: int) -> str:
    """Six digits: 0x8100 -> '201000'."""
    return f"{descriptor >> 14}{descriptor >> 8 & 0x3F:02d}{descriptor & 0xFF:03d}"


def descriptor(text: str) -> int:
    """The inverse of `fxy`."""
    return int(text[0]) << 14 | int(text[1:3]) << 8 | int(text[3:6])


def read_tables(data: bytes, message: Message, path: str | Path) -> Tables:
    """The tables in one DX message. Raises BufrError when they do not read as such."""
    cursor = _Cursor(data, message.data_start, message.data_end)
    try:
        cursor.text(67 * cursor.count())  # Table A: the sequence of a message already carries its type's name
        elements = dict(_element(cursor) for _ in range(cursor.count()))
        sequences = dict(_sequence(cursor) for _ in range(cursor.count()))
    except (ValueError, IndexError) as error:
        raise BufrError(path, f"the DX tables cannot be read ({error})", message.number,
                        cursor.position) from error
    return Tables(elements, sequences)


class _Cursor:
    """Reads fixed-length text, remembering the byte for error messages."""

    def __init__(self, data: bytes, position: int, end: int):
        self.data, self.position, self.end = data, position, end

    def text(self, length: int) -> str:
        if self.position + length > self.end:
            raise ValueError("text runs past the end of the message")
        self.position += length
        return self.data[self.position - length : self.position].decode("ascii")

    def count(self) -> int:
        if self.position >= self.end:
            raise ValueError("a count is missing at the end of the message")
        self.position += 1
        return self.data[self.position - 1]


def _element(cursor: _Cursor) -> tuple[int, Element]:
    key, mnemonic, unit = descriptor(cursor.text(6)), cursor.text(64)[:8].strip(), cursor.text(24).strip()
    scale, reference, width = (int(cursor.text(n).replace(" ", "")) for n in (4, 11, 3))
    return key, Element(mnemonic, unit, scale, reference, width)


def _sequence(cursor: _Cursor) -> tuple[int, Sequence]:
    key, mnemonic = descriptor(cursor.text(6)), cursor.text(64)[:8].strip()
    return key, Sequence(mnemonic, tuple(descriptor(cursor.text(6)) for _ in range(cursor.count())))
