"""Channels, spaces, times and the words of flags and quantities."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import times
from contracts.errors import UserError
from contracts.grid import Grid
from contracts.state import StateSpace
from contracts.variables import VARIABLES, Channel, Flag, Quantity, of_kind
from tests import builders


def test_channel_names_are_weatherbench_names_with_hectopascals():
    assert Channel("temperature", 85_000.0).name == "temperature_850"
    assert Channel.surface("2m_temperature").name == "2m_temperature"


def test_unknown_variables_and_levels_at_the_surface_are_refused():
    with pytest.raises(ValueError, match="unknown variable 'temprature'"):
        Channel("temprature", 85_000.0)
    with pytest.raises(ValueError, match="no surface channel"):
        Channel.surface("temperature")


def test_a_space_orders_levels_by_pressure_and_counts_channels():
    space = builders.space(levels=(92_500.0, 50_000.0))
    assert list(space.levels("temperature")) == [50_000.0, 92_500.0]
    assert space.shape == (5 * 2 + 4, 8, 16)
    assert "surface_pressure" in space and "2m_specific_humidity" not in space


def test_spaces_are_equal_by_content_only():
    assert builders.space() == builders.space()
    assert builders.space() != builders.space(4, 8)
    with pytest.raises(ValueError, match="ascending order"):
        StateSpace(Grid.regular(2, 4), (Channel("temperature", 8e4), Channel("temperature", 5e4)))


def test_codes_of_files_never_change():
    """Files of other years hold these numbers."""
    assert [q.value for q in Quantity] == list(range(1, 14))
    assert [f.value for f in Flag] == list(range(22))
    assert all(q.units for q in Quantity)


def test_a_quantity_is_of_the_surface_where_its_field_is_and_has_its_units_unless_it_is_made_of_it():
    made = (Quantity.geopotential_height, Quantity.relative_humidity)
    for quantity in Quantity:
        assert VARIABLES[quantity.variable].on_levels != quantity.at_surface
        assert (quantity.units == VARIABLES[quantity.variable].units) == (quantity not in made)
        assert all(field in VARIABLES for field in quantity.fields)


@pytest.mark.parametrize("quantity", Quantity)
def test_every_quantity_has_a_range_and_is_of_one_kind(quantity):
    low, high = quantity.valid_range
    assert low < high and quantity in of_kind(quantity.kind)


def test_geopotential_at_1_hpa_is_a_sane_one():
    """4.65e5 m2 s-2, some 48 km high, is no forecast that has diverged."""
    low, high = VARIABLES["geopotential"].valid_range
    assert low < -1000 < 4.65e5 < high


def test_valid_ranges_hold_the_climate_of_the_tests():
    for name, (mean, spread) in builders.CLIMATE.items():
        low, high = VARIABLES[name].valid_range
        assert low < mean - 5 * spread and mean + 5 * spread < high


@given(st.integers(0, 4_000_000))
def test_time_names_round_trip(hours):
    time = times.from_seconds(hours * 3600)
    assert times.parse(times.name(time)) == time
    assert times.from_seconds(times.to_seconds(time)) == time


@pytest.mark.parametrize("text", ["1989-01-01", "198901016", "1989013206", "now"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(UserError, match="expected YYYYMMDDHH"):
        times.parse(text)
