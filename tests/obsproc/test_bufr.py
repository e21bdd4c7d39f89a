"""Messages, tables, programs: what was encoded comes back, whatever its shape; damage is named, never passed on."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obsproc.bufr import program
from obsproc.bufr.files import read_file
from obsproc.bufr.messages import BufrError, scan
from obsproc.bufr.reports import Reports
from obsproc.bufr.tables import Element, Sequence, Tables, descriptor, fxy, read_tables
from tests.obsproc import encode


def integer(bits: int):
    """What `bits` bits can hold; None is missing."""
    return st.one_of(st.none(), st.integers(0, 2**bits - 2))


events = st.lists(st.tuples(integer(14), integer(5)), max_size=4)
levels = st.builds(encode.Level, category=st.integers(0, 62), events=st.one_of(st.none(), events),
                   error=integer(12), has_error=st.booleans())
soundings = st.builds(encode.Sounding, sid=st.binary(max_size=8).map(lambda b: bytes(65 + x % 26 for x in b)),
                      longitude=st.integers(0, 2**26 - 2), levels=st.lists(levels, max_size=6),
                      type=st.integers(0, 510))


def decoded(tmp_path_factory, content: bytes, wanted=None) -> dict[str, Reports]:
    path = tmp_path_factory.mktemp("bufr") / "file"
    path.write_bytes(content)
    return read_file(path, wanted).reports


@given(groups=st.lists(st.lists(soundings, max_size=5), min_size=1, max_size=3), edition=st.sampled_from([3, 4]))
@settings(max_examples=60)
def test_decoding_is_the_inverse_of_encoding(tmp_path_factory, groups, edition):
    content = encode.table_message() + b"".join(
        encode.message(102, encode.DATA, [encode.subset(s) for s in group], edition) for group in groups)
    reports = decoded(tmp_path_factory, content)["ADPUPA"]
    given_reports = [s for group in groups for s in group]
    given_levels = [level for s in given_reports for level in s.levels]

    assert reports.messages == len(groups)
    assert reports.message.tolist() == [number for number, group in enumerate(groups, start=2) for _ in group]
    assert reports.header["SID"].tolist() == [s.sid for s in given_reports]
    np.testing.assert_allclose(reports.header["XOB"], [s.longitude / 1e5 - 180 for s in given_reports], atol=1e-9)
    assert reports.header["TYP"].tolist() == [s.type for s in given_reports]
    assert np.diff(reports.level_start).tolist() == [len(s.levels) for s in given_reports]
    assert reports.level["CAT"].tolist() == [level.category for level in given_levels]
    assert reports.depth["T__EVENT"].tolist() == [len(level.events or []) for level in given_levels]

    current = [(level.events or [(None, None)])[0] for level in given_levels]
    np.testing.assert_allclose(reports.level["TOB"], [_celsius(t) for t, _ in current], atol=1e-9)
    np.testing.assert_array_equal(reports.level["TPC"], [_number(code) for _, code in current])
    errors = [level.error if level.events is not None and level.has_error else None for level in given_levels]
    np.testing.assert_allclose(reports.level["TOE"], [_number(e) / 10 for e in errors], atol=1e-9)

    deeper = [(i, depth, *event) for i, level in enumerate(given_levels)
              for depth, event in enumerate(level.events or []) if depth > 0]
    found = reports.events["T__EVENT"]
    assert found.level.tolist() == [row[0] for row in deeper]
    assert found.depth.tolist() == [row[1] for row in deeper]
    np.testing.assert_allclose(found.columns["TOB"], [_celsius(row[2]) for row in deeper], atol=1e-9)


def _number(value: int | None) -> float:
    return np.nan if value is None else float(value)


def _celsius(value: int | None) -> float:
    return (_number(value) - 2732) / 10


@pytest.fixture
def fixture_file(samples):
    return samples / "prepbufr/fixtures/prepqm89010112_1msg_per_type.prepbufr"


def test_fields_do_not_depend_on_which_others_are_wanted(fixture_file):
    everything, some = read_file(fixture_file).reports, read_file(fixture_file, {"TOB", "SID", "HRDR"}).reports
    for kind, reports in some.items():
        assert set(reports.header) | set(reports.level) <= {"TOB", "SID", "HRDR"}
        for table, whole in ((reports.header, everything[kind].header), (reports.level, everything[kind].level)):
            for name, values in table.items():
                np.testing.assert_array_equal(values, whole[name])


def test_record_lengths_and_padding_between_messages_do_not_matter(fixture_file, tmp_path):
    data = fixture_file.read_bytes()
    bare = tmp_path / "bare"
    blocked = tmp_path / "blocked"
    pieces = [data[m.start : m.start + m.length] for m in scan(data, "x")]
    bare.write_bytes(b"".join(pieces))
    blocked.write_bytes(b"".join(len(p).to_bytes(4, "big") + p + len(p).to_bytes(4, "big") for p in pieces))
    for kind, reports in read_file(fixture_file).reports.items():
        for other in (read_file(bare).reports[kind], read_file(blocked).reports[kind]):
            for name, values in reports.level.items():
                np.testing.assert_array_equal(values, other.level[name])


def test_tables_sent_again_after_data_change_nothing(tmp_path_factory):
    data = encode.message(102, encode.DATA, [encode.subset(encode.Sounding(b"A", 1, [], 120))])
    reports = decoded(tmp_path_factory, encode.table_message() + data + encode.table_message() + data)["ADPUPA"]
    assert (reports.messages, reports.subsets) == (2, 2)


def test_new_tables_after_data_hold_from_there_on(tmp_path_factory):
    wider = Tables(encode.TABLES.elements | {descriptor("055007"): Element("TYP", "CODE TABLE", 0, 0, 10)},
                   encode.TABLES.sequences)
    level = encode.Level(1, [(3000, 1), (2990, 1)])
    old = encode.message(102, encode.DATA, [encode.subset(encode.Sounding(b"OLD", 1, [level], 120))])
    new = encode.message(102, encode.DATA, [encode.subset(encode.Sounding(b"NEW", 1, [], 220), type_bits=10)])
    reports = decoded(tmp_path_factory, encode.table_message() + old + encode.table_message(wider) + new)["ADPUPA"]
    assert reports.header["SID"].tolist() == [b"OLD", b"NEW"]
    assert reports.header["TYP"].tolist() == [120, 220]
    assert np.diff(reports.level_start).tolist() == [1, 0]


@given(st.integers(0, 3), st.integers(0, 63), st.integers(0, 255))
def test_a_descriptor_and_its_six_digits_are_the_same(f, x, y):
    item = f << 14 | x << 8 | y
    assert descriptor(fxy(item)) == item
    assert fxy(item) == f"{f}{x:02d}{y:03d}"


def test_dx_tables_read_back():
    content = encode.table_message()
    assert read_tables(content, scan(content, "x")[0], "x") == encode.TABLES


def test_operators_are_those_of_the_manual():
    """207YYY: scale + YYY, reference x 10**YYY, width + (10 YYY + 2) // 3; code tables are left alone."""
    header = encode.descriptors(
        "201132 202129 006240 055007 201000 202000 207003 006240 055007 207000 006240")
    tables = Tables(encode.TABLES.elements,
                    encode.TABLES.sequences | {descriptor("348001"): Sequence("HEADR", header)})
    compiled = program.compile_program(tables, encode.DATA, {"XOB", "TYP"})
    layout = list(zip(compiled.field_name, compiled.field_width, compiled.field_scale, compiled.field_reference,
                      strict=True))
    assert layout[:5] == [("XOB", 20, 3, -18000), ("TYP", 9, 0, 0), ("XOB", 26, 5, -18000000), ("TYP", 9, 0, 0),
                          ("XOB", 16, 2, -18000)]
    offsets = compiled.field_offset[:5].tolist()
    assert [b - a for a, b in pairwise(offsets)] == [20, 9, 26, 9]


@pytest.mark.parametrize(("members", "sentence"), [
    ("055007 001001", "element 001001 is not in the DX tables"),
    ("348255", "sequence 348255 is not in the DX tables"),
    ("204008 055007", "operator 204008 is not supported"),
    ("348001", "contains itself"),
    ("103000 031001 055007", "has fewer than 2 descriptors"),
])
def test_layouts_that_cannot_be_compiled_are_named(members, sentence):
    sequence = Sequence("HEADR", encode.descriptors(members))
    tables = Tables(encode.TABLES.elements, {descriptor("348102"): Sequence("ADPUPA", (descriptor("348001"),)),
                                             descriptor("348001"): sequence})
    with pytest.raises(program.ProgramError, match=sentence):
        program.compile_program(tables, encode.DATA)


def test_a_message_of_one_overlong_subset_is_read(tmp_path_factory):
    """A subset longer than 65534 bytes says 65535 and is alone in its message."""
    levels = [encode.Level(2, [(2732 + i, 1)] * 255) for i in range(110)]
    whole = encode.subset(encode.Sounding(b"LONG", 5, levels, 120))
    assert len(whole) > 65535
    reports = decoded(tmp_path_factory, encode.table_message() + encode.message(102, encode.DATA, [whole]))["ADPUPA"]
    np.testing.assert_allclose(reports.level["TOB"], np.arange(110) / 10)
    assert reports.levels == 110
    assert reports.depth["T__EVENT"].tolist() == [255] * 110


@pytest.mark.parametrize(("damage", "sentence"), [
    (lambda data: b"", "the file is empty"),
    (lambda data: b"GRIB" + bytes(500), "this is not a BUFR file"),
    (lambda data: data[:-3000], r"message \d+, byte \d+: the file ends inside this message"),
    (lambda data: data[:20], "the file ends inside this message"),
    (lambda data: data.replace(b"7777", b"7778", 1), r"message 1, byte \d+: the message does not end in '7777'"),
    (lambda data: data[:15] + b"\x09" + data[16:], "BUFR edition"),
])
def test_a_damaged_file_is_refused_with_file_message_and_byte(fixture_file, tmp_path, damage, sentence):
    path = tmp_path / "damaged"
    data = fixture_file.read_bytes()
    first = data.index(b"BUFR")
    path.write_bytes(damage(bytes(8) + data[first:]))
    with pytest.raises(BufrError, match=sentence) as failure:
        read_file(path)
    assert str(path) in str(failure.value) and "\n" not in str(failure.value)


def test_a_cut_file_can_be_read_up_to_its_last_whole_message(samples, tmp_path, caplog):
    whole = samples / "prepbufr/gdas.t12z.sfcshp.prepbufr"
    path = tmp_path / "cut"
    path.write_bytes(whole.read_bytes()[:-100])
    with pytest.raises(BufrError, match="message 22, byte 190016: the file ends inside this message"):
        read_file(path)
    file, complete = read_file(path, {"SID"}, accept_truncated=True), read_file(whole, {"SID"})
    kept = complete.reports["SFCSHP"].message < 22
    np.testing.assert_array_equal(file.reports["SFCSHP"].header["SID"], complete.reports["SFCSHP"].header["SID"][kept])
    assert "the file ends inside this message" in caplog.text


@given(st.data())
@settings(max_examples=150)
def test_flipped_bytes_are_either_harmless_or_named(samples, tmp_path_factory, data):
    """Whatever is overwritten, the answer is a table or one BufrError: no crash, no endless loop."""
    content = bytearray((samples / "prepbufr/fixtures/gdas2020110112_sfcshp_1msg.prepbufr").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("flipped") / "file"
    path.write_bytes(content)
    try:
        read_file(path, accept_truncated=True)
    except BufrError as error:
        assert str(path) in str(error)


def test_damage_inside_a_subset_is_found_by_its_byte_count(fixture_file, tmp_path):
    data = bytearray(fixture_file.read_bytes())
    message = next(m for m in scan(bytes(data), "x") if not m.is_table)
    data[message.data_start + 40 : message.data_start + 60] = b"\xff" * 20
    path = tmp_path / "damaged"
    path.write_bytes(data)
    with pytest.raises(BufrError, match=rf"message {message.number}, byte {message.data_start}: .*tables of"):
        read_file(path)
