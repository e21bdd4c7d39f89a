"""Compile the descriptors of a message type into a flat program of bit operations.

The descriptors of section 3, expanded through the file's own tables, say how one subset (one report) is laid out
in bits. Most of it has a fixed layout; only the counts of delayed replications must be read before one knows where
the next value lies. The program keeps these two things apart:

    operations   ADVANCE over a segment (a run of bits of fixed layout), or REPEAT a body as often as a count says
    fields       which values lie in which segment, at which bit offset, with which width, scale and reference

so an interpreter first walks the operations to find where each segment begins in each subset, and then reads every
wanted field of all subsets at once. Fields that are not wanted cost nothing. A program is data: arrays only.

A body of a REPEAT is a *block*; block 0 is the subset itself. Bodies lie in place: the body of operation i is
[i + 1, jump[i]).

Operators (WMO FM 94): 201YYY width += YYY - 128; 202YYY scale += YYY - 128; 207YYY scale += YYY, reference *=
10**YYY, width += (10 YYY + 2) // 3 (numbers only); 206YYY the next descriptor is YYY bits wide; YYY = 000 ends each.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np

from obsproc.bufr.tables import Element, Sequence, Tables, fxy

ADVANCE, REPEAT = 0, 1
# Every level begins with its category; in raw dumps with its vertical significance or, where repeated, its height.
LEVEL_MARKS, REPEATED_MARKS = ("CAT", "VSIG", "VSIGX"), ("HEIT", "FLVLST")
STACK = "DRPSTAK"  # NCEP's mnemonic of the replication that holds a stack of events, newest first

# Damaged tables must not ask for all the time or memory; NCEP's layouts stay far below these bounds.
MOST_DESCRIPTORS = 10_000  # in one message type
MOST_NESTED = 16  # replications in one another
MOST_STACKS = 64
MOST_COUNT_BITS = 32
MOST_BITS = 2**27  # the longest message there can be


class ProgramError(ValueError):
    """The descriptors of a message type cannot be compiled; the sentence says which and why."""


@dataclass(frozen=True)
class Program:
    """A message type as arrays. Operations (nop,), fields (nfield,), blocks (nblock,)."""

    message_type: str
    opcode: np.ndarray  # (nop,) ADVANCE or REPEAT
    bits: np.ndarray  # (nop,) ADVANCE: width of the segment; REPEAT: width of the count, 0 for a fixed count
    fixed: np.ndarray  # (nop,) REPEAT with bits = 0: the count
    jump: np.ndarray  # (nop,) the operation after this one and its body
    target: np.ndarray  # (nop,) ADVANCE: number of the segment; REPEAT: number of the block
    segment_block: np.ndarray  # (nsegment,) the block a segment lies in
    block_parent: np.ndarray  # (nblock,) the enclosing block, -1 for the subset
    block_is_stack: np.ndarray  # (nblock,) True for an event stack
    block_name: tuple[str, ...]  # mnemonic of the sequence that is repeated
    block_least_bits: np.ndarray  # (nblock,) the smallest width of one body
    level_block: int  # the block of one level: that which holds its mark; the subset itself where levels do not repeat
    field_name: tuple[str, ...]
    field_in_level: np.ndarray  # (nfield,) True for a value of a level, False for one of the header
    field_is_text: np.ndarray  # (nfield,)
    field_segment: np.ndarray  # (nfield,)
    field_offset: np.ndarray  # (nfield,) bits from the start of the segment
    field_width: np.ndarray  # (nfield,)
    field_scale: np.ndarray  # (nfield,)
    field_reference: np.ndarray  # (nfield,) float64

    def columns(self) -> list[int]:
        """Fields that have a column: a mnemonic that occurs twice in a table means its first place."""
        first: dict[tuple[str, bool], int] = {}
        for f, key in enumerate(zip(self.field_name, self.field_in_level.tolist(), strict=True)):
            first.setdefault(key, f)
        return list(first.values())

    def stack_of(self, columns: list[int]) -> list[int]:
        """By column the block of the event stack in a level whose deeper events it has too, or -1."""
        block = self.segment_block[self.field_segment[columns]]
        in_stack = self.block_is_stack[block] & self.field_in_level[columns] & (block != self.level_block)
        return np.where(in_stack, block, -1).tolist()

    def body(self, operation: int) -> range:
        """The operations that a REPEAT repeats."""
        return range(operation + 1, int(self.jump[operation]))

    def is_straight(self, operation: int) -> bool:
        """True for a REPEAT whose body is a single segment."""
        return self.jump[operation] == operation + 2 and self.opcode[operation + 1] == ADVANCE


def message_type(tables: Tables, descriptors: tuple[int, ...]) -> str:
    """The mnemonic of the first sequence among a message's descriptors, e.g. 'ADPUPA'."""
    for item in descriptors:
        if item in tables.sequences:
            return tables.sequences[item].mnemonic
    unknown = " ".join(fxy(d) for d in descriptors)
    hint = "" if tables.elements else (", and there were none: so it is no PREPBUFR; WMO BUFR is read with "
                                       "[observations] source = 'wmo'")
    raise ProgramError(f"none of the descriptors {unknown} is a sequence in the DX tables read so far{hint}")


def compile_program(tables: Tables, descriptors: tuple[int, ...], wanted: Collection[str] | None = None) -> Program:
    """Compile the descriptors of section 3; `wanted` mnemonics become fields (None: all).

    Raises ProgramError for descriptors that no table defines and operators that PREPBUFR does not use.
    """
    name = message_type(tables, descriptors)
    builder = _Builder(tables, wanted)
    builder.add(list(descriptors))
    return builder.finish(name)


@dataclass(frozen=True)
class _Operators:
    """What 201, 202, 206 and 207 currently ask for."""

    width: int = 0
    scale: int = 0
    rescale: int = 0
    next_width: int = 0


NEUTRAL = _Operators()


class _Builder:
    """Grows the operations while it walks the descriptors."""

    def __init__(self, tables: Tables, wanted: Collection[str] | None):
        self.tables, self.wanted = tables, wanted
        self.state = _Operators()
        self.expanded = 0  # descriptors
        self.nested = 0
        self.operations: list[list[int]] = []  # opcode, bits, fixed, jump, target
        self.segments: list[int] = []  # block of each segment
        self.blocks: list[tuple[int, bool, str]] = [(-1, False, "")]  # parent, is stack, name
        self.level_block: int | None = None
        self.fields_before_level = 0
        self.least = [0]  # smallest width of each block
        self.fields: list[tuple] = []
        self.block = 0
        self.open_segment = False

    def add(self, pending: list[int]) -> None:
        """Compile a list of descriptors; sequences are put in place of their name and expanded in turn."""
        while pending:
            item = pending.pop(0)
            kind = item >> 14
            if kind == 0:
                self._element(item)
            elif kind == 1:
                self._replication(item, pending, "")
            elif kind == 2:
                self._operator(item)
            else:
                self._sequence(item, pending)

    def _sequence(self, item: int, pending: list[int]) -> None:
        if item not in self.tables.sequences:
            raise ProgramError(f"sequence {fxy(item)} is not in the DX tables read so far")
        sequence = self.tables.sequences[item]
        self.expanded += 1 + len(sequence.members)
        if self.expanded > MOST_DESCRIPTORS:
            raise ProgramError(f"sequence {fxy(item)} expands to more than {MOST_DESCRIPTORS} descriptors; perhaps it "
                               "contains itself")
        if len(sequence.members) == 2 and sequence.members[0] >> 14 == 1:
            # NCEP's replication marks: the sequence "101000 031001" applies to what follows its name.
            pending.insert(0, sequence.members[1])
            self._replication(sequence.members[0], pending, sequence.mnemonic)
        else:
            pending[:0] = sequence.members

    def _replication(self, item: int, pending: list[int], mark: str) -> None:
        length, count = item >> 8 & 0x3F, item & 0xFF
        if len(pending) < length + (count == 0):
            raise ProgramError(f"replication {fxy(item)} has fewer than {length} descriptors to repeat")
        bits = 0 if count else self._count(pending.pop(0))
        body, pending[:length] = pending[:length], []
        name = self.tables.sequences.get(body[0], Sequence("", ())).mnemonic if body else ""
        before, outer, operation = self.state, self.block, len(self.operations)
        self.blocks.append((outer, mark == STACK, name))
        self.block = len(self.blocks) - 1
        self._lengthen(outer, bits)
        self.least.append(0)
        self.operations.append([REPEAT, bits, count, 0, self.block])
        self.open_segment = False
        self.nested += 1
        if self.nested > MOST_NESTED or len(self.blocks) > MOST_DESCRIPTORS:
            raise ProgramError(f"replication {fxy(item)} lies in {MOST_NESTED} others")
        self.add(body)
        self.nested -= 1
        self.operations[operation][3] = len(self.operations)
        if not self.least[self.block]:
            raise ProgramError(f"replication {fxy(item)} repeats nothing")
        self._lengthen(outer, count * self.least[self.block])
        self.block, self.open_segment = outer, False
        if self.state != before:
            raise ProgramError(f"an operator is left open at the end of replication {fxy(item)}")

    def _operator(self, item: int) -> None:
        code, value = item >> 8 & 0x3F, item & 0xFF
        if code == 1:
            self.state = replace(self.state, width=value - 128 if value else 0)
        elif code == 2:
            self.state = replace(self.state, scale=value - 128 if value else 0)
        elif code == 6:
            self.state = replace(self.state, next_width=value)
        elif code == 7:
            self.state = replace(self.state, rescale=value)
        else:
            raise ProgramError(f"operator {fxy(item)} is not supported (PREPBUFR uses 201, 202, 206, 207)")

    def _lookup(self, item: int) -> Element:
        if item not in self.tables.elements:
            raise ProgramError(f"element {fxy(item)} is not in the DX tables read so far")
        return self.tables.elements[item]

    def _count(self, item: int) -> int:
        """Bits of the count of a delayed replication."""
        element = self._lookup(item)
        if element.is_text or element.width > MOST_COUNT_BITS:
            raise ProgramError(f"element {fxy(item)} cannot be a count of repetitions")
        return element.width

    def _element(self, item: int) -> None:
        if self.state.next_width:
            width, self.state = self.state.next_width, replace(self.state, next_width=0)
            self._advance(width)
            return
        element = _with_operators(self._lookup(item), self.state)
        begins = element.mnemonic in LEVEL_MARKS or (self.block and element.mnemonic in REPEATED_MARKS)
        if begins and self.level_block is None:
            self.level_block, self.fields_before_level = self.block, len(self.fields)
        if self.wanted is None or element.mnemonic in self.wanted:
            start = self.operations[-1][1] if self.open_segment else 0
            self._advance(0)
            self.fields.append((element.mnemonic, element.is_text, len(self.segments) - 1, start, element.width,
                                element.scale, element.reference))
        self._advance(element.width)

    def _advance(self, width: int) -> None:
        """Lengthen the open segment, or open one."""
        if not self.open_segment:
            self.segments.append(self.block)
            self.operations.append([ADVANCE, 0, 0, len(self.operations) + 1, len(self.segments) - 1])
            self.open_segment = True
        self.operations[-1][1] += width
        self._lengthen(self.block, width)

    def _lengthen(self, block: int, bits: int) -> None:
        self.least[block] += bits
        if self.least[block] > MOST_BITS:
            raise ProgramError("a report would be longer than a message can be")

    def finish(self, name: str) -> Program:
        if sum(is_stack for _, is_stack, _ in self.blocks) > MOST_STACKS:
            raise ProgramError(f"{name} has more than {MOST_STACKS} event stacks")
        opcode, bits, fixed, jump, target = np.array(self.operations, dtype=np.int64).reshape(-1, 5).T
        parent, is_stack, names = zip(*self.blocks, strict=True)
        fields = list(zip(*self.fields, strict=True)) or [()] * 7
        is_text = np.array(fields[1], dtype=bool)
        segment, offset, width, scale = (np.array(column, dtype=np.int64) for column in fields[2:6])
        return Program(name, opcode, bits, fixed, jump, target, np.array(self.segments), np.array(parent),
                       np.array(is_stack), names, np.array(self.least), self.level_block or 0, fields[0],
                       self._in_level(), is_text, segment, offset, width, scale, np.array(fields[6], dtype=np.float64))

    def _in_level(self) -> np.ndarray:
        """Whether each field belongs to a level: by its block, or in a report of one level by its place."""
        if self.level_block is None:
            return np.zeros(len(self.fields), dtype=bool)
        if self.level_block == 0:
            return np.arange(len(self.fields)) >= self.fields_before_level
        inside: list[bool] = []
        for block, (parent, _, _) in enumerate(self.blocks):
            inside.append(block == self.level_block or (block > 0 and inside[parent]))
        return np.array([inside[self.segments[segment]] for _, _, segment, *_ in self.fields], dtype=bool)


def _with_operators(element: Element, state: _Operators) -> Element:
    if state == NEUTRAL or not element.is_number:
        return element
    return element._replace(width=element.width + state.width + (10 * state.rescale + 2) // 3,
                            scale=element.scale + state.scale + state.rescale,
                            reference=element.reference * 10**state.rescale).checked()
