"""Files as they come: padded, with headings, old editions, compressed, of several cycles, or something else."""

import bz2
import gzip
import io
import tarfile
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import UserError
from contracts.variables import Flag
from obsproc import wmo
from obsproc.bufr import envelope
from obsproc.bufr.files import read_file
from obsproc.bufr.messages import BufrError, scan
from tests.obsproc import encode
from tests.obsproc.cases import VINTAGE, observed


def subsets(path):
    return sum(reports.subsets for reports in read_file(path).reports.values())


@pytest.mark.parametrize("name", ["pad_end_512.prepbufr", "gts_long.prepbufr", "edition0.prepbufr",
                                  "edition1.prepbufr", "c.prepbufr.gz"])
def test_what_lies_around_the_messages_does_not_matter(samples, name):
    assert subsets(samples / "cases/observations" / name) == 875


CONTENT = [encode.table_message()] + [
    encode.message(102, encode.DATA, [encode.subset(encode.Sounding(f"S{i}".encode(), 1, [], 120))]) for i in range(3)]
gaps = st.one_of(st.integers(0, 2000).map(bytes), st.text(st.characters(min_codepoint=32, max_codepoint=126)).map(
    lambda text: b"\x01\r\r\n" + text.encode() + b"\r\r\n"), st.binary(max_size=8).filter(lambda b: b"BUFR" not in b))


@given(st.lists(gaps, min_size=5, max_size=5))
def test_zeros_and_headings_of_any_length_may_stand_between_messages(gaps):
    pieces = [piece for pair in zip(gaps, [*CONTENT, b""], strict=True) for piece in pair]
    found = scan(b"".join(pieces), "x")
    assert [message.length for message in found] == [len(message) for message in CONTENT]


def test_a_text_that_speaks_of_bufr_is_no_message(tmp_path):
    heading = b"here begin the BUFR messages of today: BUFR and only BUFR of course\r\n"
    assert len(scan(heading + b"".join(CONTENT), "x")) == len(CONTENT)
    (tmp_path / "text").write_bytes(heading * 10)
    with pytest.raises(BufrError, match="this is not a BUFR file"):
        read_file(tmp_path / "text")


def test_a_gap_of_other_bytes_means_damage():
    with pytest.raises(BufrError, match=r"message 2, byte \d+: expected 'BUFR' here"):
        scan(CONTENT[0] + b"\xff" * 65 + CONTENT[1], "x")


@pytest.mark.parametrize("edition", [0, 1])
def test_messages_of_old_editions_have_no_length_of_their_own(edition):
    """Section 1 follows "BUFR" at once, its fourth byte is the edition; the rest is as later."""
    old = []
    for message in CONTENT:
        section1 = message[8:]
        old.append(b"BUFR" + section1[:3] + bytes([edition]) + section1[4:])
    ours, theirs = scan(b"".join(CONTENT), "x"), scan(b"".join(old), "x")
    assert [m.length for m in theirs] == [m.length - 4 for m in ours]
    assert [(m.category, m.subsets, m.descriptors, m.data_end - m.data_start) for m in theirs] == [
        (m.category, m.subsets, m.descriptors, m.data_end - m.data_start) for m in ours]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_compressed_files_are_read_and_damaged_ones_named(tmp_path, pack):
    path = tmp_path / "packed"
    packed = pack(b"".join(CONTENT))
    path.write_bytes(packed)
    assert subsets(path) == 3
    path.write_bytes(packed[: len(packed) // 2])
    with pytest.raises(BufrError, match="is compressed and damaged"):
        read_file(path)


def test_a_compressed_wmo_file_is_read(samples, tmp_path):
    path = tmp_path / "temp.bufr.gz"
    path.write_bytes(gzip.compress((samples / "wmo/temp_small.bufr").read_bytes()))
    assert wmo.read_file(path, datetime(2008, 12, 8, 12, tzinfo=UTC)).reports["ADPUPA"].messages == 7


def test_what_unpacks_to_more_than_a_memory_holds_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(envelope, "MOST_BYTES", 1000)
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(bytes(5000)))
    with pytest.raises(BufrError, match="when unpacked"):
        read_file(path)


def tar() -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a"))
    return content.getvalue()


@pytest.mark.parametrize(("content", "name"), [
    (tar(), "a tar archive"), (b"<!DOCTYPE html>\n<html>", "a web page"), (b"\n<html>404</html>", "a web page"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a pointer of Git LFS"), (b"PK\x03\x04", "a zip"),
    (b"GRIB" + bytes(100), "GRIB"), (b"\x89HDF\r\n", "HDF5"), (b"CDF\x01", "NetCDF")])
def test_something_else_is_named_for_what_it_is(tmp_path, content, name):
    path = tmp_path / "file"
    path.write_bytes(content)
    for read in (read_file, lambda path: wmo.read_file(path, VINTAGE)):
        with pytest.raises(BufrError, match=f"this is not a BUFR file, it is {name}"):
            read(path)


def test_wmo_and_prepbufr_files_are_told_apart(samples):
    with pytest.raises(UserError, match="source = 'wmo'"):
        observed(samples / "wmo/temp_small.bufr", datetime(2008, 12, 8, 12, tzinfo=UTC))
    with pytest.raises(UserError, match="source = 'wmo'"):
        observed(samples / "cases/observations/v_ship_name.bufr")
    with pytest.raises(UserError, match="source = 'prepbufr'"):
        observed(samples / "prepbufr/fixtures/prepqm89010112_1msg_per_type.prepbufr", VINTAGE, source='"wmo"')


def test_of_several_cycles_in_a_file_those_of_the_window_are_read(samples):
    path = samples / "cases/observations/mixed_cycles.prepbufr"
    whole = read_file(path)
    at_12, at_18 = (read_file(path, cycle=VINTAGE + timedelta(hours=hours)) for hours in (0, 6))
    assert at_12.elsewhere == at_18.elsewhere == 875 == subsets(path) - 875
    both = read_file(path, cycle=VINTAGE + timedelta(hours=3))
    assert both.elsewhere == 0
    seconds = np.concatenate([both.cycles(reports, VINTAGE) for reports in whole.reports.values()])
    assert set(seconds) == {int(VINTAGE.timestamp()), int(VINTAGE.timestamp()) + 6 * 3600}
    with pytest.raises(BufrError, match="holds the reports of 89-01-01 12:00 UTC, expected 1989010200"):
        read_file(path, cycle=VINTAGE + timedelta(hours=12))


def test_three_hourly_analyses_take_six_hourly_files(samples):
    """At 15 UTC, half of the window of two files, each row at its own time."""
    path = samples / "cases/observations/mixed_cycles.prepbufr"
    time = VINTAGE + timedelta(hours=3)
    found = observed(path, time, window_hours="[-1.5, 1.5]")
    offset = (found.time - int(time.timestamp())) / 3600
    inside = np.isin(found.flag, (Flag.passed, Flag.monitored))
    assert (offset[found.flag == Flag.passed] < 0).any() and (offset[found.flag == Flag.passed] > 0).any()
    assert (np.abs(offset[inside & (found.message_type != b"ADPUPA")]) <= 1.5).all()
    assert (found.flag == Flag.out_of_window).any()


def test_damaged_messages_are_skipped_and_counted_where_research_allows(samples, tmp_path, caplog):
    data = bytearray((samples / "prepbufr/fixtures/prepqm89010112_1msg_per_type.prepbufr").read_bytes())
    victim = next(message for message in scan(bytes(data), "x") if not message.is_table)
    data[victim.data_start : victim.data_start + 2] = b"\0\1"
    path = tmp_path / "damaged"
    path.write_bytes(data)
    with pytest.raises(UserError, match=f"message {victim.number}"):
        observed(path, VINTAGE)
    assert len(observed(path, VINTAGE, damaged='"skip"')) > 0
    assert "1 messages were left out" in caplog.text
