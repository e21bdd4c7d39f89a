"""Messages from their parts: sections, DX tables and data, after NCEP's conventions; `messages` turned round.

Edition 3, section lengths even. Section 1 carries centre 7 (NCEP), the message type as category, the time of the cycle
and, in its last octet, the century. A message holds as many subsets as fit into 10 000 bytes, as NCEP's library reads
by default; a subset that does not fit is alone in a larger one.

Reference: WMO-No. 306, Manual on Codes, Vol. I.2, FM 94 BUFR; the DX layout stands in `tables`.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from obsproc.bufr.messages import DX_CATEGORY, END
from obsproc.bufr.tables import Element, Tables, descriptor, fxy
from obsproc.bufr.tables import Sequence as TableSequence

LARGEST_MESSAGE = 10_000  # bytes
MOST_SUBSETS = 65_535  # the count has 16 bits
NCEP = 7
TABLE_VERSION = 12  # of the WMO tables; what matters is in the DX tables
MOST_ENTRIES = 255  # of one table in one DX message: the count has 8 bits

# How a table message describes itself: nA x [A], nB x [B], nD x [D with n members].
DX_DESCRIPTORS = tuple(map(descriptor, (
    "103000", "031001", "000001", "000002", "000003",
    "101000", "031001", "300004",
    "105000", "031001", "300003", "205064", "101000", "031001", "000030",
)))
# What follows and precedes the sequence of a message type: byte count, and the counted pads.
FRAME = tuple(map(descriptor, ["063000", "102000", "031001", "206001", "063255"]))


def framed(sequence: int) -> tuple[int, ...]:
    """The descriptors of a data message whose reports follow `sequence`."""
    return (FRAME[0], sequence, *FRAME[1:])


def message(category: int, descriptors: Sequence[int], subsets: Sequence[bytes], time: datetime | None = None,
            edition: int = 3) -> bytes:
    """A whole message of edition 3 or 4; without `time` its date is zero, as in table messages."""
    listed = b"".join(item.to_bytes(2, "big") for item in descriptors)
    section3 = _section(b"\0" + len(subsets).to_bytes(2, "big") + b"\x80" + listed)
    sections = _section(_section1(category, time, edition)) + section3 + _section(b"\0" + b"".join(subsets))
    length = 8 + len(sections) + len(END)
    return b"BUFR" + length.to_bytes(3, "big") + bytes([edition]) + sections + END


def _section(content: bytes) -> bytes:
    """A section with its length in front, padded to an even one."""
    content += bytes((3 + len(content)) % 2)
    return (3 + len(content)).to_bytes(3, "big") + content


def _section1(category: int, time: datetime | None, edition: int) -> bytes:
    local = 1 if category == DX_CATEGORY else 0
    if edition == 4:
        year = time.year if time else 0
        clock = [time.month, time.day, time.hour, time.minute, 0] if time else [0] * 5
        return bytes([0, 0, NCEP, 0, 3, 0, 0, category, 0, local, TABLE_VERSION, local, year >> 8, year & 255, *clock])
    # The century counts as people do: 1989 is year 89 of the 20th, 2000 year 100 of the 20th.
    century, year = divmod(time.year - 1, 100) if time else (-1, -1)
    clock = [time.month, time.day, time.hour, time.minute] if time else [0] * 4
    return bytes([0, 3, NCEP, 0, 0, category, local, TABLE_VERSION, local, year + 1, *clock, century + 1])


def messages(category: int, descriptors: Sequence[int], subsets: Iterable[bytes], time: datetime) -> Iterator[bytes]:
    """Data messages that hold all subsets, in order, in messages of the usual size."""
    room = LARGEST_MESSAGE - len(message(category, descriptors, [], time)) - 1
    waiting: list[bytes] = []
    size = 0
    for subset in subsets:
        if waiting and (size + len(subset) > room or len(waiting) == MOST_SUBSETS):
            yield message(category, descriptors, waiting, time)
            waiting, size = [], 0
        waiting.append(subset)
        size += len(subset)
    if waiting:
        yield message(category, descriptors, waiting, time)


def table_messages(tables: Tables, types: dict[str, int] | None = None) -> Iterator[bytes]:
    """DX messages that define the elements and sequences, and name the message `types` {mnemonic: category}.

    A last one without entries says that data follow.
    """
    kinds = [_text((f"{category:03d}", 3), (f"{name:8} PREPBUFR REPORTS", 64))
             for name, category in (types or {}).items()]
    elements = [_element(key, element) for key, element in tables.elements.items()]
    sequences = [_sequence(key, sequence) for key, sequence in tables.sequences.items()]
    for number, entries in enumerate((kinds, elements, sequences)):
        for group in _groups(entries):
            counted = [bytes([len(group)]) + b"".join(group) if place == number else b"\0" for place in range(3)]
            yield message(DX_CATEGORY, DX_DESCRIPTORS, [b"".join(counted)])
    yield message(DX_CATEGORY, DX_DESCRIPTORS, [bytes(3)])


def _groups(entries: list[bytes]) -> Iterator[list[bytes]]:
    """Entries that fit into one message together."""
    room = LARGEST_MESSAGE - len(message(DX_CATEGORY, DX_DESCRIPTORS, [bytes(4)]))
    group: list[bytes] = []
    for entry in entries:
        if group and (sum(map(len, group)) + len(entry) > room or len(group) == MOST_ENTRIES):
            yield group
            group = []
        group.append(entry)
    if group:
        yield group


def _element(key: int, element: Element) -> bytes:
    return _text((fxy(key), 6), (element.mnemonic, 64), (element.unit, 24), (f"{element.scale:+d}", 4),
                 (f"{element.reference:+d}", 11), (element.width, 3))


def _sequence(key: int, sequence: TableSequence) -> bytes:
    members = "".join(map(fxy, sequence.members)).encode()
    return _text((fxy(key), 6), (sequence.mnemonic, 64)) + bytes([len(sequence.members)]) + members


def _text(*columns: tuple[object, int]) -> bytes:
    return "".join(str(value).ljust(width) for value, width in columns).encode("ascii")
