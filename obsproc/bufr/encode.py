"""Reports into subsets: the inverse of `decode`, run by the same program.

The program of a message type says which fields follow one another and what is repeated. Here it is walked once for all
reports: every place in it, a *slot*, becomes a column of integers and a column of widths, 0 where the slot lies in a
group that a report or level does not have. Slots of header and levels, woven together report by report, are one long
row of bits.

    levels      repeated as often as the report has levels
    a stack     repeated as often as `Reports.depth` says, the current event first
    others      repeated once if anything in them has a value, else left out

Each subset begins with its length in bytes (65535 where that is too long to say) and ends with counted zero bits up to
the next byte. A value is (bits + reference) / 10**scale, so it comes back to within half a unit of its last decimal.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from obsproc.bufr.program import ADVANCE, Program
from obsproc.bufr.reports import Reports

BYTE_COUNT = "BYTCNT"
LONGEST = 65_535  # bytes of a subset whose own count can say it
CHUNK = 1 << 22  # bits unpacked at a time


class EncodeError(ValueError):
    """A value that its field cannot hold; the sentence says which."""


def encode(reports: Reports, program: Program) -> list[bytes]:
    """The bytes of each subset. Columns that the program does not know are left out, those it misses are missing.

    `program` must have been compiled with all its fields. Raises EncodeError for a value beyond the range of its field.
    """
    writer = _Writer(program, reports)
    return writer.subsets()


def limits(program: Program) -> dict[str, tuple[float, float]]:
    """Smallest and largest value that each number of the program can hold, by mnemonic."""
    found: dict[str, tuple[float, float]] = {}
    for f, name in enumerate(program.field_name):
        if not program.field_is_text[f]:
            unit, reference = 10.0 ** -int(program.field_scale[f]), int(program.field_reference[f])
            largest = (1 << int(program.field_width[f])) - 2  # all ones is missing
            found.setdefault(name, (reference * unit, (reference + largest) * unit))
    return found


@dataclass(frozen=True)
class _Slots:
    """Consecutive slots of a table's rows: integers and widths in bits, both (nrow, nslot)."""

    value: np.ndarray
    width: np.ndarray


class _Writer:
    """Grows the columns of slots while it walks the program. `before` and `after` stand around the levels."""

    def __init__(self, program: Program, reports: Reports):
        self.program, self.reports = program, reports
        self.fields: dict[int, list[int]] = {}  # of each segment, by offset
        for f in np.argsort(program.field_offset, kind="stable"):
            self.fields.setdefault(int(program.field_segment[f]), []).append(int(f))
        self.first = {name: f for f, name in reversed(list(enumerate(program.field_name)))}
        self.columns: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {"before": [], "level": [], "after": []}
        self.part = "before"

    def subsets(self) -> list[bytes]:
        count = self.reports.subsets
        self._walk(range(len(self.program.opcode)), np.ones(count, dtype=bool), "", 0)
        before, level, after = (self._slots(part) for part in ("before", "level", "after"))
        bits = before.width.sum(axis=1) + after.width.sum(axis=1)
        per_level = np.concatenate(([0], np.cumsum(level.width.sum(axis=1))))
        if self.program.level_block:
            bits += np.diff(per_level[self.reports.level_start])
        length = (bits + 8 + 7) // 8
        length += (length > LONGEST) & (length % 2 == 1)  # it ends where its section does, whose length is even
        pads = 8 * length - bits - 8
        before.value[:, 0] = np.minimum(length, LONGEST)  # the byte count is the first slot
        after = _Slots(np.column_stack([after.value, pads, np.zeros(count)]).astype(np.uint64),
                       np.column_stack([after.width, np.full(count, 8), pads]).astype(np.int64))
        data = b"".join(self._pack(before, level, after))
        ends = np.concatenate(([0], np.cumsum(length))).tolist()
        return [data[a:b] for a, b in zip(ends, ends[1:], strict=False)]

    def _slots(self, part: str) -> _Slots:
        rows = self.reports.levels if part == "level" else self.reports.subsets
        columns = self.columns[part]
        value, width = np.zeros((rows, len(columns)), np.uint64), np.zeros((rows, len(columns)), np.int64)
        for i, (values, widths) in enumerate(columns):
            value[:, i], width[:, i] = values, widths
        return _Slots(value, width)

    def _pack(self, before: _Slots, level: _Slots, after: _Slots) -> Iterator[bytes]:
        """The bits of all subsets, some subsets at a time."""
        start = self.reports.level_start if self.program.level_block else np.zeros(self.reports.subsets + 1, np.int64)
        slots = before.value.shape[1] + after.value.shape[1] + np.diff(start) * level.value.shape[1]
        bounds = np.concatenate(([0], np.cumsum(slots)))
        most = max(CHUNK // 16, int(slots.max(initial=1)))  # a slot has about 16 bits
        first = 0
        while first < self.reports.subsets:
            last = max(first + 1, int(np.searchsorted(bounds, bounds[first] + most, side="right")) - 1)
            yield _bits(*_woven(before, level, after, start, first, last))
            first = last

    def _walk(self, body: range, there: np.ndarray, stack: str, event: int) -> None:
        """Slots of some operations, in rows where `there` (nrow,); of a stack's event 0, 1, ..."""
        i, pads = body.start, self._pads()
        while i < body.stop:
            if self.program.opcode[i] == ADVANCE:
                self._segment(int(self.program.target[i]), int(self.program.bits[i]), there, stack, event)
            elif i != pads:
                self._repeat(i, there)
            i = int(self.program.jump[i])

    def _pads(self) -> int:
        """The operation that repeats the padding: the last of the outermost ones."""
        i = last = 0
        while i < len(self.program.opcode):
            last, i = i, int(self.program.jump[i])
        return last

    def _segment(self, segment: int, bits: int, there: np.ndarray, stack: str, event: int) -> None:
        reached = 0
        for f in self.fields.get(segment, []):
            offset, width = int(self.program.field_offset[f]), int(self.program.field_width[f])
            self._unknown(offset - reached, there)
            reached = offset + width
            if self.program.field_is_text[f]:
                characters = self._texts(f, width // 8, len(there))
                for place in range(width // 8):
                    self._add(characters[:, place], 8, there)
            else:
                self._add(self._integers(f, stack, event, there), width, there)
        self._unknown(bits - reached, there)

    def _unknown(self, bits: int, there: np.ndarray) -> None:
        """Bits that no field names, all ones: missing."""
        for width in [32] * (bits // 32) + [bits % 32]:
            if width:
                self._add(np.full(len(there), (1 << width) - 1), width, there)

    def _add(self, value: np.ndarray, width: int, there: np.ndarray) -> None:
        self.columns[self.part].append((value, np.where(there, width, 0)))

    def _repeat(self, i: int, there: np.ndarray) -> None:
        program, reports = self.program, self.reports
        block, bits = int(program.target[i]), int(program.bits[i])
        if block == program.level_block:
            self._count(np.diff(reports.level_start), bits, there)
            self.part = "level"
            self._walk(program.body(i), np.ones(reports.levels, dtype=bool), "", 0)
            self.part = "after"
        elif bits == 0:
            for _ in range(int(program.fixed[i])):
                self._walk(program.body(i), there, "", 0)
        elif program.block_is_stack[block] and program.block_name[block] in reports.depth:
            name = program.block_name[block]
            depth = np.where(there, reports.depth[name], 0)
            self._count(depth, bits, there)
            for event in range(int(depth.max(initial=0))):
                self._walk(program.body(i), there & (depth > event), name, event)
        else:
            present = self._has_value(block, len(there))
            self._count(present, bits, there)
            self._walk(program.body(i), there & present, "", 0)

    def _count(self, times: np.ndarray, bits: int, there: np.ndarray) -> None:
        if (times[there] >= 1 << bits).any():
            raise EncodeError(f"{int(times.max())} repetitions do not fit into a count of {bits} bits")
        self._add(times, bits, there)

    def _has_value(self, block: int, rows: int) -> np.ndarray:
        """Where anything inside a block has a value, (nrow,)."""
        inside = {block}
        for child, parent in enumerate(self.program.block_parent):
            if int(parent) in inside:
                inside.add(child)
        present = np.zeros(rows, dtype=bool)
        for f, segment in enumerate(self.program.field_segment):
            if int(self.program.segment_block[segment]) in inside and self.first[self.program.field_name[f]] == f:
                values = self._column(f, "", 0, rows)
                present |= values != b"" if values.dtype.kind == "S" else np.isfinite(values)
        return present

    def _column(self, f: int, stack: str, event: int, rows: int) -> np.ndarray:
        """Values (nrow,) of a field; a mnemonic that occurs twice has its value in the first place."""
        name = self.program.field_name[f]
        table = self.reports.level if self.program.field_in_level[f] else self.reports.header
        missing = np.full(rows, b"") if self.program.field_is_text[f] else np.full(rows, np.nan)
        if self.first[name] != f:
            return missing
        if event == 0:
            return table.get(name, missing)
        below = self.reports.events[stack]
        if name in below.columns:
            which = below.depth == event
            missing[below.level[which]] = below.columns[name][which]
        return missing

    def _texts(self, f: int, length: int, rows: int) -> np.ndarray:
        values = np.char.ljust(self._column(f, "", 0, rows).astype(f"S{length}"), length)
        return values.astype(f"S{length}").view(np.uint8).reshape(rows, length)

    def _integers(self, f: int, stack: str, event: int, there: np.ndarray) -> np.ndarray:
        program, name = self.program, self.program.field_name[f]
        missing = (1 << int(program.field_width[f])) - 1
        if name == BYTE_COUNT:
            return np.zeros(len(there), np.uint64)
        values = self._column(f, stack, event, len(there))
        known = there & np.isfinite(values)
        with np.errstate(invalid="ignore"):
            integer = np.rint(values * 10.0 ** int(program.field_scale[f])) - float(program.field_reference[f])
        largest = 1 if missing == 1 else missing - 1  # a single bit cannot be missing
        wrong = known & ~((integer >= 0) & (integer <= largest))
        if wrong.any():
            low, high = limits(program)[name]
            raise EncodeError(f"{name} = {values[wrong][0]:g} does not fit into its field, "
                              f"which holds {low:g} to {high:g}")
        return np.where(known, integer, float(missing)).astype(np.uint64)


def _woven(before: _Slots, level: _Slots, after: _Slots, start: np.ndarray, first: int,
           last: int) -> tuple[np.ndarray, np.ndarray]:
    """Values and widths (nslot,) of subsets first to last - 1, in the order of the file."""
    counts = np.diff(start[first : last + 1])
    n, m, k = before.value.shape[1], level.value.shape[1], after.value.shape[1]
    begin = np.concatenate(([0], np.cumsum(n + counts * m + k)))
    value, width = np.empty(begin[-1], np.uint64), np.empty(begin[-1], np.int64)
    of_level = np.repeat(begin[:-1] + n, counts) + m * (
        np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts))
    for places, slots, rows in ((begin[:-1], before, slice(first, last)), (begin[1:] - k, after, slice(first, last)),
                                (of_level, level, slice(int(start[first]), int(start[last])))):
        index = (places[:, None] + np.arange(slots.value.shape[1])).ravel()
        value[index], width[index] = slots.value[rows].ravel(), slots.width[rows].ravel()
    return value, width


def _bits(value: np.ndarray, width: np.ndarray) -> bytes:
    """Unsigned integers one after another, the highest bit of each first."""
    ends = np.cumsum(width)
    shift = np.repeat(ends, width) - np.arange(1, int(ends[-1]) + 1)
    return np.packbits(((np.repeat(value, width) >> shift.astype(np.uint64)) & np.uint64(1)).astype(np.uint8)).tobytes()
