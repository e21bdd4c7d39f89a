"""Laws of the vertical interpolation, on atmospheres whose fields are known everywhere."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.constants import GAS_CONSTANT_DRY, GRAVITY, LAPSE_RATE, VIRTUAL_FACTOR
from model_server.models.speedy import vertical

SIGMA = np.array([0.025, 0.095, 0.2, 0.34, 0.51, 0.685, 0.835, 0.95])
PRESSURE = np.array([50, 250, 500, 600, 700, 850, 925]) * 100.0


def columns(temperature, geopotential, surface_pressure, humidity=0.0, wind=0.0) -> vertical.SigmaColumns:
    """Model columns from functions of pressure (sigma, column) Pa."""
    ps = np.atleast_1d(np.asarray(surface_pressure, float))
    p = SIGMA[:, None] * ps

    def field(value):
        return value(p) if callable(value) else np.full(p.shape, value)

    return vertical.SigmaColumns(SIGMA, ps, field(temperature), field(humidity), field(wind), field(wind),
                                 field(geopotential))


def warming(humidity=0.0, lapse=LAPSE_RATE, ground=288.0):
    """T and Φ of a hydrostatic atmosphere of constant lapse rate with 1000 hPa at Φ = 0, as functions of pressure."""
    power = GAS_CONSTANT_DRY * lapse * (1 + VIRTUAL_FACTOR * humidity) / GRAVITY
    return (lambda p: ground * (p / 1e5) ** power,
            lambda p: GRAVITY / lapse * ground * (1 - (p / 1e5) ** power))


@given(st.floats(-40, 40), st.floats(-40, 40), st.floats(53_000, 106_000))
def test_wind_linear_in_ln_p_is_exact_between_the_levels(offset, slope, surface_pressure):
    def wind(p):
        return offset + slope * np.log(p / 5e4)

    atmosphere = columns(280.0, 0.0, surface_pressure, wind=wind)
    between = np.linspace(SIGMA[0], SIGMA[-1], 13) * surface_pressure
    found = vertical.to_pressure(atmosphere, between)["u_component_of_wind"][:, 0]
    np.testing.assert_allclose(found, wind(between), atol=1e-9)


def test_every_field_is_the_models_own_on_a_model_level():
    rng = np.random.default_rng(0)
    shape = (SIGMA.size, 1)
    fields = {name: rng.standard_normal(shape) for name in ("u_component_of_wind", "v_component_of_wind")}
    fields |= {"temperature": 250 + rng.random(shape), "specific_humidity": 1e-2 * rng.random(shape)}
    fields["geopotential"] = 1e5 * rng.random(shape)
    atmosphere = vertical.SigmaColumns(SIGMA, np.array([98_000.0]), **fields)
    found = vertical.to_pressure(atmosphere, SIGMA * 98_000.0)
    for name, field in fields.items():
        np.testing.assert_allclose(found[name], field, rtol=1e-10)


@pytest.mark.parametrize("humidity", [0.0, 0.015])
def test_below_the_lowest_level_the_standard_lapse_rate_is_exact(humidity):
    temperature, geopotential = warming(humidity)
    atmosphere = columns(temperature, geopotential, [70_000.0, 101_000.0], humidity=humidity, wind=7.0)
    below = np.array([96_500.0, 101_300.0, 104_000.0])
    found = vertical.to_pressure(atmosphere, below)
    np.testing.assert_allclose(found["temperature"], np.tile(temperature(below)[:, None], 2), rtol=1e-12)
    np.testing.assert_allclose(found["geopotential"], np.tile(geopotential(below)[:, None], 2), atol=1e-6)
    assert (found["u_component_of_wind"] == 7.0).all() and (found["specific_humidity"] == humidity).all()


def test_isothermal_air_is_exact_everywhere():
    atmosphere = columns(250.0, lambda p: -GAS_CONSTANT_DRY * 250.0 * np.log(p / 1e5), 100_000.0)
    above_and_between = np.array([100.0, 1_000.0, 5_000.0, 30_000.0, 90_000.0])
    found = vertical.to_pressure(atmosphere, above_and_between)
    expected = -GAS_CONSTANT_DRY * 250.0 * np.log(above_and_between / 1e5)
    np.testing.assert_allclose(found["geopotential"][:, 0], expected, atol=1e-6)
    np.testing.assert_allclose(found["temperature"], 250.0)


@pytest.mark.parametrize("surface_pressure", [60_000.0, 85_000.0, 103_000.0])
def test_output_is_hydrostatic(surface_pressure):
    """dΦ = -R Tv dln p from 20 to 1050 hPa, given that the model's levels obey it by the trapezoidal rule."""
    temperature, _ = warming(lapse=0.005)
    humidity = 0.01 * SIGMA[:, None] ** 3
    p = SIGMA[:, None] * surface_pressure
    tv = temperature(p) * (1 + VIRTUAL_FACTOR * humidity)
    layers = GAS_CONSTANT_DRY * (tv[1:] + tv[:-1]) / 2 * np.diff(np.log(p), axis=0)
    phi = np.vstack([np.cumsum(layers[::-1], axis=0)[::-1], np.zeros((1, 1))])
    wind = np.zeros_like(p)
    atmosphere = vertical.SigmaColumns(SIGMA, np.array([surface_pressure]), temperature(p), humidity, wind, wind, phi)

    fine = np.exp(np.linspace(np.log(2_000.0), np.log(105_000.0), 4_001))
    found = vertical.to_pressure(atmosphere, fine)
    virtual = (found["temperature"] * (1 + VIRTUAL_FACTOR * found["specific_humidity"]))[:, 0]
    thickness = -np.diff(found["geopotential"][:, 0])
    expected = GAS_CONSTANT_DRY * (virtual[1:] + virtual[:-1]) / 2 * np.diff(np.log(fine))
    # Product of two linear functions, T and 1 + εq, is not linear: the parabola is off by 1e-4 of a layer at most.
    np.testing.assert_allclose(thickness, expected, rtol=3e-4)


def test_standard_troposphere_between_levels_is_right_to_ten_metres():
    temperature, geopotential = warming()
    found = vertical.to_pressure(columns(temperature, geopotential, 101_325.0), PRESSURE[1:])
    np.testing.assert_allclose(found["geopotential"][:, 0] / GRAVITY, geopotential(PRESSURE[1:]) / GRAVITY, atol=10)
    np.testing.assert_allclose(found["temperature"][:, 0], temperature(PRESSURE[1:]), atol=1.0)


def test_increments_linear_in_ln_p_are_exact_between_and_constant_beyond_the_levels():
    surface_pressure = np.array([60_000.0, 101_000.0])
    increments = (2.0 + 3.0 * np.log(PRESSURE / 5e4))[:, None] * [1.0, -1.0]
    found = vertical.increments_to_sigma(increments, PRESSURE, SIGMA, surface_pressure)
    p = np.clip(SIGMA[:, None] * surface_pressure, PRESSURE[0], PRESSURE[-1])
    np.testing.assert_allclose(found, (2.0 + 3.0 * np.log(p / 5e4)) * [1.0, -1.0], atol=1e-12)


def test_out_and_back_is_the_identity_for_what_is_linear_in_ln_p():
    """The output levels see a straight profile as it is, and so do the model levels on its way back."""
    surface_pressure = np.array([101_000.0])

    def wind(p):
        return 10.0 - 4.0 * np.log(p / 5e4)

    out = vertical.to_pressure(columns(280.0, 0.0, surface_pressure, wind=wind), PRESSURE)["u_component_of_wind"]
    back = vertical.increments_to_sigma(out, PRESSURE, SIGMA, surface_pressure)
    inside = (PRESSURE[0] <= SIGMA * 101_000.0) & (PRESSURE[-1] >= SIGMA * 101_000.0)
    np.testing.assert_allclose(back[inside, 0], wind(SIGMA[inside] * 101_000.0), atol=1e-12)
