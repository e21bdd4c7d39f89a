"""The DX tables of the PREPBUFR files that we write, from `prepbufr_tables.toml`.

There a sequence is spelt as NCEP's table files do: `<X>` is the mark of a replication of one bit followed by X,
`{X}` of eight bits, `[X]` a stack of events; six digits are an operator.
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources

from obsproc.bufr import compose
from obsproc.bufr.program import Program, compile_program
from obsproc.bufr.tables import Element, Sequence, Tables, descriptor

# Bracket -> the sequence that marks the replication, its number and the element that counts.
_MARKS = {"(": ("DRP16BIT", "360001", "031002"), "{": ("DRP8BIT", "360002", "031001"),
          "[": ("DRPSTAK", "360003", "031001"), "<": ("DRP1BIT", "360004", "031000")}


@dataclass(frozen=True)
class Vocabulary:
    """The tables, and per message type its category, its sequence and whether a report can have several levels."""

    tables: Tables
    category: dict[str, int]
    sequence: dict[str, int]
    is_profile: dict[str, bool]

    def program(self, message_type: str) -> Program:
        """How a report of the type is laid out, all fields."""
        return compile_program(self.tables, self.descriptors(message_type))

    def descriptors(self, message_type: str) -> tuple[int, ...]:
        """Section 3 of its messages."""
        return compose.framed(self.sequence[message_type])


@cache
def ours() -> Vocabulary:
    """The packaged tables."""
    with resources.files("obsproc").joinpath("prepbufr_tables.toml").open("rb") as file:
        given = tomllib.load(file)
    number = {name: entry[0] for table in ("elements", "sequences") for name, entry in given[table].items()}
    elements = {descriptor(fxy): Element(name, *rest) for name, (fxy, *rest) in given["elements"].items()}
    sequences = {descriptor(fxy): Sequence(name, (descriptor("101000"), descriptor(count)))
                 for name, fxy, count in _MARKS.values()}
    for name, (fxy, members) in given["sequences"].items():
        sequences[descriptor(fxy)] = Sequence(name, _members(members, number))
    of_type = {name: descriptor(f"348{category}") for name, (category, _) in given["types"].items()}
    for name, (_, layout) in given["types"].items():
        sequences[of_type[name]] = Sequence(name, _members(given["layouts"][layout], number))
    return Vocabulary(Tables(elements, sequences), {name: entry[0] for name, entry in given["types"].items()}, of_type,
                      {name: entry[1] == "profile" for name, entry in given["types"].items()})


def _members(spelt: str, number: dict[str, str]) -> tuple[int, ...]:
    found = []
    for word in spelt.split():
        if word[0] in _MARKS:
            found.append(descriptor(_MARKS[word[0]][1]))
        name = word.strip("(){}[]<>")
        found.append(descriptor(number.get(name, name)))
    return tuple(found)
