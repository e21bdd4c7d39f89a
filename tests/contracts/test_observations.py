"""The column `count` may be left out, of a call and of a file; times fall into slots around the cycle's time."""

from datetime import timedelta

import netCDF4
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import observations, times
from contracts.errors import ContractError
from contracts.observations import Departures, Source
from tests import builders

WINDOW = (builders.TIME - timedelta(hours=3), builders.TIME + timedelta(hours=3))
SOURCE = Source(builders.TIME, WINDOW, slot_seconds=7200)


def test_a_row_stands_for_itself_unless_said_otherwise():
    assert builders.observations([1.0, 2.0]).count.tolist() == [1, 1]
    assert builders.observations([1.0, 2.0], count=[1, 5]).count.tolist() == [1, 5]
    assert builders.observations(np.zeros(0)).count.shape == (0,)


def test_departures_carry_the_count():
    table = builders.observations([1.0, 2.0], count=[1, 5])
    rows = {name: getattr(table, name) for name in table.__dataclass_fields__}
    assert Departures(**rows, background_mean=[0, 0], background_spread=[0, 0], analysis_mean=[0, 0],
                      analysis_spread=[0, 0]).count.tolist() == [1, 5]


def test_no_other_column_may_be_left_out_and_none_be_a_number():
    table = builders.observations([1.0, 2.0])
    with pytest.raises(ValueError, match=r"column lat must have shape \(2,\)"):
        table.with_columns(lat=3.0)
    with pytest.raises(ValueError, match=r"column count must have shape \(2,\)"):
        table.with_columns(count=[1, 2, 3])


@pytest.mark.parametrize(("column", "number"), [("type", 70_000), ("quality", 200), ("report", 2**31), ("count", 1e12),
                                                ("type", 120.5), ("quality", np.nan), ("time", 1e30)])
def test_a_number_that_its_column_cannot_hold_is_refused_not_changed(column, number):
    with pytest.raises(ValueError, match=f"column {column} must hold whole numbers of .* in row 1"):
        builders.observations([1.0, 2.0], **{column: np.array([1.0, number])})


def test_a_file_with_such_a_number_is_one_sentence(tmp_path):
    path = tmp_path / "observations.nc"
    observations.write(path, builders.observations([1.0, 2.0]), SOURCE)
    with netCDF4.Dataset(path, "a") as dataset:
        dataset.renameVariable("type", "narrow")
        dataset.createVariable("type", "i4", ("obs",))[:] = [120, 70_000]
    with pytest.raises(ContractError, match="observations.nc: column type must hold whole numbers of 16 bits"):
        observations.read(path)


def without(path, name):
    """A written file as one before the column was."""
    observations.write(path, builders.observations([1.0, 2.0], count=[2, 3]), SOURCE)
    with netCDF4.Dataset(path, "r+") as dataset:
        dataset.renameVariable(name, "unknown")
    return path


def test_a_file_without_the_count_is_read_as_rows_that_stand_for_themselves(tmp_path):
    assert observations.read(without(tmp_path / "o.nc", "count"))[0].count.tolist() == [1, 1]
    with pytest.raises(ContractError, match="has no column 'lat'"):
        observations.read(without(tmp_path / "o.nc", "lat"))


def test_a_file_keeps_the_length_of_its_slots_and_an_old_one_has_hours(tmp_path):
    path = tmp_path / "o.nc"
    observations.write(path, builders.observations([1.0]), SOURCE)
    assert observations.read(path)[1] == SOURCE
    with netCDF4.Dataset(path, "r+") as dataset:
        dataset.delncattr("slot_seconds")
    assert observations.read(path)[1].slot_seconds == 3600


@given(st.integers(-10**6, 10**6), st.integers(60, 86_400))
def test_a_slot_is_centred_on_whole_slots_from_the_cycle(seconds, length):
    source = Source(builders.TIME, WINDOW, slot_seconds=length)
    slot = int(source.slot(np.array([times.to_seconds(builders.TIME) + seconds]))[0])
    assert -length <= 2 * (seconds - slot * length) < length


def test_a_largest_departure_is_written_where_a_row_has_one(tmp_path):
    plain = builders.observations(np.zeros(2))
    for name, table in (("plain", plain), ("limited", plain.with_columns(largest_departure=np.array([2.0, np.nan])))):
        observations.write(tmp_path / name, table, SOURCE)
        np.testing.assert_array_equal(observations.read(tmp_path / name)[0].largest_departure, table.largest_departure)
    with netCDF4.Dataset(tmp_path / "plain") as dataset:
        assert "largest_departure" not in dataset.variables
