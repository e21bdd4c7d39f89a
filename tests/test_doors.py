"""Any bytes, types and attributes give a table or one sentence, within seconds and megabytes, at every door."""

import h5py
import pytest

from contracts.errors import UserError
from obsproc import ioda, table
from tests import doors

MUTANTS = 60  # of each door; `make campaign` takes a thousand


@pytest.mark.parametrize("name", doors.doors())
def test_whatever_comes_through_a_door_is_taken_or_told(tmp_path, name):
    found = doors.look(tmp_path, name, seed=1, mutants=MUTANTS)
    assert not found.faults, "\n".join(found.faults[:5])
    assert found.refused + found.taken == MUTANTS and found.refused > 0
    assert found.megabytes < doors.MEGABYTES


@pytest.mark.parametrize(("cell", "words"), [
    ("x" * 1000, "line 3: has a cell of 1000 characters, expected at most 200"), ("x" * 200_000, "field larger than"),
    ('"x', "a quote is not closed")])
def test_a_cell_that_never_ends_is_one_sentence(tmp_path, cell, words):
    path = tmp_path / "list.csv"
    doors.made_list(path)
    lines = path.read_text().splitlines()
    lines[2] = lines[2].replace("09393", cell)
    path.write_text("\n".join(lines))
    with pytest.raises(UserError, match=f"list.csv.*{words}"):
        table.read_file(path)


def test_units_of_time_that_are_none_and_a_time_that_is_a_number_are_told(tmp_path):
    path = tmp_path / "list.nc"
    doors.made_table(path)
    with h5py.File(path, "a") as file:
        file["time"].attrs["units"] = "seconds since yesterday"
    with pytest.raises(UserError, match="list.nc: is no readable NetCDF file"):
        table.read_file(path)
    path = tmp_path / "ioda.nc"
    doors.made_ioda(path)
    with h5py.File(path, "a") as file:
        file.attrs["datetimeReference"] = 2020110112
    with pytest.raises(UserError, match="ioda.nc: .*2020110112.* is not a time such as 2020-11-01T12:00:00Z"):
        ioda.import_file(path)
