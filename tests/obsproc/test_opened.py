"""A PREPBUFR file as a table for others says what the file says: every value, every event, by its own names."""

import subprocess
import sys

import numpy as np
import pytest
from pyarrow import parquet

import obsproc
from contracts.errors import UserError
from obsproc import inventory
from obsproc.__main__ import main
from obsproc.bufr.files import read_file


@pytest.fixture(scope="module")
def path(samples):
    return samples / "prepbufr/fixtures/gdas2020110112_adpupa_3msg.prepbufr"


def test_every_current_value_is_a_cell_of_its_level(path):
    """Counts and sums by mnemonic are those that `inspect` prints, which are NCEP's."""
    frame = obsproc.open_prepbufr(path).pandas()
    expected = inventory.statistics(read_file(path).reports["ADPUPA"])
    for name in ("POB", "TOB", "QOB", "UOB", "ZOB", "TQM", "XDR"):
        assert frame[name].notna().sum() == expected[name]["n"]
        assert frame[name].sum() == pytest.approx(expected[name]["sum"])


def test_numbers_are_handed_on_without_a_copy(path):
    opened = obsproc.open_prepbufr(path)
    level = opened.decoded.reports["ADPUPA"].level["POB"]
    assert np.shares_memory(opened.levels("ADPUPA")["POB"], level)
    assert np.shares_memory(opened.arrow().column("POB").chunk(0).to_numpy(), level)


def test_a_level_has_the_station_type_and_time_of_its_report(path):
    opened = obsproc.open_prepbufr(path)
    frame, reports = opened.pandas(), opened.decoded.reports["ADPUPA"]
    assert (frame["SID"] == np.char.decode(reports.header["SID"])[frame["report"]]).all()
    drift = np.where(np.isfinite(frame["HRDR"]), frame["HRDR"], frame["DHR"])
    seconds = (frame["TIME"] - np.datetime64("2020-11-01T12:00:00")) / np.timedelta64(1, "s")
    np.testing.assert_allclose(seconds, np.rint(drift * 3600))


def test_all_events_of_a_stack_are_rows(path):
    opened = obsproc.open_prepbufr(path)
    reports, events = opened.decoded.reports["ADPUPA"], opened.events("ADPUPA", "T__EVENT")
    assert len(events["level"]) == reports.depth["T__EVENT"].sum()
    current = events["depth"] == 0
    np.testing.assert_array_equal(events["TOB"][current], reports.level["TOB"][events["level"][current]])
    deeper = reports.events["T__EVENT"]
    np.testing.assert_array_equal(events["TOB"][~current], deeper.columns["TOB"])
    assert (np.diff(events["level"]) >= 0).all()


def test_a_long_table_has_a_row_for_each_number_in_si(samples):
    """Counts and sums are those of `inspect`, pressures but for levels; places drift, reports do not."""
    path = samples / "prepbufr" / "ADPUPA.prepbufr.110msg"
    opened = obsproc.open_prepbufr(path)
    frame, expected = opened.pandas(names="earth2studio"), inventory.statistics(opened.decoded.reports["ADPUPA"])
    for variable, name, factor, offset in (("u", "UOB", 1, 0), ("t", "TOB", 1, 273.15), ("q", "QOB", 1e-6, 0)):
        rows = frame[frame["variable"] == variable]
        assert len(rows) == expected[name]["n"]
        total = expected[name]["sum"] * factor + offset * len(rows)
        assert rows["observation"].astype(float).sum() == pytest.approx(total, rel=1e-6)
    pressures = frame[frame["variable"] == "pres"]
    assert 0 < len(pressures) <= opened.decoded.reports["ADPUPA"].subsets
    assert (pressures["observation"] == pressures["pres"]).all() and (pressures["level_cat"] == 0).all()
    flown = abs(frame["time"] - frame["report_time"]) / np.timedelta64(1, "h")
    assert (frame["lat"] != frame["report_lat"]).any() and 0.5 < flown.max() < 4
    assert (frame["report_time"] == frame["report_time"].dt.round("30min")).all()  # nominal, or half an hour before
    assert set(frame["class"]) == {"ADPUPA"} and set(frame["type"]) >= {120, 220}
    assert frame["time"].dtype == "datetime64[ns]" and frame["lat"].dtype == np.float32


def test_names_of_nnja_are_those_of_place_and_time(path):
    frame = obsproc.open_prepbufr(path).pandas(names="nnja")
    assert {"LAT", "LON", "OBS_TIMESTAMP", "MSG_TYPE", "TOB"} <= set(frame.columns) and "YOB" not in frame


def test_columns_may_be_called_by_words_and_chosen(path):
    opened = obsproc.open_prepbufr(path, mnemonics=["POB", "TOB", "XOB", "YOB"])
    frame = opened.pandas(names="words")
    assert {"lat", "lon", "time", "station", "pres", "type", "class", "temperature"} <= set(frame.columns)
    assert "QOB" not in opened.levels("ADPUPA") and (frame["class"] == "ADPUPA").all()


def test_message_types_stand_below_one_another(samples):
    file = obsproc.open_prepbufr(samples / "prepbufr/fixtures/prepqm89010112_1msg_per_type.prepbufr")
    frame = file.pandas()
    assert frame["TIME"].dt.year.isin([1988, 1989]).all() and set(frame["MSG_TYPE"]) == set(file.types)
    assert len(frame) == sum(reports.levels for reports in file.decoded.reports.values())


def test_what_is_not_there_is_one_sentence(path):
    with pytest.raises(UserError, match="has no message type SATWND; it has ADPUPA"):
        obsproc.open_prepbufr(path, ["SATWND"])
    with pytest.raises(UserError, match="has no stack 'X__EVENT'; it has"):
        obsproc.open_prepbufr(path).events("ADPUPA", "X__EVENT")


def test_the_command_writes_levels_or_events(path, tmp_path):
    main(["table", str(path), str(tmp_path / "levels.parquet"), "--names", "words"])
    main(["table", str(path), str(tmp_path / "events.parquet"), "--type", "ADPUPA", "--events", "T__EVENT"])
    levels, events = (parquet.read_table(tmp_path / f"{name}.parquet") for name in ("levels", "events"))
    opened = obsproc.open_prepbufr(path)
    assert levels.num_rows == len(opened.levels("ADPUPA")["POB"]) and "lat" in levels.column_names
    assert events.column_names[:2] == ["level", "depth"] and {"TOB", "TPC"} <= set(events.column_names)


def test_importing_the_package_loads_nothing_of_it():
    code = "import sys, obsproc; print([name for name in sys.modules if name.startswith(('obsproc.', 'numpy'))])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
