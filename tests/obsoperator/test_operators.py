"""H(x): exact where the fields are of the interpolated kind, flagged where the model has nothing to say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.constants import GRAVITY, VIRTUAL_FACTOR
from contracts.grid import Grid
from contracts.humidity import saturation
from contracts.state import StateSpace
from contracts.static import Static
from contracts.variables import Flag, Quantity
from obsoperator import OPERATORS, Forward
from tests import builders

LEVELS = (50_000.0, 70_000.0, 85_000.0, 92_500.0)
SPACE = builders.space(levels=LEVELS)
FIELDS = [quantity for quantity in Quantity if quantity not in (
    Quantity.virtual_temperature, Quantity.geopotential_height, Quantity.surface_pressure,
    Quantity.specific_humidity_2m, Quantity.wind_speed, Quantity.relative_humidity)]  # fields of the states here
SURFACE = [quantity for quantity in Quantity if quantity.at_surface]


def operator(table, space=SPACE, orography=0.0, limit=300.0) -> Forward:
    static = Static(space.grid, np.full(space.grid.shape, orography), np.zeros(space.grid.shape))
    return Forward.of(table, space, static, limit)


def state_of(function, space=SPACE) -> np.ndarray:
    """(channel, column) with function(lat, lon, ln p)."""
    lat, lon = space.grid.column_lat, space.grid.column_lon
    return np.stack([function(lat, lon, np.log(p)) for p in space.pressure])


def test_every_quantity_has_an_operator():
    assert set(OPERATORS) == set(Quantity)


def piecewise(lat, lon, ln_p):
    """Bilinear between grid points, periodic in longitude (kinks at 0 and 180°E), linear in ln p."""
    ramp = 180.0 - np.abs(np.mod(lon, 360.0) - 180.0)
    return 1.0 + 0.1 * lat - 0.02 * ramp + 0.001 * lat * ramp + ln_p * (2.0 - 0.03 * lat + 0.01 * ramp)


@given(st.floats(SPACE.grid.lat[0], SPACE.grid.lat[-1]), st.floats(-180, 540), st.floats(LEVELS[0], LEVELS[-1]))
def test_interpolation_is_exact_for_bilinear_fields_linear_in_ln_p(lat, lon, pressure):
    table = builders.observations(np.zeros(4), [1, 2, 3, 5], lat=lat, lon=np.mod(lon, 360.0), pressure=pressure)
    expected = piecewise(lat, lon, np.log(pressure))
    np.testing.assert_allclose(operator(table).apply(state_of(piecewise)), expected, rtol=1e-10, atol=1e-9)


def test_levels_are_inclusive_at_the_top_and_at_the_bottom():
    table = builders.observations(np.zeros(4), pressure=[50_000.0, 92_500.0, 49_999.0, 92_501.0], lat=10.0, lon=20.0)
    H = operator(table)
    assert H.flag.tolist() == [Flag.passed, Flag.passed, Flag.out_of_domain, Flag.below_ground]
    x = state_of(piecewise)
    expected = piecewise(10.0, 20.0, np.log(table.pressure[:2]))
    np.testing.assert_allclose(H.apply(x)[:2], expected, rtol=1e-10)
    assert np.isnan(H.apply(x)[2:]).all()


@pytest.mark.parametrize("quantity", FIELDS)
def test_agrees_with_the_grid_stencil_at_levels_also_beyond_the_last_row(quantity):
    """White noise at exact levels, near both poles, where components of the wind change sign across."""
    x = builders.random_state(SPACE, seed=3).data.reshape(len(SPACE.channels), -1).astype(float)
    rng = np.random.default_rng(4)
    lat = np.concatenate([rng.uniform(-90, 90, 20), [90.0, -90.0, 88.0, -85.0]])
    lon = rng.uniform(0, 360, lat.size)
    table = builders.observations(np.zeros(lat.size), quantity=quantity, lat=lat, lon=lon, pressure=70_000.0)
    numbers = SPACE.index(quantity.variable)
    channel = SPACE.channels[numbers[1 if numbers.size > 1 else 0]]
    stencil = SPACE.grid.bilinear(lat, lon)
    interpolate = stencil.vector if channel.is_wind else stencil.scalar
    np.testing.assert_allclose(operator(table).apply(x), interpolate(x[SPACE.channels.index(channel)]), rtol=1e-12)


def test_geopotential_height_and_virtual_temperature():
    table = builders.observations(np.zeros(4), pressure=60_000.0, lat=-33.0, lon=211.0,
                                  quantity=[Quantity.geopotential_height, Quantity.virtual_temperature,
                                            Quantity.temperature, Quantity.specific_humidity])
    x = builders.random_state(SPACE).data.reshape(len(SPACE.channels), -1).astype(float)
    height, virtual, temperature, humidity = operator(table).apply(x)
    assert virtual == pytest.approx(temperature * (1 + VIRTUAL_FACTOR * humidity), rel=1e-12)
    x[SPACE.index("geopotential")] = 5000.0 * GRAVITY
    assert operator(table).apply(x)[0] == pytest.approx(5000.0, rel=1e-12)


def test_wind_speed_is_that_of_the_components_at_the_place_also_beyond_the_last_row():
    rng = np.random.default_rng(4)
    lat = np.concatenate([rng.uniform(-90, 90, 20), [90.0, -88.0]])
    table = builders.observations(np.zeros(3 * lat.size), quantity=np.repeat([1, 2, Quantity.wind_speed], lat.size),
                                  lat=np.tile(lat, 3), lon=np.tile(rng.uniform(0, 360, lat.size), 3), pressure=61_000.0)
    x = builders.random_state(SPACE, seed=3).data.reshape(len(SPACE.channels), -1).astype(float)
    u, v, speed = operator(table).apply(x).reshape(3, -1)
    np.testing.assert_allclose(speed, np.hypot(u, v), rtol=1e-12)


def test_relative_humidity_is_that_of_temperature_and_humidity_at_the_place():
    """Against the definition by mixing ratios, with the same vapour pressure at saturation (WMO-No. 8, 4.B)."""
    quantities = [Quantity.temperature, Quantity.specific_humidity, Quantity.relative_humidity]
    pressure = np.array([55_000.0, 70_000.0, 90_000.0])
    table = builders.observations(np.zeros(9), quantity=np.repeat(quantities, 3), lat=-33.0, lon=211.0,
                                  pressure=np.tile(pressure, 3))
    x = builders.random_state(SPACE).data.reshape(len(SPACE.channels), -1).astype(float)
    T, q, found = operator(table).apply(x).reshape(3, -1)
    vapour = 611.2 * np.exp(17.62 * (T - 273.15) / (T - 30.03))
    mixing = 0.62198 * vapour / (pressure - vapour)  # at saturation, kg per kg of dry air
    ratio = (q / (1 - q)) / mixing
    np.testing.assert_allclose(found, ratio * (0.62198 + mixing) / (0.62198 + ratio * mixing), rtol=1e-12)


def test_the_relative_humidity_of_saturated_air_is_one():
    table = builders.observations(np.zeros(1), quantity=Quantity.relative_humidity, pressure=70_000.0)
    x = np.zeros((len(SPACE.channels), SPACE.grid.size))
    x[SPACE.index("temperature")] = 280.0
    x[SPACE.index("specific_humidity")] = saturation(np.array(280.0), np.array(70_000.0))
    assert operator(table).apply(x) == pytest.approx(1.0, rel=1e-12)


def test_surface_quantities_are_compared_with_surface_fields_whatever_their_pressure():
    quantities = [q for q in SURFACE if q in FIELDS]
    table = builders.observations(np.zeros(len(quantities)), quantity=quantities, pressure=np.nan)
    x = np.zeros((len(SPACE.channels), SPACE.grid.size))
    for number, quantity in enumerate(quantities, start=1):
        x[SPACE.index(quantity.variable)] = number
    np.testing.assert_allclose(operator(table).apply(x), np.arange(len(quantities)) + 1.0, rtol=1e-12)


def test_a_station_far_from_the_models_orography_is_flagged_but_compared():
    table = builders.observations(np.zeros(3), quantity=Quantity.temperature_2m, elevation=[850.0, 1_400.0, np.nan])
    H = operator(table, orography=1_000.0)
    assert H.flag.tolist() == [Flag.passed, Flag.height_difference, Flag.passed]
    assert np.isfinite(H.apply(np.ones((len(SPACE.channels), SPACE.grid.size)))).all()


def test_no_field_and_no_position_are_reasons():
    bare = StateSpace.of(SPACE.grid, LEVELS, ("temperature",), ())
    n = len(Quantity)
    table = builders.observations(np.zeros(n + 3), quantity=[*Quantity, 3, 3, 7], lat=[0.0] * n + [np.nan, 0.0, 0.0],
                                  pressure=[60_000.0] * (n + 1) + [np.nan] * 2, elevation=[0.0] * (n + 2) + [np.nan])
    flags = operator(table, bare).flag
    assert [Quantity(q) for q in table.quantity[:n][flags[:n] == Flag.passed]] == [Quantity.temperature]
    assert (flags[:n][flags[:n] != Flag.passed] == Flag.no_model_field).all()
    assert flags[n:].tolist() == [Flag.missing_position, Flag.missing_position, Flag.no_model_field]
    assert operator(table).flag[n + 2] == Flag.missing_position


def test_ground_pressure_is_given_below_the_free_air_only():
    table = builders.observations(np.zeros(2), quantity=[Quantity.temperature, Quantity.temperature_2m])
    x = builders.random_state(SPACE).data.reshape(len(SPACE.channels), -1).astype(float)
    x[SPACE.index("surface_pressure")] = 98_000.0
    pressure = operator(table).ground_pressure(x)
    assert pressure[0] == pytest.approx(98_000.0) and np.isnan(pressure[1])


def test_one_row_of_a_grid_with_poles():
    space = StateSpace.of(Grid.regular(5, 8, poles=True), LEVELS, ("temperature",), ())
    table = builders.observations(np.zeros(2), lat=[90.0, -90.0], lon=[13.0, 200.0], pressure=92_500.0)
    x = np.full((4, space.grid.size), 250.0)
    np.testing.assert_allclose(operator(table, space).apply(x), 250.0, rtol=1e-12)
