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


def test_no_saturation_where_water_would_boil():
    assert np.isnan(convert.saturation_humidity(np.array([373.15]), np.array([9e4]))).all()


@given(st.floats(-720, 720))
def test_longitudes_come_to_lie_on_the_circle(degrees):
    wrapped = float(convert.longitude(np.array(degrees)))
    assert 0 <= wrapped < 360
    assert np.cos(np.deg2rad(wrapped - degrees)) == pytest.approx(1, abs=1e-9)
