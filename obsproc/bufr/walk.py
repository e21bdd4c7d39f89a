"""The interpreter of a program: find where every segment of every subset begins.

All subsets go through the operations in step, their bit positions the entries of one array. A REPEAT reads all counts
at once and enters its body with those instances that have an r-th repetition, r = 1, 2, ...; a body without counts
inside has a fixed width, so all its repetitions are placed at once. No value is read here but the counts.

Each subset begins with its length in bytes and ends with padding to it. The walk must end exactly there, which checks
the data and the tables against each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from obsproc.bufr.messages import BufrError, Message
from obsproc.bufr.program import REPEAT, Program

UNKNOWN_LENGTH = 65535  # a subset longer than its own byte count can say is alone in its message
MOST_VALUES_PER_BIT = 4.0  # of a report; NCEP's have 0.2 to 0.4, missing ones and header included

FEWER = "the message has fewer than the {} subsets it announces"
MISFIT = "the byte count of a subset does not fit into its message"
OVERRUN = "a subset does not end where its byte count says; the data do not follow the tables of {}"


@dataclass(frozen=True)
class Subsets:
    """The reports of some messages: first bit, bit behind the last, and number of the message, each (nsubset,)."""

    start: np.ndarray
    end: np.ndarray
    message: np.ndarray

    def refuse(self, subset: int, program: Program, path: str) -> BufrError:
        """The error that one of them does not fit the program."""
        return BufrError(path, OVERRUN.format(program.message_type), int(self.message[subset]),
                         int(self.start[subset]) // 8)

    def refuse_flood(self, values: int, program: Program, path: str) -> None:
        """Raise BufrError if the tables would hold far more values than the subsets have bits.

        Such tables are damaged: one bit may then stand for thousands of missing values.
        """
        bits = int((self.end - self.start).sum())
        if values > MOST_VALUES_PER_BIT * bits:
            raise BufrError(path, f"{values} values in {bits} bits: the tables of {program.message_type} are damaged",
                            int(self.message[0]), int(self.start[0]) // 8)


class Bits:
    """The bytes of a file as big-endian integers at any bit."""

    def __init__(self, data: bytes):
        padded = data + bytes(8)  # a window is 8 bytes wide
        self.windows = np.ndarray((len(padded) - 7,), dtype=">u8", buffer=padded, strides=(1,))

    def read(self, position: np.ndarray, width: int) -> np.ndarray:
        """Unsigned integers of `width` <= 56 bits at bit positions `position`, uint64."""
        window = self.windows[position >> 3].astype(np.uint64)
        window <<= (position & 7).astype(np.uint64)
        window >>= np.uint64(64 - width)
        return window

    def text(self, position: np.ndarray, width: int) -> np.ndarray:
        """Texts of `width` bits, trailing blanks removed, missing -> empty."""
        length = width // 8
        places = position[:, None] + 8 * np.arange(length)
        characters = self.read(places.ravel(), 8).astype(np.uint8).reshape(-1, length)
        characters[(characters == 255).all(axis=1)] = 0
        blank = (characters == 0) | (characters == ord(" "))
        characters[np.logical_and.accumulate(blank[:, ::-1], axis=1)[:, ::-1]] = 0
        return characters.view(f"S{length}").ravel()


def announced(messages: Sequence[Message], path: str) -> tuple[np.ndarray, np.ndarray]:
    """Number of subsets, and number of the message, by message. Raises BufrError if they cannot all be there.

    A subset has at least its byte count of two bytes: what a damaged header announces is not believed beyond that.
    """
    for message in messages:
        if 2 * message.subsets > message.data_end - message.data_start:
            raise BufrError(path, FEWER.format(message.subsets), message.number, message.data_start)
    return (np.array([message.subsets for message in messages], dtype=np.int64),
            np.array([message.number for message in messages], dtype=np.int64))


def subsets(bits: Bits, messages: Sequence[Message], path: str) -> Subsets:
    """Where the subsets of some messages lie, by their byte counts. Raises BufrError where these do not fit."""
    start, end = [], []
    count, number = announced(messages, path)
    for message in messages:
        position = message.data_start
        for _ in range(message.subsets):
            if position + 2 > message.data_end:
                raise BufrError(path, FEWER.format(message.subsets), message.number, position)
            length = int(bits.windows[position] >> 48)
            if length == UNKNOWN_LENGTH and message.subsets == 1:
                length = message.data_end - position
            if length < 2 or position + length > message.data_end:
                raise BufrError(path, MISFIT, message.number, position)
            start.append(8 * position)
            position += length
            end.append(8 * position)
    return Subsets(np.array(start, dtype=np.int64), np.array(end, dtype=np.int64), np.repeat(number, count))


@dataclass(frozen=True)
class Trace:
    """What the walk found: per block, in pieces, the parent and ordinal of its instances; per segment its first bit.

    Instances of a block are numbered in the order in which they were found; `parent` counts those of the parent block,
    `ordinal` the repetitions within one parent from 0.
    """

    parent: list[list[np.ndarray]]
    ordinal: list[list[np.ndarray]]
    position: list[list[np.ndarray]]
    found: list[int]  # instances of each block so far

    @classmethod
    def of(cls, program: Program) -> "Trace":
        blocks, segments = len(program.block_parent), len(program.segment_block)
        return cls([[] for _ in range(blocks)], [[] for _ in range(blocks)], [[] for _ in range(segments)],
                   [0] * blocks)

    def enter(self, block: int, parent: np.ndarray, ordinal: np.ndarray) -> np.ndarray:
        """Note new instances of a block; returns their numbers."""
        first = self.found[block]
        self.parent[block].append(parent)
        self.ordinal[block].append(ordinal)
        self.found[block] += len(parent)
        return np.arange(first, self.found[block])


def walk(bits: Bits, program: Program, where: Subsets, path: str) -> Trace:
    """Take all subsets through the program. Raises BufrError for the first that does not end where it should."""
    walker = _Walker(bits, program, where, path, Trace.of(program))
    everyone = walker.trace.enter(0, np.full(len(where.start), -1), np.zeros(len(where.start), dtype=np.int64))
    reached = walker.run(range(len(program.opcode)), everyone, everyone, where.start)
    walker.refuse(reached != where.end, everyone)
    return walker.trace


@dataclass(frozen=True)
class _Walker:
    """The walk under way. Arrays are (n,) over the instances of the block that is being walked."""

    bits: Bits
    program: Program
    where: Subsets
    path: str
    trace: Trace

    def run(self, body: range, instance: np.ndarray, subset: np.ndarray, position: np.ndarray) -> np.ndarray:
        """Take instances of one block, lying in `subset`, through its body; returns the bit behind each."""
        program, i = self.program, body.start
        while i < body.stop:
            if program.opcode[i] == REPEAT:
                position = self._repeat(i, instance, subset, position)
            else:
                self.trace.position[program.target[i]].append(position)
                position = position + program.bits[i]
                self.refuse(position > self.where.end[subset], subset)
            i = int(program.jump[i])
        return position

    def _repeat(self, i: int, instance: np.ndarray, subset: np.ndarray, position: np.ndarray) -> np.ndarray:
        program = self.program
        block, width = int(program.target[i]), int(program.bits[i])
        if width:
            self.refuse(position + width > self.where.end[subset], subset)
            times = self.bits.read(position, width).astype(np.int64)
            position = position + width
        else:
            times = np.full(len(position), program.fixed[i])
        least = position + times * program.block_least_bits[block]
        # Checked before anything is allocated: a damaged count must not ask for all the memory.
        self.refuse(least > self.where.end[subset], subset)
        if not times.any():
            return position
        if program.is_straight(i):
            self._place(i, instance, position, times)
            return least
        position = position.copy()
        for r in range(int(times.max())):
            going = np.flatnonzero(times > r)
            child = self.trace.enter(block, instance[going], np.full(len(going), r))
            position[going] = self.run(program.body(i), child, subset[going], position[going])
        return position

    def _place(self, i: int, instance: np.ndarray, position: np.ndarray, times: np.ndarray) -> None:
        """Place all repetitions of a straight body at once."""
        segment, width = int(self.program.target[i + 1]), int(self.program.bits[i + 1])
        if not (self.program.field_segment == segment).any():
            return  # padding, or nothing that is wanted
        parent = np.repeat(np.arange(len(times)), times)
        ordinal = np.arange(len(parent)) - (np.cumsum(times) - times)[parent]
        self.trace.enter(int(self.program.target[i]), instance[parent], ordinal)
        self.trace.position[segment].append(position[parent] + ordinal * width)

    def refuse(self, wrong: np.ndarray, subset: np.ndarray) -> None:
        """Raise BufrError for the first subset where something is wrong, if any."""
        if wrong.any():
            raise self.where.refuse(int(subset[np.argmax(wrong)]), self.program, self.path)
