"""Reports bit by bit for tests of the decoder, from plain Python values; independent of `obsproc.bufr.encode`."""

from dataclasses import dataclass
from datetime import UTC, datetime

from obsproc.bufr import compose
from obsproc.bufr.tables import Element, Sequence, Tables, descriptor, fxy

MARKS = {"(": "360001", "{": "360002", "[": "360003", "<": "360004"}
COUNT_BITS = {"(": 16, "{": 8, "[": 8, "<": 1}

ELEMENTS = {
    "063000": Element("BYTCNT", "BYTES", 0, 0, 16),
    "063255": Element("BITPAD", "NONE", 0, 0, 1),
    "031000": Element("DRF1BIT", "NUMERIC", 0, 0, 1),
    "031001": Element("DRF8BIT", "NUMERIC", 0, 0, 8),
    "031002": Element("DRF16BIT", "NUMERIC", 0, 0, 16),
    "001194": Element("SID", "CCITT IA5", 0, 0, 64),
    "006240": Element("XOB", "DEG E", 2, -18000, 16),
    "055007": Element("TYP", "CODE TABLE", 0, 0, 9),
    "008193": Element("CAT", "CODE TABLE", 0, 0, 6),
    "012245": Element("TOB", "DEG C", 1, -2732, 14),
    "012247": Element("TPC", "CODE TABLE", 0, 0, 5),
    "012250": Element("TOE", "DEG C", 1, 0, 10),
}
SEQUENCES = {
    "360001": ("DRP16BIT", "101000 031002"),
    "360002": ("DRP8BIT", "101000 031001"),
    "360003": ("DRPSTAK", "101000 031001"),
    "360004": ("DRP1BIT", "101000 031000"),
    "348102": ("ADPUPA", "348001 360002 348002 055007"),
    "348001": ("HEADR", "001194 207003 006240 207000"),
    "348002": ("PRSLEVEL", "008193 360004 348143"),
    "348143": ("T___INFO", "360003 348173 360004 348193"),
    "348173": ("T__EVENT", "012245 012247"),
    "348193": ("T__BACKG", "201130 012250 201000"),
}


def descriptors(text: str) -> tuple[int, ...]:
    """Descriptors from their six digits."""
    return tuple(map(descriptor, text.split()))


DATA = descriptors("063000 348102 102000 031001 206001 063255")
TABLES = Tables({descriptor(key): element for key, element in ELEMENTS.items()},
                {descriptor(key): Sequence(name, descriptors(members)) for key, (name, members) in SEQUENCES.items()})


@dataclass
class Level:
    """What stands in one level; every number is the integer in the bits, None for missing."""

    category: int
    events: list[tuple[int | None, int | None]] | None  # TOB and TPC, newest first; None: no T___INFO
    error: int | None = None
    has_error: bool = False


@dataclass
class Sounding:
    sid: bytes
    longitude: int
    levels: list[Level]
    type: int


def subset(sounding: Sounding, type_bits: int = 9) -> bytes:
    """The bytes of one report: byte count (65535 where it is too long to say), report, pads."""
    bits = [_text(sounding.sid), _integer(sounding.longitude, 26), _integer(len(sounding.levels), 8)]
    for level in sounding.levels:
        bits += [_integer(level.category, 6), _integer(level.events is not None, 1)]
        if level.events is None:
            continue
        bits.append(_integer(len(level.events), 8))
        bits += [_integer(value, 14) + _integer(code, 5) for value, code in level.events]
        bits.append(_integer(level.has_error, 1))
        if level.has_error:
            bits.append(_integer(level.error, 12))
    body = "".join(bits) + _integer(sounding.type, type_bits)
    pads = -(16 + len(body) + 8) % 8
    body += _integer(pads, 8) + "1" * pads
    body = _integer(min((16 + len(body)) // 8, 65535), 16) + body
    return int(body, 2).to_bytes(len(body) // 8, "big")


def message(category: int, descriptors: tuple[int, ...], subsets: list[bytes], edition: int = 3) -> bytes:
    """A whole message of edition 3 or 4."""
    return compose.message(category, descriptors, subsets, datetime(2020, 11, 1, 12, tzinfo=UTC), edition)


def table_message(tables: Tables = TABLES) -> bytes:
    """The DX message of some tables."""
    elements = b"".join(_padded((fxy(key), 6), (e.mnemonic, 64), (e.unit, 24), (f"{e.scale:+d}", 4),
                                (f"{e.reference:+d}", 11), (e.width, 3)) for key, e in tables.elements.items())
    sequences = b"".join(_padded((fxy(key), 6), (s.mnemonic, 64)) + bytes([len(s.members)])
                         + "".join(map(fxy, s.members)).encode() for key, s in tables.sequences.items())
    body = bytes([0, len(tables.elements)]) + elements + bytes([len(tables.sequences)]) + sequences
    return message(11, (descriptor("000001"),), [body])


def _padded(*columns: tuple[object, int]) -> bytes:
    return "".join(str(value).ljust(width) for value, width in columns).encode()


def _integer(value: int | bool | None, width: int) -> str:
    return "1" * width if value is None else f"{int(value):0{width}b}"


def _text(text: bytes) -> str:
    return "".join(f"{byte:08b}" for byte in text.ljust(8))
