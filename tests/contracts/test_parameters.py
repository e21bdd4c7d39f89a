"""Parameters of a model in their file: written and read they are the same, and those of another model are refused."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from contracts import parameters
from contracts.errors import ContractError
from contracts.parameters import Parameter, Parameters
from tests.builders import TIME

OF = (Parameter("drag", "1", 1.0, 0.5, 2.0), Parameter("relaxation", "h", 6.0, 2.0, 12.0))
VALUES = np.array([[1.0, 6.0], [0.5, 12.0], [1.0 / 3.0 + 0.5, 2.0]])


@pytest.fixture
def path(tmp_path):
    written = tmp_path / "parameters.nc"
    parameters.write(written, Parameters(OF, VALUES), TIME, "e")
    return written


def test_written_and_read_they_are_the_same(path):
    found = parameters.read(path, TIME, members=3, of=OF)
    assert found.of == OF
    np.testing.assert_array_equal(found.values, VALUES)
    np.testing.assert_array_equal(found.select([3, 1]), VALUES[[2, 0]])
    assert parameters.read(path, TIME, members=3).of == OF  # who does not know the model finds what it has


@pytest.mark.parametrize(("other", "told"), [
    (OF[:1], "expected the parameters drag"),
    ((OF[1], OF[0]), "expected the parameters relaxation"),
    ((OF[0], replace(OF[1], units="s")), r"relaxation \[s\]"),
    ((replace(OF[0], high=3.0), OF[1]), "0.5 to 3"),
    ((), "of a model without any"),
])
def test_those_of_another_model_are_refused(path, other, told):
    with pytest.raises(ContractError, match=told):
        parameters.read(path, TIME, members=3, of=other)


def test_another_time_or_number_of_members_is_refused(path):
    with pytest.raises(ContractError, match="1989010112, got 1989010106"):
        parameters.read(path, TIME + timedelta(hours=6), members=3)
    with pytest.raises(ContractError, match="of 4 members, got 3"):
        parameters.read(path, TIME, members=4)


@pytest.mark.parametrize("value", [0.4, 2.1, np.nan])
def test_a_value_out_of_range_is_none(value):
    with pytest.raises(ValueError, match=r"expected drag \[1\] in 0.5 to 2, got .* of member 2"):
        Parameters(OF, np.array([[1.0, 6.0], [value, 6.0]]))


def test_what_is_beyond_a_range_is_moved_to_its_end():
    moved = parameters.within(OF, np.array([[0.1, 3.0], [1.0, 13.0]]))
    np.testing.assert_array_equal(moved, [[0.5, 3.0], [1.0, 12.0]])


def test_a_usual_value_out_of_range_is_no_parameter():
    with pytest.raises(ValueError, match="must lie in its range"):
        Parameter("drag", "1", 3.0, 0.5, 2.0)
