"""The compiled decoder gives the tables of the NumPy definition, bit for bit, on any layout, file and threads."""

import builtins
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obsproc.bufr import compiled, decode, reference
from obsproc.bufr.files import read_file
from obsproc.bufr.reports import concatenate
from obsproc.bufr.tables import Element, Sequence, Tables, descriptor
from tests.obsproc import encode
from tests.obsproc.decoded import assert_same

SAMPLES = ("prepqm89010106", "prepqm89010112", "prepqm89010118", "ADPUPA.prepbufr.110msg", "NC002003",
           "gdas.t12z.acft_profiles.prepbufr", "gdas.t12z.sfcshp.prepbufr",
           "fixtures/gdas2020110112_adpupa_3msg.prepbufr", "fixtures/prepqm89010112_1msg_per_type.prepbufr")


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_decode_as_defined(samples, name):
    path = samples / "prepbufr" / name
    defined = read_file(path, accept_truncated=True, interpreter=reference.decode).reports
    for threads in (1, 3):
        file = read_file(path, accept_truncated=True, interpreter=compiled.decode, threads=threads)
        assert_same(file.reports, defined)


@dataclass
class Number:
    width: int
    scale: int
    reference: int


@dataclass
class Text:
    characters: int


@dataclass
class Repeat:
    mark: str  # ( { [ < or a fixed count
    body: list


leaves = st.one_of(st.builds(Number, st.integers(1, 56), st.integers(-3, 9), st.integers(-(10**9), 10**9)),
                   st.builds(Text, st.integers(1, 12)))
marks = st.sampled_from(["(", "{", "[", "[", "<", "2"])
bodies = st.recursive(st.lists(leaves, min_size=1, max_size=3),
                      lambda inner: st.lists(st.one_of(leaves, st.builds(Repeat, marks, inner)), min_size=1,
                                             max_size=4), max_leaves=12)


class Layout:
    """DX tables of a tree of leaves and repetitions, in which one leaf is called CAT, and reports that follow it."""

    def __init__(self, tree: list, mark: int):
        self.tree, self.mark, self.leaves = tree, mark, 0
        self.elements = {descriptor(key): element for key, element in encode.ELEMENTS.items()}
        self.sequences = {descriptor(key): Sequence(name, encode.descriptors(members))
                          for key, (name, members) in encode.SEQUENCES.items() if key.startswith("360")}
        self.sequences[descriptor("348102")] = Sequence("RANDOM", self._members(tree))

    @property
    def tables(self) -> Tables:
        return Tables(self.elements, self.sequences)

    def _members(self, nodes: list) -> tuple[int, ...]:
        members = []
        for node in nodes:
            if isinstance(node, Repeat):
                body = descriptor(f"349{len(self.sequences):03d}")
                self.sequences[body] = Sequence(f"BODY{body & 255}", ())
                self.sequences[body] = Sequence(f"BODY{body & 255}", self._members(node.body))
                members += [descriptor(encode.MARKS[node.mark]) if node.mark in encode.MARKS
                            else descriptor(f"10100{node.mark}"), body]
            else:
                name = "CAT" if self.leaves == self.mark else f"X{self.leaves}"
                self.leaves += 1
                key = descriptor(f"050{self.leaves:03d}")
                self.elements[key] = (Element(name, "CCITT IA5", 0, 0, 8 * node.characters) if isinstance(node, Text)
                                      else Element(name, "NUMERIC", node.scale, node.reference, node.width))
                members.append(key)
        return tuple(members)

    def subset(self, rng: np.random.Generator) -> bytes:
        body = self._bits(self.tree, rng)
        pads = -(16 + len(body) + 8) % 8
        body += f"{pads:08b}" + "1" * pads
        body = f"{(16 + len(body)) // 8:016b}" + body
        return int(body, 2).to_bytes(len(body) // 8, "big")

    def _bits(self, nodes: list, rng: np.random.Generator) -> str:
        bits = []
        for node in nodes:
            if isinstance(node, Repeat):
                times = int(rng.integers(0, 2 if node.mark == "<" else 4)) if node.mark in encode.MARKS else 2
                if node.mark in encode.MARKS:
                    bits.append(f"{times:0{encode.COUNT_BITS[node.mark]}b}")
                bits += [self._bits(node.body, rng) for _ in range(times)]
            elif isinstance(node, Text):
                letters = rng.choice([b"\xff" * node.characters, b"A \0B" * 3, b"AB  ", b"    "])
                bits.append("".join(f"{c:08b}" for c in letters.ljust(node.characters)[: node.characters]))
            else:
                bits.append("1" * node.width if rng.random() < 0.3 else
                            "".join(map(str, rng.integers(0, 2, node.width))))
        return "".join(bits)


@given(tree=bodies, mark=st.integers(-1, 11), seed=st.integers(0, 2**32),
       counts=st.lists(st.integers(0, 4), max_size=3))
@settings(max_examples=100)
def test_any_layout_decodes_as_defined(tmp_path_factory, tree, mark, seed, counts):
    """Stacks in stacks, levels in levels, reports without levels, text of any length, numbers of any width."""
    rng, layout = np.random.default_rng(seed), Layout(tree, mark)
    content = encode.table_message(layout.tables) + b"".join(
        encode.message(102, encode.DATA, [layout.subset(rng) for _ in range(n)]) for n in counts)
    path = tmp_path_factory.mktemp("layout") / "file"
    path.write_bytes(content)
    assert_same(read_file(path, interpreter=compiled.decode).reports,
                read_file(path, interpreter=reference.decode).reports)


@pytest.mark.parametrize("shares", [2, 3, 200])
def test_the_parts_of_a_file_make_the_whole(samples, shares):
    path = samples / "prepbufr/fixtures/prepqm89010112_1msg_per_type.prepbufr"
    whole = read_file(path).reports
    parts = [read_file(path, part=(i, shares)).reports for i in range(shares)]
    joined = {kind: concatenate([part[kind] for part in parts if kind in part]) for kind in whole}
    assert_same(joined, whole)
    assert sum(len(part) for part in parts) == len(whole)  # one message of each type


def test_without_the_compiled_loop_the_definition_decodes_with_one_warning(monkeypatch, caplog):
    original = builtins.__import__

    def without(name, globals_=None, locals_=None, fromlist=(), level=0):
        if name == "obsproc.bufr" and "compiled" in (fromlist or ()):
            raise ImportError("not built")
        return original(name, globals_, locals_, fromlist, level)

    decode.fastest.cache_clear()
    monkeypatch.setattr(builtins, "__import__", without)
    assert decode.fastest() is reference.decode and decode.fastest() is reference.decode
    monkeypatch.undo()
    decode.fastest.cache_clear()
    assert [record.levelname for record in caplog.records] == ["WARNING"] and "not built" in caplog.text


def test_the_compiled_loop_is_in_use():
    assert decode.fastest() is compiled.decode
