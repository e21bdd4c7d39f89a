"""The definition of decoding, in NumPy: run a program over all subsets at once, and lay the values out as tables.

`walk` says where each segment begins in each instance of its block; here each wanted field of all instances is cut out
of the bits in one expression and put into its row: of the subset, of the level, or of an event below the current one.
Rows stand in the order of the file. `compiled` gives the same tables, faster.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from obsproc.bufr.messages import Message
from obsproc.bufr.program import Program
from obsproc.bufr.reports import Events, Reports
from obsproc.bufr.walk import Bits, Trace, subsets, walk


def decode(data: bytes, messages: Sequence[Message], program: Program, path: str = "", threads: int = 1) -> Reports:
    """Decode the subsets of messages that share one program. `path` is for error messages only; one thread is used.

    Raises BufrError when a subset does not end where its byte count says.
    """
    bits = Bits(data)
    where = subsets(bits, messages, path)
    trace = walk(bits, program, where, path)
    rows, level_start = _rows(program, trace)
    fields = program.columns()
    length = {False: len(where.start), True: int(level_start[-1])}
    where.refuse_flood(sum(length[in_level] for in_level in program.field_in_level[fields].tolist()), program, path)
    tables: dict[bool, dict[str, np.ndarray]] = {False: {}, True: {}}
    stacks: dict[int, dict[str, np.ndarray]] = {}
    for f, stack in zip(fields, program.stack_of(fields), strict=True):
        name, segment, in_level = program.field_name[f], program.field_segment[f], bool(program.field_in_level[f])
        values = _values(bits, program, f, _joined(trace.position[segment]))
        tables[in_level][name] = _column(values, rows[program.segment_block[segment]], length[in_level])
        if stack >= 0:
            stacks.setdefault(stack, {})[name] = values
    depth = {program.block_name[b]: np.bincount(rows[b].row, minlength=length[True]) for b in stacks}
    events = {program.block_name[b]: _events(rows[b], columns) for b, columns in stacks.items()}
    return Reports(program.message_type, len(messages), where.message, tables[False], level_start, tables[True], depth,
                   events)


@dataclass(frozen=True)
class _Rows:
    """Where the instances of one block go: `row` of the table and, in it, `current` or a deeper event."""

    row: np.ndarray  # (ninstance,)
    current: np.ndarray  # (ninstance,) True for the first repetition on every way down from the table's row
    ordinal: np.ndarray  # (ninstance,)
    place: np.ndarray  # (ninstance,) in the order of the file


def _rows(program: Program, trace: Trace) -> tuple[list[_Rows], np.ndarray]:
    """Rows of the instances of every block, parents before children, and `level_start`."""
    subsets = np.arange(trace.found[0])
    rows = [_Rows(subsets, np.ones(len(subsets), dtype=bool), np.zeros_like(subsets), subsets)]
    subset = [subsets]  # by block, of each instance
    level_start = np.arange(len(subsets) + 1)
    for block, outer in enumerate(program.block_parent[1:].tolist(), start=1):
        parent, ordinal = _joined(trace.parent[block]), _joined(trace.ordinal[block])
        place = np.empty_like(parent)
        place[np.lexsort((ordinal, rows[outer].place[parent]))] = np.arange(len(parent))
        row, current = rows[outer].row[parent], rows[outer].current[parent] & (ordinal == 0)
        subset.append(subset[outer][parent])
        if block == program.level_block:
            row, current = place, np.ones(len(parent), dtype=bool)
            level_start = np.concatenate(([0], np.cumsum(np.bincount(subset[-1], minlength=len(subsets)))))
        rows.append(_Rows(row, current, ordinal, place))
    return rows, level_start


def _values(bits: Bits, program: Program, f: int, segment_start: np.ndarray) -> np.ndarray:
    """Field f in every instance of its segment, in the unit of the table; missing is NaN or empty."""
    position, width = segment_start + program.field_offset[f], int(program.field_width[f])
    if program.field_is_text[f]:
        return bits.text(position, width)
    integer = bits.read(position, width)
    scale = int(program.field_scale[f])
    value = integer.astype(np.float64) + float(program.field_reference[f])
    value = value / 10.0**scale if scale > 0 else value * 10.0**-scale
    if width > 1:
        value[integer == (1 << width) - 1] = np.nan
    return value


def _column(values: np.ndarray, where: _Rows, length: int) -> np.ndarray:
    """The current values in their rows, missing elsewhere."""
    column = np.zeros(length, values.dtype) if values.dtype.kind == "S" else np.full(length, np.nan)
    column[where.row[where.current]] = values[where.current]
    return column


def _events(where: _Rows, columns: dict[str, np.ndarray]) -> Events:
    """The rows of a stack below its current event."""
    deep = np.flatnonzero(where.ordinal > 0)
    deep = deep[np.argsort(where.place[deep])]
    return Events(where.row[deep], where.ordinal[deep], {name: value[deep] for name, value in columns.items()})


def _joined(pieces: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.int64)
