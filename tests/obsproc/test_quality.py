"""Every row keeps exactly one reason, the first in the order of precedence; stations are withheld for good."""

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.variables import Flag, Quantity
from obsproc import convert, quality
from obsproc.prepbufr import Candidates
from tests.builders import TIME, observations
from tests.obsproc.cases import VINTAGE, observed

WINDOW = (TIME - timedelta(hours=3), TIME + timedelta(hours=3))
START = int(TIME.timestamp())


def checked(value=270.0, category=1, place_mark=2, level=0, max_mark=3, **columns):
    table = observations(value, **columns)
    n = len(table)
    candidates = Candidates(table, np.broadcast_to(level, n), np.full(n, category), np.full(n, place_mark),
                            np.full(n, 280.0), table.time)
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
    ({"quality": 2, "place_mark": 8}, Flag.bad_mark),
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


def test_a_relative_humidity_is_held_against_the_limit_itself():
    chosen = dict(quantity=Quantity.relative_humidity, temperature=np.nan)
    assert humid([1.19], **chosen) == [Flag.passed] and humid([1.21], **chosen) == [Flag.out_of_range]


def test_quantities_that_are_not_used_are_monitored():
    table = observations([1.0, 1.0, 1.0], quantity=[3, 6, 6], flag=[Flag.passed, Flag.passed, Flag.bad_mark])
    assert quality.monitor(table, [Quantity.temperature]).flag.tolist() == [Flag.passed, Flag.monitored, Flag.bad_mark]


def humid(value, temperature, limit=1.2, pressure=85_000.0, quantity=Quantity.specific_humidity):
    table = observations(value, quantity=quantity, pressure=pressure)
    plain = Candidates(table, np.zeros(1, int), np.ones(1), np.full(1, 2), np.full(1, temperature), table.time)
    return quality.check_humidity(plain, table, limit).flag.tolist()


@given(st.floats(200, 310), st.floats(1000, 100_000), st.floats(1.0, 1.5), st.floats(0.5, 2.0))
def test_humidity_beyond_so_many_times_saturation_is_impossible(temperature, pressure, limit, times):
    most = convert.most_humidity(np.array(temperature), np.array(pressure))
    if np.isfinite(most) and abs(times - limit) > 1e-6:
        expected = Flag.out_of_range if times > limit else Flag.passed
        assert humid(times * most, temperature, limit, pressure) == [expected]


def test_without_a_temperature_humidity_is_not_judged_and_other_quantities_never_are():
    assert humid(0.03, np.nan) == [Flag.passed] and humid(0.03, 250.0) == [Flag.out_of_range]
    assert humid(250.0, 250.0, quantity=Quantity.temperature) == [Flag.passed]
    assert humid(0.03, 250.0, quantity=Quantity.specific_humidity_2m) == [Flag.out_of_range]


def test_humidity_high_up_is_monitored():
    table = observations(np.full(4, 1e-5), quantity=[5, 5, 5, 3], pressure=[30_000.0, 29_900.0, 85_000.0, 20_000.0])
    assert (quality.monitor_above(table, 30_000.0).flag == Flag.monitored).tolist() == [False, True, False, False]


def test_no_humidity_of_the_reanalysis_passes_above_300_hpa_and_no_error_is_larger_than_its_humidity_can_be(samples):
    found = observed(samples / "prepbufr/prepqm89010112", VINTAGE)
    high = found.select((found.quantity == Quantity.specific_humidity) & (found.pressure < 30_000))
    assert (high.flag == Flag.monitored).sum() == 300 and not (high.flag == Flag.passed).any()
    assert np.nanmax(high.error) < 3e-3  # 20 % of saturation at 300 hPa and 0 °C; by 1/p it was 0.012


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
