"""The table at the end of the log: its numbers are those of the departures."""

import numpy as np

from contracts.variables import Flag, Quantity
from obsoperator import accounts
from obsoperator.departures import BackgroundCheck, first_guess
from tests import builders


def departures():
    """Two temperatures used (O−B 3 and 4, O−A 1 and −1), one gross error, one wind withheld."""
    table = builders.observations([3.0, 4.0, 900.0, 5.0], [3, 3, 3, 1], error=1.0,
                                  flag=[Flag.passed, Flag.passed, Flag.passed, Flag.withheld])
    background = np.tile([-2.0, 0.0, 2.0], (4, 1))
    first = first_guess(table, background, np.full((4, 3), 1e9), np.zeros(4, np.int8), BackgroundCheck())
    return first.with_analysis(np.array([[2.0], [5.0], [0.0], [0.0]]) + [-0.5, 0.0, 0.5])


def test_counts_fit_and_spread():
    lines = accounts.observations_table(departures())
    cells = {line.split()[0]: line.split()[1:] for line in lines[1:3]}
    rms = f"{np.sqrt(12.5):.4g}"
    assert cells["temperature"] == ["3", "2", rms, "1", "2", "0.5", "K"]
    assert cells["u_component_of_wind"][:2] == ["1", "0"]
    assert lines[3] == "4 observations: assimilated 2, withheld 1, gross_error 1"
    assert lines[4:] == ["  not assimilated of u_component_of_wind: withheld 1",
                         "  not assimilated of temperature: gross_error 1"]


def test_every_row_is_in_the_table():
    lines = accounts.observations_table(departures())
    assert sum(int(line.split()[1]) for line in lines[1:3]) == 4


def test_without_observations_it_says_so():
    none = departures().select(np.zeros(4, bool))
    assert accounts.observations_table(none) == ["no observations"]


def test_quantities_are_named_as_in_the_vocabulary():
    assert all(line.split()[0] in Quantity.__members__ for line in accounts.observations_table(departures())[1:3])
