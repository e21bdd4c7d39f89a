"""Decode by the compiled inner loop (`_decode.c`): the same tables as `reference`, much faster.

Three passes over the bytes, each over all subsets and each without the interpreter lock:

    split   where the subsets lie, by their byte counts
    count   how many rows each has: levels, and deeper events of each stack. All checks of the data happen here
    write   every value to its cell

The counts, summed, say at which rows each subset begins, so threads write into the same tables without meeting, and
the tables are the same whatever their number. Nothing is allocated that the first two passes did not find; a column
that no report has a value for is one missing value, seen as many times as there are rows.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from obsproc import _decode
from obsproc.bufr.messages import BufrError, Message
from obsproc.bufr.program import REPEAT, Program
from obsproc.bufr.reports import Events, Reports
from obsproc.bufr.walk import FEWER, MISFIT, Subsets, announced

PLAIN, LEVEL = -1, -2  # roles of a REPEAT that is no event stack
WORTH_A_THREAD = 2_000  # subsets
CACHE_LINE, HUGE_PAGE = 8, 2**18  # numbers


def decode(data: bytes, messages: Sequence[Message], program: Program, path: str = "", threads: int = 1) -> Reports:
    """Decode the subsets of messages that share one program. `path` is for error messages only.

    Raises BufrError when a subset does not end where its byte count says.
    """
    where = _split(data, messages, path)
    first, occurs = _count(data, where, program, path, threads)
    tables = _Tables.empty(program, where, first, occurs, path)

    def write(part: slice) -> int:
        return _decode.write(tables.packed.program, data, where.start[part], where.end[part], first[part], part.start,
                             len(where.start), int(first[-1, 0]), tables.columns, tables.stacks)

    _in_parts(write, where, program, path, threads)
    return tables.reports(len(messages))


def _split(data: bytes, messages: Sequence[Message], path: str) -> Subsets:
    """Where the subsets of some messages lie. Raises BufrError where they do not fit."""
    count, number = announced(messages, path)
    first = np.array([message.data_start for message in messages], dtype=np.int64)
    last = np.array([message.data_end for message in messages], dtype=np.int64)
    start, end = np.empty((2, int(count.sum())), dtype=np.int64)
    wrong = _decode.split(data, first, last, count, start, end)
    if wrong is not None:
        message, byte = messages[wrong[0]], wrong[1]
        what = MISFIT if byte + 2 <= message.data_end else FEWER.format(message.subsets)
        raise BufrError(path, what, message.number, byte)
    return Subsets(start, end, np.repeat(number, count))


def _count(data: bytes, where: Subsets, program: Program, path: str, threads: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows at which each subset begins, (nsubset + 1, 1 + nstack), and whether each block occurs, (nblock,)."""
    packed = _Packed.of(program, [])
    first = np.zeros((len(where.start) + 1, 1 + len(packed.stacks)), dtype=np.int64)
    rows = first[1:]
    repeated: list[np.ndarray] = []

    def count(part: slice) -> int:
        repeated.append(np.zeros(len(program.opcode), dtype=np.uint8))
        return _decode.count(packed.program, data, where.start[part], where.end[part], rows[part], repeated[-1])

    _in_parts(count, where, program, path, threads)
    np.cumsum(rows, axis=0, out=rows)
    occurs = np.zeros(len(program.block_parent), dtype=bool)
    occurs[0] = True
    occurs[program.target[np.any(repeated, axis=0)]] = True
    for block, outer in enumerate(program.block_parent[1:], start=1):
        occurs[block] &= occurs[outer]
    return first, occurs


def _in_parts(work: Callable[[slice], int], where: Subsets, program: Program, path: str, threads: int) -> None:
    """Do some work on all subsets, in threads; raises BufrError for the first subset that it names."""
    number = len(where.start)
    threads = max(1, min(threads, number // WORTH_A_THREAD))
    bounds = [number * i // threads for i in range(threads + 1)]
    parts = [slice(a, b) for a, b in zip(bounds, bounds[1:], strict=False)]
    if threads == 1:
        named = [work(parts[0])]
    else:
        with ThreadPoolExecutor(threads) as pool:
            named = list(pool.map(work, parts))
    for part, subset in zip(parts, named, strict=True):
        if subset >= 0:
            raise where.refuse(part.start + subset, program, path)


@dataclass(frozen=True)
class _Packed:
    """A program as the C code takes it, with a choice of its fields."""

    program: tuple[np.ndarray, np.ndarray, np.ndarray, bool, int]  # operations, places, scales, level is report, stacks
    stacks: list[int]  # blocks
    stack: list[int]  # by field: which of `stacks`, or -1

    @classmethod
    def of(cls, program: Program, fields: list[int]) -> "_Packed":
        stacks = list(dict.fromkeys(block for block in program.stack_of(program.columns()) if block >= 0))
        stack = [stacks.index(block) if block >= 0 else PLAIN for block in program.stack_of(fields)]
        places = np.array([program.field_in_level[fields], program.field_is_text[fields], stack,
                           program.field_offset[fields], program.field_width[fields]], dtype=np.int64)
        scale = program.field_scale[fields].tolist()
        scales = np.array([program.field_reference[fields], [10.0 ** max(s, 0) for s in scale],
                           [10.0 ** max(-s, 0) for s in scale]])
        return cls((_operations(program, fields, stacks), np.ascontiguousarray(places.T),
                    np.ascontiguousarray(scales.T), program.level_block == 0, len(stacks)), stacks, stack)


def _operations(program: Program, fields: list[int], stacks: list[int]) -> np.ndarray:
    """Rows (repeats, bits, fixed, next, role, first field, last field) by operation, int64."""
    is_repeat = program.opcode == REPEAT
    in_segment = np.bincount(program.field_segment[fields], minlength=len(program.segment_block))
    own = np.zeros(len(program.opcode), dtype=np.int64)  # fields of the operation itself
    own[~is_repeat] = in_segment[program.target[~is_repeat]]
    before = np.concatenate(([0], np.cumsum(own)))  # fields and segments have the order of their operations
    role_of = np.full(len(program.block_parent), PLAIN)
    role_of[stacks] = np.arange(len(stacks))
    role_of[program.level_block] = LEVEL
    role = np.where(is_repeat, role_of[np.where(is_repeat, program.target, 0)], PLAIN)
    return np.ascontiguousarray(np.array([is_repeat, program.bits, program.fixed, program.jump, role, before[:-1],
                                          before[program.jump]], dtype=np.int64).T)


@dataclass(frozen=True)
class _Tables:
    """Room for all values. Fields are those that have a column; C sees those that occur."""

    program: Program
    where: Subsets
    first: np.ndarray  # (nsubset + 1, 1 + nstack)
    packed: _Packed  # of the fields written
    written: list[int]
    column: dict[int, np.ndarray]  # by field: current values
    deeper: dict[int, np.ndarray]  # by field of a stack: deeper values
    stacks: list[tuple[np.ndarray, np.ndarray, np.ndarray]]  # level and depth of the deeper events, events by level

    @classmethod
    def empty(cls, program: Program, where: Subsets, first: np.ndarray, occurs: np.ndarray, path: str) -> "_Tables":
        """Room for the rows counted; raises BufrError if that is more than the data can stand for."""
        fields = program.columns()
        levels, *events = first[-1].tolist()
        rows = {f: levels if program.field_in_level[f] else len(where.start) for f in fields}
        where.refuse_flood(sum(rows.values()), program, path)
        block = program.segment_block[program.field_segment]
        written = [f for f in fields if occurs[block[f]]]
        packed = _Packed.of(program, written)
        below = {f: events[s] for f, s in zip(written, packed.stack, strict=True) if s >= 0}
        room = _room(program, {f: rows[f] for f in written})
        column = {f: room[f] if f in room else _missing(program, f, rows[f]) for f in fields}
        stacks = [(np.empty(n, np.int64), np.empty(n, np.int64), np.zeros(levels, np.int64)) for n in events]
        return cls(program, where, first, packed, written, column, _room(program, below), stacks)

    @property
    def columns(self) -> list[tuple[np.ndarray, np.ndarray | None]]:
        """(current, deeper) by field, as C takes them."""
        return [(self.column[f], self.deeper.get(f)) for f in self.written]

    def reports(self, messages: int) -> Reports:
        program, fields = self.program, list(self.column)
        header: dict[str, np.ndarray] = {}
        level: dict[str, np.ndarray] = {}
        below: dict[int, dict[str, np.ndarray]] = {block: {} for block in self.packed.stacks}
        for f, stack in zip(fields, program.stack_of(fields), strict=True):
            name = program.field_name[f]
            (level if program.field_in_level[f] else header)[name] = self.column[f]
            if stack >= 0:
                below[stack][name] = self.deeper[f] if f in self.deeper else _missing(program, f, 0)
        names = [program.block_name[block] for block in self.packed.stacks]
        depth = {name: events for name, (_, _, events) in zip(names, self.stacks, strict=True)}
        events = {name: Events(at, below_at, columns) for name, (at, below_at, _), columns
                  in zip(names, self.stacks, below.values(), strict=True)}
        return Reports(program.message_type, messages, self.where.message, header, self.first[:, 0].copy(), level,
                       depth, events)


def _dtype(program: Program, f: int) -> str:
    return f"S{program.field_width[f] // 8}" if program.field_is_text[f] else "f8"


def _missing(program: Program, f: int, rows: int) -> np.ndarray:
    """A column without a value, read-only."""
    value = np.array(b"" if program.field_is_text[f] else np.nan, dtype=_dtype(program, f))
    column = np.ndarray(rows, value.dtype, value, strides=(0,))
    column.flags.writeable = False
    return column


def _room(program: Program, rows: dict[int, int]) -> dict[int, np.ndarray]:
    """Columns of so many rows by field, to be filled.

    Numbers lie in one piece, apart by an odd number of cache lines: columns that all began at the same place of a page
    would compete for the same few lines of the cache while they are written side by side.
    """
    size = {f: CACHE_LINE * (-(-n // CACHE_LINE) | 1) for f, n in rows.items() if not program.field_is_text[f]}
    piece = np.empty(sum(size.values()) + HUGE_PAGE)
    used = -(piece.ctypes.data // 8) % HUGE_PAGE  # else the margins are small pages, and each of them a fault
    columns = {}
    for f, n in rows.items():
        if f in size:
            columns[f] = piece[used : used + n]
            used += size[f]
        else:
            columns[f] = np.empty(n, dtype=_dtype(program, f))
    return columns
