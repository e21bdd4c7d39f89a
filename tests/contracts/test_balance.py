"""Relations between fields that hold exactly in made ones, whatever rows a grid has."""

import numpy as np
import pytest

from contracts import balance
from contracts.balance import PHI, TROPICS, Agreement, T, U, V
from contracts.constants import EARTH_RADIUS, EARTH_ROTATION, GAS_CONSTANT_DRY
from contracts.grid import Grid
from contracts.state import StateSpace

LEVELS = (50_000.0, 70_000.0, 85_000.0)


def space(nlat: int) -> StateSpace:
    return StateSpace.of(Grid(np.linspace(-90, 90, nlat), np.arange(0, 360, 5.0)), LEVELS, [PHI, T, U, V], [])


@pytest.mark.parametrize("nlat", [37, 36])  # with a row on the equator, and without; both have the poles
def test_the_flow_along_heights_of_a_wave_is_geostrophic_and_no_row_without_such_a_wind_counts(nlat):
    of = space(nlat)
    lat, lon = np.deg2rad(of.grid.lat)[:, None], np.deg2rad(of.grid.lon)
    f = 2 * EARTH_ROTATION * np.sin(lat)
    phi = 500.0 * np.cos(lat) ** 2 * np.sin(2 * lon)
    dx = np.zeros(of.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        wind = (1000.0 * np.cos(lat) * np.sin(lat) * np.sin(2 * lon) / (f * EARTH_RADIUS),
                1000.0 * np.cos(lat) * np.cos(2 * lon) / (f * EARTH_RADIUS))
    for name, field in ((U, wind[0]), (V, wind[1]), (PHI, phi)):
        dx[balance.index_of(of, name, LEVELS[0])] = np.nan_to_num(field, posinf=0, neginf=0)
    pair = balance.geostrophic(dx, of, LEVELS[0], np.ones(of.grid.shape, bool))
    inside = np.abs(of.grid.lat) >= TROPICS
    assert pair[0].shape == (2, (inside.sum() - 2) * of.grid.lon.size)
    found = Agreement.of([pair])
    assert found.correlation > 0.999 and found.slope == pytest.approx(1, abs=0.02)


def test_layers_as_thick_as_their_temperature_says_are_hydrostatic():
    of, rng = space(36), np.random.default_rng(1)
    dx = np.zeros(of.shape)
    dx[of.index(T)] = rng.standard_normal((3, *of.grid.shape))
    for upper in (1, 0):
        above, below = (balance.index_of(of, PHI, LEVELS[number]) for number in (upper, upper + 1))
        warmth = dx[of.index(T)][upper : upper + 2].mean(axis=0)
        dx[above] = dx[below] + GAS_CONSTANT_DRY * warmth * np.log(LEVELS[upper + 1] / LEVELS[upper])
    found = Agreement.of([balance.hydrostatic(dx, of, np.ones(of.grid.shape, bool))])
    assert found.correlation == pytest.approx(1) and found.slope == pytest.approx(1)
