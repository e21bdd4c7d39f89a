"""A PREPBUFR file as tables of reports, one per message type.

    bytes -> messages.scan -> tables.read_tables -> program.compile_program -> decode.decode

DX messages may come again after data; they then replace what was read before. Messages of one type that were
written under the same tables are decoded together.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from obsproc.bufr import program as programs
from obsproc.bufr.decode import decode
from obsproc.bufr.messages import BufrError, Message, scan
from obsproc.bufr.reports import Reports, concatenate
from obsproc.bufr.tables import Tables, read_tables
from obsproc.bufr.walk import Bits


@dataclass(frozen=True)
class DecodedFile:
    """All reports of a file by message type, in the order in which the types first occur."""

    path: Path
    sha256: str
    messages: tuple[Message, ...]
    reports: dict[str, Reports]


def read_file(path: str | Path, wanted: Collection[str] | None = None,
              accept_truncated: bool = False) -> DecodedFile:
    """Decode a file; `wanted` mnemonics only (None: all).

    Raises BufrError naming file, message and byte when the file is not what it should be; a last message that is
    cut short is left out with a warning if `accept_truncated`.
    """
    path = Path(path)
    data = path.read_bytes()
    messages = scan(data, path, accept_truncated)
    bits = Bits(data)
    parts: dict[str, list[Reports]] = {}
    for tables, descriptors, group in _groups(data, messages, path):
        try:
            program = programs.compile_program(tables, descriptors, wanted)
        except ValueError as error:  # ProgramError, or operators that make an impossible element
            raise BufrError(path, str(error), group[0].number, group[0].start) from error
        parts.setdefault(program.message_type, []).append(decode(bits, group, program, str(path)))
    return DecodedFile(path, sha256(data).hexdigest(), tuple(messages),
                       {kind: concatenate(reports) for kind, reports in parts.items()})


def _groups(data: bytes, messages: list[Message],
            path: Path) -> list[tuple[Tables, tuple[int, ...], list[Message]]]:
    """Data messages that share tables and descriptors, with both."""
    tables = Tables()
    groups: list[tuple[Tables, tuple[int, ...], list[Message]]] = []
    for message in messages:
        if message.is_table:
            # Definitions only ever get added or replaced, so equal tables sent again leave the groups whole.
            merged = tables.merged(read_tables(data, message, path))
            tables = tables if merged == tables else merged
            continue
        for known, descriptors, group in groups:
            if known is tables and descriptors == message.descriptors:
                group.append(message)
                break
        else:
            groups.append((tables, message.descriptors, [message]))
    return groups
