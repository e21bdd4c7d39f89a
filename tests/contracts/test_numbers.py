"""Numbers kept from time to time: what is read is what was written, of the time it was written for."""

from datetime import timedelta

import pytest

from contracts import numbers
from contracts.errors import ContractError
from tests.builders import TIME

KEPT = {"alpha": 0.1, "share": 1 / 3}


def test_numbers_are_read_as_they_were_written(tmp_path):
    numbers.write(tmp_path / "carried.nc", KEPT, TIME)
    assert numbers.read(tmp_path / "carried.nc", KEPT, TIME) == KEPT


def test_what_is_not_there_or_of_another_time_is_refused(tmp_path):
    path = tmp_path / "carried.nc"
    numbers.write(path, {"alpha": 0.1}, TIME)
    with pytest.raises(ContractError, match="expected a finite number 'share', got none"):
        numbers.read(path, KEPT, TIME)
    with pytest.raises(ContractError, match="expected numbers of 1989010112, got 1989010106"):
        numbers.read(path, ["alpha"], TIME + timedelta(hours=6))
    with pytest.raises(ContractError, match="no such file"):
        numbers.read(tmp_path / "other.nc", ["alpha"], TIME)


def test_a_number_that_is_not_finite_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="alpha must be finite, got nan"):
        numbers.write(tmp_path / "carried.nc", {"alpha": float("nan")}, TIME)
    assert not list(tmp_path.iterdir())
