"""Conversions against reference values and their inverses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.constants import MOLAR_MASS_RATIO
from obsproc import convert


@given(st.floats(200, 320), st.floats(0, 0.04))
def test_sensible_temperature_undoes_the_definition_of_virtual(temperature, humidity):
    """Tv is the temperature of dry air with the density of the moist air: R_d Tv = (R_d (1 - q) + R_v q) T."""
    virtual = temperature * ((1 - humidity) + humidity / MOLAR_MASS_RATIO)
    assert convert.sensible_temperature(virtual, humidity) == pytest.approx(temperature, rel=1e-12)


@pytest.mark.parametrize(("celsius", "vapour_hpa"), [(-40, 0.1891), (-20, 1.2540), (0, 6.1078), (20, 23.373),
                                                     (40, 73.777)])
def test_saturation_is_that_of_the_smithsonian_tables(celsius, vapour_hpa):
    """Over water, to half a percent (1 % at -40 °C), at 1000 hPa: q_s = ε e / (p - (1 - ε) e)."""
    expected = MOLAR_MASS_RATIO * vapour_hpa / (1000 - (1 - MOLAR_MASS_RATIO) * vapour_hpa)
    found = convert.saturation_humidity(np.array([celsius + 273.15]), np.array([1e5]))
    assert found[0] == pytest.approx(expected, rel=0.01 if celsius == -40 else 0.005)


@pytest.mark.parametrize(("celsius", "vapour_hpa"), [(-80, 5.472e-4), (-60, 0.01080), (-40, 0.1283)])
def test_in_the_cold_air_holds_what_the_smithsonian_tables_give_over_ice(celsius, vapour_hpa):
    expected = MOLAR_MASS_RATIO * vapour_hpa / (300 - (1 - MOLAR_MASS_RATIO) * vapour_hpa)
    found = convert.most_humidity(np.array([celsius + 273.15]), np.array([3e4]))
    assert found[0] == pytest.approx(expected, rel=0.01)


def test_air_holds_saturation_over_water_when_warm_and_ever_more_the_warmer_it_is():
    temperature, pressure = np.linspace(190, 310, 241), np.full(241, 5e4)
    most, over_water = convert.most_humidity(temperature, pressure), convert.saturation_humidity(temperature, pressure)
    assert (most[temperature >= 253.15] == over_water[temperature >= 253.15]).all()
    assert (most <= over_water * (1 + 1e-12)).all() and (np.diff(most) > 0).all()


def test_a_humidity_error_does_not_grow_with_height_above_300_hpa():
    found = convert.humidity_error(np.full(4, 0.2), np.full(4, 230.0), np.array([5e4, 3e4, 1e4, 6e2]))
    assert found[0] == pytest.approx(0.2 * convert.saturation_humidity(np.array(230.0), np.array(5e4)))
    assert found[0] < found[1] == found[2] == found[3]


def test_no_saturation_where_water_would_boil():
    assert np.isnan(convert.saturation_humidity(np.array([373.15]), np.array([9e4]))).all()


@given(st.floats(-720, 720))
def test_longitudes_come_to_lie_on_the_circle(degrees):
    wrapped = float(convert.longitude(np.array(degrees)))
    assert 0 <= wrapped < 360
    assert np.cos(np.deg2rad(wrapped - degrees)) == pytest.approx(1, abs=1e-9)
