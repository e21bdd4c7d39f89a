"""Any bytes, types and attributes give a table or one sentence, within seconds and megabytes, at every door."""

import pytest

from tests import doors

MUTANTS = 60  # of each door; `make campaign` takes a thousand


@pytest.mark.parametrize("name", doors.doors())
def test_whatever_comes_through_a_door_is_taken_or_told(tmp_path, name):
    found = doors.look(tmp_path, name, seed=1, mutants=MUTANTS)
    assert not found.faults, "\n".join(found.faults[:5])
    assert found.refused + found.taken == MUTANTS and found.refused > 0
    assert found.megabytes < doors.MEGABYTES
