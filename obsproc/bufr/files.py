"""A PREPBUFR file as tables of reports, one per message type.

    bytes -> messages.scan -> tables.read_tables -> program.compile_program -> decode

DX messages may come again after data; they then replace what was read before. Messages of one type that were
written under the same tables are decoded together.

A file may hold the messages of several cycles. Asked for those of a window, one whose cycle has no part in it is left
out; a file with no other messages was named by mistake.

A damaged file is refused with one sentence, or read `tolerant`: whatever message is not sound is left out and listed,
and the others are decoded as if it had never been there.
"""

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from itertools import accumulate
from pathlib import Path

import numpy as np

from contracts import control_groups, times
from obsproc.bufr import decode, envelope
from obsproc.bufr import program as programs
from obsproc.bufr.messages import BufrError, Message, scan
from obsproc.bufr.program import Program
from obsproc.bufr.reports import Reports, concatenate
from obsproc.bufr.tables import Tables, read_tables

PART_BYTES = 4 * 2**20  # of a file that is read in parts; decoded, a byte becomes about nine
MOST_LAYOUTS = 1000  # in one file, NCEP's have one per message type; each costs time to compile


CYCLE_REACHES = timedelta(hours=3)  # on either side of a cycle's own time; cycles are as far apart, or twice


@dataclass(frozen=True)
class DecodedFile:
    """All reports of a file by message type, in the order in which the types first occur.

    `messages` are those found, `refused` says what was wrong with those left out (tolerant reading only), `elsewhere`
    counts the subsets of cycles that have no part in the window.
    """

    path: Path
    sha256: str
    messages: tuple[Message, ...]
    reports: dict[str, Reports]
    refused: tuple[BufrError, ...] = ()
    elsewhere: int = 0

    def cycles(self, reports: Reports, near: datetime) -> np.ndarray:
        """(nsubset,) reference time of each subset's message, int64 seconds since 1970; `near` names the century, and
        stands for that of messages that are not known."""
        starts = np.flatnonzero(np.diff(reports.message, prepend=-1))  # subsets of a message stand together
        known = {message.number: message for message in self.messages}
        found = [known[number].time(near) or near if (number := int(reports.message[start])) in known else near
                 for start in starts]
        return np.repeat(np.array([times.to_seconds(time) for time in found], np.int64),
                         np.diff(np.append(starts, reports.subsets)))


def read_file(path: str | Path, wanted: Collection[str] | None = None, accept_truncated: bool = False, *,
              tolerant: bool = False, cycle: datetime | None = None,
              window: tuple[datetime, datetime] | None = None, part: tuple[int, int] = (0, 1),
              threads: int | None = None,
              interpreter: decode.Interpreter | None = None) -> DecodedFile:
    """Decode a file; `wanted` mnemonics only (None: all).

    Asked for the analysis time `cycle`, messages of cycles that have no part in its `window` (earliest, latest; None:
    as far as a cycle reaches) are left out. `part` (i, n) decodes the i-th of n shares of the data messages, contiguous
    and of about equal size, for processes that divide a large file between them. `threads`: at most so many (None: the
    cores there are); the tables do not depend on it. `interpreter`: `reference.decode` or `compiled.decode` (None: the
    fastest there is).

    Raises BufrError naming file, message and byte when the file is not what it should be. A last message that is
    cut short is left out with a warning if `accept_truncated`; if `tolerant`, all that are not sound are left out and
    stand in `refused`.
    """
    path, threads = Path(path), threads or control_groups.processors()
    raw = path.read_bytes()
    refused: list[BufrError] | None = [] if tolerant else None
    with ThreadPoolExecutor(1) as aside:
        digest = aside.submit(sha256, raw) if threads > 1 else None
        data, messages = _found(raw, path, accept_truncated, refused)
        within = _within(messages, cycle, window, path, refused)
        reader = _Reader(data, path, interpreter or decode.fastest(), threads, refused)
        reports = reader.reports(within, part, wanted)
        checksum = (digest.result() if digest else sha256(raw)).hexdigest()
    elsewhere = sum(message.subsets for message in messages) - sum(message.subsets for message in within)
    return DecodedFile(path, checksum, tuple(messages), reports, tuple(refused or ()), elsewhere)


def read_in_parts(path: str | Path, wanted: Collection[str] | None = None, accept_truncated: bool = False, *,
                  threads: int | None = None) -> Iterator[DecodedFile]:
    """The file as `read_file` decodes it, part after part of `PART_BYTES`: a large one takes little more memory than
    its bytes. A part has the reports of its messages; `messages` are those of the whole file."""
    path, threads = Path(path), threads or control_groups.processors()
    raw = path.read_bytes()
    checksum = sha256(raw).hexdigest()
    data, messages = _found(raw, path, accept_truncated, None)
    del raw
    reader = _Reader(data, path, decode.fastest(), threads, None)
    parts = -(-len(data) // PART_BYTES)
    for i in range(parts):
        yield DecodedFile(path, checksum, tuple(messages), reader.reports(messages, (i, parts), wanted))


def _found(raw: bytes, path: Path, accept_truncated: bool,
           refused: list[BufrError] | None) -> tuple[bytes, list[Message]]:
    """The bytes of a file, unpacked, and the messages in them."""
    data = envelope.unpacked(raw, path)
    envelope.refuse_other(data, path)
    return data, scan(data, path, accept_truncated, refused)


def _within(messages: Sequence[Message], cycle: datetime | None, window: tuple[datetime, datetime] | None, path: Path,
            refused: list[BufrError] | None) -> list[Message]:
    """The messages but for the data of other cycles than those of the window.

    What has a time that is no cycle's is not sound; where no data would be left, the wrong file was named.
    """
    if cycle is None:
        return list(messages)
    early, late = window or (cycle - CYCLE_REACHES, cycle + CYCLE_REACHES)
    kept: list[Message] = []
    elsewhere: list[Message] = []
    for message in messages:
        if message.is_table or not message.subsets:
            kept.append(message)
            continue
        time = message.time(cycle)
        if time is None or (time != cycle and times.to_seconds(time) % CYCLE_REACHES.seconds):
            _raise_or_keep(_of_other_time(message, cycle, path), refused)
        elif time + CYCLE_REACHES > early and time - CYCLE_REACHES < late:
            kept.append(message)
        else:
            elsewhere.append(message)
    if elsewhere and not any(message.subsets and not message.is_table for message in kept):
        _raise_or_keep(_of_other_time(elsewhere[0], cycle, path), refused)
    return kept


def _of_other_time(message: Message, expected: datetime, path: Path) -> BufrError:
    year, month, day, hour, minute = message.reference
    found = f"{year % 100:02d}-{month:02d}-{day:02d} {hour:02d}:{minute:02d}"
    return BufrError(path, f"holds the reports of {found} UTC, expected {times.name(expected)} or a cycle near it; "
                     "check which file was named", message.number, message.start)


def _raise_or_keep(error: BufrError, refused: list[BufrError] | None) -> None:
    if refused is None:
        raise error
    refused.append(error)


@lru_cache(64)  # a centre lays its files out alike for years, so a process compiles each layout once
def _compiled(tables: Tables, descriptors: tuple[int, ...], wanted: frozenset[str] | None) -> Program:
    return programs.compile_program(tables, descriptors, wanted)


@dataclass(frozen=True)
class _Reader:
    """How one file is read. `refused` collects what is wrong, or is None: then it is raised."""

    data: bytes
    path: Path
    interpreter: decode.Interpreter
    threads: int
    refused: list[BufrError] | None

    def reports(self, messages: Sequence[Message], part: tuple[int, int],
                wanted: Collection[str] | None) -> dict[str, Reports]:
        """The reports of a part of the file by message type."""
        parts: dict[str, list[Reports]] = {}
        for program, group in self.programs(messages, part, None if wanted is None else frozenset(wanted)):
            parts.setdefault(program.message_type, []).extend(self.decode(program, group))
        return {kind: concatenate(found) for kind, found in parts.items() if found}

    def programs(self, messages: Sequence[Message], part: tuple[int, int],
                 wanted: frozenset[str] | None) -> list[tuple[Program, list[Message]]]:
        """The data messages of a part of the file by the program that reads them."""
        compiled = []
        for tables, group in self._groups(messages, part):
            try:
                compiled.append((_compiled(tables, group[0].descriptors, wanted), group))
            except ValueError as error:  # ProgramError, or operators that make an impossible element
                for message in group if self.refused is not None else group[:1]:
                    self._refuse(BufrError(self.path, str(error), message.number, message.start), error)
        return compiled

    def _groups(self, messages: Sequence[Message], part: tuple[int, int]) -> list[tuple[Tables, list[Message]]]:
        """Data messages that share tables and descriptors, with the tables."""
        chosen = _chosen(messages, part)
        tables, edition, sent = Tables(), 0, {}
        groups: dict[tuple[int, tuple[int, ...]], tuple[Tables, list[Message]]] = {}
        for message in messages:
            if message.is_table:
                # Definitions only ever get added or replaced, so equal tables sent again leave the groups whole.
                content = self.data[message.data_start : message.data_end]
                if content not in sent:
                    sent[content] = self._tables(message)
                if not tables.has(sent[content]):
                    tables, edition = tables.merged(sent[content]), edition + 1
            elif message.number in chosen:
                key = edition, message.descriptors
                if key not in groups and len(groups) == MOST_LAYOUTS:
                    self._refuse(BufrError(self.path, f"the file has more than {MOST_LAYOUTS} different layouts",
                                           message.number, message.start))
                    continue
                groups.setdefault(key, (tables, []))[1].append(message)
        return list(groups.values())

    def _tables(self, message: Message) -> Tables:
        try:
            return read_tables(self.data, message, self.path)
        except BufrError as error:
            self._refuse(error)
            return Tables()

    def decode(self, program: Program, messages: list[Message]) -> list[Reports]:
        """Decode messages of one program; where that fails, its halves, down to the messages that are not sound."""
        try:
            return [self.interpreter(self.data, messages, program, str(self.path), self.threads)]
        except BufrError as error:
            if self.refused is None or len(messages) == 1:
                self._refuse(error)
                return []
        half = len(messages) // 2
        return self.decode(program, messages[:half]) + self.decode(program, messages[half:])

    def _refuse(self, error: BufrError, cause: Exception | None = None) -> None:
        if self.refused is None:
            raise error from cause
        self.refused.append(error)


def _chosen(messages: Sequence[Message], part: tuple[int, int]) -> set[int]:
    """Numbers of the data messages in part i of n: those whose middle lies in that part of all their bytes."""
    i, n = part
    if not 0 <= i < n:
        raise ValueError(f"expected part (i, n) with 0 <= i < n, got {part}")
    data = [message for message in messages if not message.is_table]
    ends = list(accumulate(message.length for message in data))
    return {message.number for message, end in zip(data, ends, strict=True)
            if (2 * end - message.length) * n // (2 * ends[-1]) == i}
