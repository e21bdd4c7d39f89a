"""The tables a PREPBUFR file brings with it (DX messages): what its descriptors mean.

NCEP writes its own BUFR tables in front of the data, as messages of category 11 whose section 4 is text:

    u8 nA x [ 3 category, 64 text ]                                              Table A: message types
    u8 nB x [ 6 FXY, 64 text, 24 unit, 1 + 3 scale, 1 + 10 reference, 3 width ]  Table B: elements
    u8 nD x [ 6 FXY, 64 text, u8 n, n x 6 FXY ]                                  Table D: sequences

The first 8 characters of each text are the mnemonic. Nothing about descriptors, widths or categories is known
to this program beforehand: the vintages differ (1989: ADPUPA = 360230; 2020: 348102).

A descriptor FXXYYY is kept as its 16 bits, F in the top two, X in six and Y in eight; `fxy` makes it readable.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from obsproc.bufr.messages import BufrError, Message

TABLE_A, TABLE_B, TABLE_D = 67, 112, 71  # characters of an entry, of Table D without its members


class Element(NamedTuple):
    """A Table B entry: value = (bits + reference) / 10**scale in `unit`."""

    mnemonic: str
    unit: str
    scale: int
    reference: int
    width: int

    def checked(self) -> "Element":
        """The element itself. Raises ValueError when its values cannot be read."""
        is_text = self.is_text
        largest = 2048 if is_text else 56  # bits; an integer is cut out of 64 bits at any bit
        if not 1 <= self.width <= largest or (is_text and self.width % 8) or abs(self.scale) > 99:
            raise ValueError(f"element {self.mnemonic!r} has width {self.width} and scale {self.scale}")
        return self

    @property
    def is_text(self) -> bool:
        return self.unit.startswith("CCITT")

    @property
    def is_number(self) -> bool:
        """Operators 201, 202 and 207 change numbers only, not code tables, flag tables and text."""
        return not (self.is_text or self.unit.startswith(("CODE", "FLAG")))


class Sequence(NamedTuple):
    """A Table D entry: a named list of descriptors."""

    mnemonic: str
    members: tuple[int, ...]


@dataclass(frozen=True)
class Tables:
    """Tables B and D, by descriptor."""

    elements: dict[int, Element] = field(default_factory=dict)
    sequences: dict[int, Sequence] = field(default_factory=dict)

    def __hash__(self) -> int:
        return hash((len(self.elements), len(self.sequences)))  # few tables are compared, and equal ones quickly

    def has(self, other: "Tables") -> bool:
        """Whether `other` says nothing new."""
        return other.elements.items() <= self.elements.items() and other.sequences.items() <= self.sequences.items()

    def merged(self, other: "Tables") -> "Tables":
        """Both together; `other` wins where they differ."""
        return Tables(self.elements | other.elements, self.sequences | other.sequences)


def fxy(descriptor: int) -> str:
    """Six digits: 0x8100 -> '201000'."""
    return f"{descriptor >> 14}{descriptor >> 8 & 0x3F:02d}{descriptor & 0xFF:03d}"


@lru_cache(4096)
def descriptor(text: str) -> int:
    """The inverse of `fxy`. Raises ValueError for anything but six digits of a descriptor."""
    digits = int(text) if len(text) == 6 and text.isascii() and text.isdecimal() else -1
    f, x, y = digits // 100_000, digits // 1000 % 100, digits % 1000
    if digits < 0 or f > 3 or x > 63 or y > 255:
        raise ValueError(f"{text!r} is not a descriptor")
    return f << 14 | x << 8 | y


def read_tables(data: bytes, message: Message, path: str | Path) -> Tables:
    """The tables in one DX message. Raises BufrError when they do not read as such."""
    text = data[message.data_start : message.data_end].decode("latin-1")
    elements: dict[int, Element] = {}
    sequences: dict[int, Sequence] = {}
    position = 0
    try:
        # Table A is passed over: the sequence of a message already carries its type's name.
        position += 1 + TABLE_A * _count(text, position)
        number, position = _count(text, position), position + 1
        for _ in range(number):
            key, element = _element(_record(text, position, TABLE_B))
            elements[key], position = element, position + TABLE_B
        number, position = _count(text, position), position + 1
        for _ in range(number):
            length = TABLE_D + 6 * _count(text, position + TABLE_D - 1)
            key, sequence = _sequence(_record(text, position, length))
            sequences[key], position = sequence, position + length
    except (ValueError, IndexError) as error:
        raise BufrError(path, f"the DX tables cannot be read ({error})", message.number,
                        message.data_start + position) from error
    return Tables(elements, sequences)


def _count(text: str, position: int) -> int:
    if position >= len(text):
        raise ValueError("a count is missing at the end of the message")
    return ord(text[position])


def _record(text: str, position: int, length: int) -> str:
    if position + length > len(text):
        raise ValueError("text runs past the end of the message")
    return text[position : position + length]


@lru_cache(4096)  # a centre sends the same tables with every file, so a process reads them once
def _element(record: str) -> tuple[int, Element]:
    scale, reference, width = record[94:98], record[98:109], record[109:112]
    element = Element(record[6:14].strip(), record[70:94].strip(), _number(scale), _number(reference), _number(width))
    return descriptor(record[:6]), element.checked()


@lru_cache(4096)  # most are 0, or a width or scale that another element has too
def _number(text: str) -> int:
    return int(text.replace(" ", ""))


@lru_cache(4096)
def _sequence(record: str) -> tuple[int, Sequence]:
    members = tuple([descriptor(record[i : i + 6]) for i in range(TABLE_D, len(record), 6)])
    return descriptor(record[:6]), Sequence(record[6:14].strip(), members)
