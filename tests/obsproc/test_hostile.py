"""Whatever bytes come, the answer is a table, or one error that names file, message and byte: no crash, hang or flood.

tests/fuzz runs the inner loop itself, coverage-guided and under sanitizers.
"""

import random
import resource

import numpy as np
import pytest

from obsproc import _decode
from obsproc.bufr import compiled, program, reference
from obsproc.bufr.files import read_file
from obsproc.bufr.messages import BufrError, scan
from obsproc.bufr.tables import Element, Sequence, Tables, descriptor
from tests.obsproc import encode
from tests.obsproc.decoded import assert_same

MUTANTS = 300


@pytest.fixture(scope="module")
def sound() -> bytes:
    """Tables, then six messages of two soundings each."""
    levels = [encode.Level(i, [(2732 + 10 * i + j, 1) for j in range(i % 3)], 7, i % 2 == 0) for i in range(5)]
    return encode.table_message() + b"".join(
        encode.message(102, encode.DATA, [encode.subset(encode.Sounding(f"S{i}{j}".encode(), 1000 * i, levels[:i], j))
                                          for j in range(2)]) for i in range(6))


def mutant(content: bytes, rng: random.Random) -> bytes:
    """Flipped bits, overwritten, removed, repeated and inserted bytes; sometimes cut."""
    damaged = bytearray(content)
    for _ in range(rng.randint(1, 6)):
        at, n = rng.randrange(len(damaged)), rng.randint(1, 8)
        match rng.randrange(5):
            case 0:
                damaged[at] ^= 1 << rng.randrange(8)
            case 1:
                damaged[at : at + n] = rng.choice([b"\xff", b"\0", b"9", rng.randbytes(1)]) * n
            case 2:
                del damaged[at : at + n]
            case 3:
                damaged[at:at] = damaged[at : at + 8 * n]
            case 4:
                damaged[at:at] = rng.randbytes(n)
    return bytes(damaged[: rng.randrange(len(damaged))] if rng.random() < 0.1 else damaged)


def outcome(path, interpreter, tolerant=False):
    """The tables, or what the error says."""
    try:
        return read_file(path, interpreter=interpreter, tolerant=tolerant)
    except BufrError as error:
        return str(error)


def test_damaged_files_are_read_or_refused_by_both_decoders_alike(sound, tmp_path):
    rng, path = random.Random(1), tmp_path / "damaged"
    refused = 0
    for _ in range(MUTANTS):
        path.write_bytes(mutant(sound, rng))
        for tolerant in (False, True):
            fast, slow = (outcome(path, decoder, tolerant) for decoder in (compiled.decode, reference.decode))
            if isinstance(slow, str):
                refused += 1
                assert isinstance(fast, str) and str(path) in fast and "\n" not in fast
            else:
                assert_same(fast.reports, slow.reports)
                assert len(fast.refused) == len(slow.refused)
    assert 0.2 * MUTANTS < refused < 1.5 * MUTANTS  # the mutants are neither all harmless nor all noise


def test_damage_in_real_files_is_survived(samples, tmp_path):
    rng, path = random.Random(2), tmp_path / "damaged"
    for fixture in sorted((samples / "prepbufr/fixtures").iterdir()):
        content = fixture.read_bytes()
        for _ in range(100):
            path.write_bytes(mutant(content, rng))
            file = outcome(path, compiled.decode, tolerant=True)
            assert isinstance(file, str) or file.reports is not None


@pytest.mark.parametrize("content", [b"BUFR", b"BUFR" * 1000, b"\xff" * 5000, b"BUFR\xff\xff\xff\x03" * 300,
                                     random.Random(3).randbytes(20_000)])
def test_files_of_anything_else_are_refused(tmp_path, content):
    path = tmp_path / "noise"
    path.write_bytes(content)
    with pytest.raises(BufrError, match="noise"):
        read_file(path)


def test_tolerant_reading_takes_all_sound_messages_and_counts_the_others(sound, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(sound)
    whole = read_file(path).reports["ADPUPA"]
    messages = scan(sound, path)
    damaged = bytearray(sound)
    damaged[messages[2].data_start] = 0xFF  # the byte count of a subset lies
    damaged[messages[4].start + 5] ^= 0x55  # the length of a message lies
    path.write_bytes(damaged[:-3])  # the last one is cut
    with pytest.raises(BufrError):
        read_file(path)
    file = read_file(path, tolerant=True)
    kept = np.isin(whole.message, [2, 4, 6])
    np.testing.assert_array_equal(file.reports["ADPUPA"].header["SID"], whole.header["SID"][kept])
    assert file.reports["ADPUPA"].message.tolist() == [2, 2, 4, 4, 6, 6]
    assert [str(path) in str(error) for error in file.refused] == [True] * 3
    assert sorted(int(str(error).split("message ")[1].split(",")[0]) for error in file.refused) == [3, 5, 7]


def test_without_tables_nothing_is_guessed(sound, tmp_path):
    path = tmp_path / "tableless"
    path.write_bytes(sound[len(encode.table_message()) :])
    with pytest.raises(BufrError, match="message 1, byte 0: none of the descriptors .* is a sequence in the DX tables"):
        read_file(path)
    file = read_file(path, tolerant=True)
    assert (file.reports, len(file.refused)) == ({}, 6)


def layout(members: str, sequences: dict[str, str] | None = None, elements: dict[str, Element] | None = None) -> Tables:
    """Tables in which HEADR is `members`."""
    more = {descriptor(key): Sequence(key, encode.descriptors(text)) for key, text in (sequences or {}).items()}
    more[descriptor("348001")] = Sequence("HEADR", encode.descriptors(members))
    return Tables(encode.TABLES.elements | {descriptor(key): e for key, e in (elements or {}).items()},
                  encode.TABLES.sequences | more)


def nested(depth: int) -> dict[str, str]:
    """Sequences, each of which repeats the next 255 times."""
    return {f"348{200 + i}": f"055007 101255 348{201 + i}" for i in range(depth)} | {f"348{200 + depth}": "055007"}


@pytest.mark.parametrize(("tables", "sentence"), [
    (layout("348200", {"348200": "348201 348201", "348201": "348200 348200"}), "contains itself"),
    (layout("348200 " * 250, {"348200": "055007 " * 250}), "more than 10000 descriptors"),
    (layout("348200", nested(17)), "lies in 16 others"),
    (layout("348200", nested(4)), "longer than a message"),
    (layout("348200", nested(2)), None),
    (layout("101000 031001 348200", {"348200": ""}), "repeats nothing"),
    (layout("101000 001194 055007"), "cannot be a count"),
    (layout("360003 055007 " * 70), "more than 64 event stacks"),
    (layout("207100 006240"), "width 350"),
    (layout("055008", elements={"055008": Element("WIDE", "CCITT IA5", 0, 0, 2048)}), None),
])
def test_tables_that_ask_for_too_much_are_refused(tables, sentence):
    if sentence is None:
        program.compile_program(tables, encode.DATA)
    else:
        with pytest.raises(ValueError, match=sentence):
            program.compile_program(tables, encode.DATA)


@pytest.mark.parametrize("decoder", [compiled.decode, reference.decode])
def test_a_flood_of_missing_values_is_refused_before_it_is_stored(tmp_path, decoder):
    """The seven bits of a level stand for sixty missing values, if the tables say so."""
    wide = {f"0500{i:02d}": Element(f"X{i}", "NUMERIC", 0, 0, 50) for i in range(60)}
    tables = layout("055007", {"348102": "348001 360001 348002", "348002": "008193 360004 348201",
                               "348201": " ".join(wide)}, wide)
    body = "0" * 9 + f"{60_000:016b}" + "0" * 7 * 60_000
    pads = -len(body) % 8
    body += f"{pads:08b}" + "1" * pads
    size = 2 + len(body) // 8
    whole = size.to_bytes(2, "big") + int(body, 2).to_bytes(size - 2, "big")
    path = tmp_path / "flood"
    path.write_bytes(encode.table_message(tables) + encode.message(102, encode.DATA, [whole]))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BufrError, match=r"message 2, byte \d+: \d+ values in \d+ bits"):
        read_file(path, interpreter=decoder)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000  # kB


def test_the_door_to_the_compiled_loop_checks_every_length():
    one = np.zeros(1, np.int64)
    operations = np.array([[0, 8, 0, 1, -1, 0, 0]])
    sound = (operations, np.zeros((0, 5), np.int64), np.zeros((0, 3)), True, 0)
    rows, repeated = np.zeros((1, 1), np.int64), np.zeros(1, np.uint8)
    assert _decode.count(sound, b"A", one, one + 8, rows, repeated) == -1 and rows[0, 0] == 1
    assert _decode.count(sound, b"A", one, one + 16, rows, repeated) == 0  # runs over the end of the data
    endless = np.array([[1, 0, 255, 1, -1, 0, 0]])  # repeats an empty body
    for wrong in ((sound[0][:, :3].copy(), *sound[1:]), (endless, *sound[1:]), (*sound[:4], 65)):
        with pytest.raises(ValueError, match=r"rows|sound"):
            _decode.count(wrong, b"A", one, one + 8, rows, repeated)
    for arguments in ((b"A", one, one[:0], rows, repeated), (b"A", one, one, rows[:0], repeated),
                      (b"A", one, one, rows, repeated[:0])):
        with pytest.raises(ValueError, match="rows"):
            _decode.count(sound, *arguments)
    with pytest.raises(ValueError, match="tables"):
        _decode.write(sound, b"A", one, one + 8, rows, 1, 1, 1, [], [])
    assert _decode.write(sound, b"A", one, one + 8, rows + 5, 0, 1, 1, [], []) == 0  # no such level
    assert _decode.split(b"\0\2\0\1", one, one + 4, one + 2, np.zeros(2, np.int64), np.zeros(2, np.int64)) == (0, 2)
