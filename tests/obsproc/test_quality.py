"""Every row keeps exactly one reason, the first in the order of precedence; stations are withheld for good."""

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.variables import Flag, Quantity
from obsproc import quality
from obsproc.prepbufr import Candidates
from tests.builders import TIME, observations

WINDOW = (TIME - timedelta(hours=3), TIME + timedelta(hours=3))
START = int(TIME.timestamp())


def checked(value=270.0, category=1, pressure_mark=2, level=0, max_mark=3, **columns):
    table = observations(value, **columns)
    n = len(table)
    candidates = Candidates(table, np.broadcast_to(level, n), np.full(n, category), np.full(n, pressure_mark),
                            np.full(n, 0.01))
    return quality.check(candidates, WINDOW, max_mark).flag


@pytest.mark.parametrize(("given_columns", "flag"), [
    ({}, Flag.passed),
    ({"time": TIME + timedelta(hours=3)}, Flag.passed),  # both ends belong to the window
    ({"time": TIME + timedelta(hours=3, seconds=1)}, Flag.out_of_window),
    ({"time": TIME - timedelta(hours=3, seconds=1)}, Flag.out_of_window),
    ({"category": quality.AUXILIARY_LEVEL}, Flag.auxiliary_level),
    ({"value": 400.0}, Flag.out_of_range),
    ({"value": -0.03, "quantity": Quantity.specific_humidity}, Flag.out_of_range),
    ({"value": -1e-3, "quantity": Quantity.specific_humidity}, Flag.passed),  # noise about a small one
    ({"quality": 3}, Flag.passed),
    ({"quality": 4}, Flag.bad_mark),
    ({"quality": 2, "pressure_mark": 8}, Flag.bad_mark),
    ({"quality": -1}, Flag.missing_mark),
    ({"quality": 15, "category": quality.AUXILIARY_LEVEL}, Flag.auxiliary_level),
    ({"flag": Flag.missing_position, "quality": 15}, Flag.missing_position),
])
def test_a_row_gets_the_first_reason_that_holds(given_columns, flag):
    assert checked(**given_columns).tolist() == [flag]


def test_an_impossible_component_condemns_the_whole_wind_and_nothing_else():
    wind = [Quantity.u_component_of_wind, Quantity.v_component_of_wind]
    flags = checked(value=[10.0, 999.0, 10.0, 10.0], quantity=wind + wind, level=[0, 0, 1, 1])
    assert flags.tolist() == [Flag.out_of_range, Flag.out_of_range, Flag.passed, Flag.passed]


@pytest.mark.parametrize("quantity", Quantity)
def test_every_quantity_has_a_range(quantity):
    low, high = quality.valid_range(quantity)
    assert low < high


def test_quantities_that_are_not_used_are_monitored():
    table = observations([1.0, 1.0, 1.0], quantity=[3, 6, 6], flag=[Flag.passed, Flag.passed, Flag.bad_mark])
    assert quality.monitor(table, [Quantity.temperature]).flag.tolist() == [Flag.passed, Flag.monitored, Flag.bad_mark]


STATIONS = observations(np.zeros(2000), station=np.array([f"{i:05d}" for i in range(2000)], dtype="S8"))


def withheld(share, seed=1, table=STATIONS):
    return quality.withhold(table, share, ["ADPUPA"], seed).flag == Flag.withheld


@given(st.floats(0, 1), st.floats(0, 1), st.integers(0, 100))
def test_a_larger_share_withholds_the_same_stations_and_more(a, b, seed):
    small, large = sorted([a, b])
    assert not (withheld(small, seed) & ~withheld(large, seed)).any()


@given(st.floats(0, 1), st.integers(0, 2**63 - 1))
def test_about_the_share_is_withheld(share, seed):
    """Within five standard deviations of a binomial."""
    assert abs(withheld(share, seed).mean() - share) <= 5 * np.sqrt(share * (1 - share) / 2000) + 1e-3


def test_a_station_is_withheld_whatever_stands_beside_it():
    order = np.random.default_rng(0).permutation(2000)[:500]
    np.testing.assert_array_equal(withheld(0.3)[order], withheld(0.3, table=STATIONS.select(order)))


def test_another_seed_withholds_other_stations_and_other_message_types_none():
    assert (withheld(0.3, seed=1) != withheld(0.3, seed=2)).any()
    ships = STATIONS.with_columns(message_type=np.full(2000, b"SFCSHP"))
    assert not withheld(1.0, table=ships).any()


@pytest.mark.parametrize(("value", "elevation", "flag"), [
    (101_325.0, 0.0, Flag.passed),
    (61_640.0, 4000.0, Flag.passed),  # the standard atmosphere
    (62_400.0, 3488.0, Flag.passed),  # Vostok: cold, so low for its height
    (87_000.0, 0.0, Flag.passed),  # typhoon Tip, the lowest on record
    (108_940.0, 0.0, Flag.passed),  # Tosontsengel, the highest reduced to sea level
    (84_900.0, 0.0, Flag.out_of_range),
    (110_100.0, 0.0, Flag.out_of_range),
    (101_325.0, 1500.0, Flag.out_of_range),  # sea level pressure given as that of the station
    (70_000.0, 0.0, Flag.out_of_range),  # a height that is missing written as zero
])
def test_a_station_pressure_fits_the_height_of_the_station(value, elevation, flag):
    table = observations(value, quantity=Quantity.surface_pressure, elevation=elevation)
    assert quality.check_station_pressure(table, (85_000.0, 110_000.0)).flag.tolist() == [flag]


def test_only_station_pressures_are_checked_against_the_height():
    table = observations([270.0, 270.0], quantity=[Quantity.temperature_2m, Quantity.temperature], elevation=5000.0)
    assert quality.check_station_pressure(table, (85_000.0, 110_000.0)).flag.tolist() == [Flag.passed] * 2
