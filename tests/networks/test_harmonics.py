"""Filters by spherical harmonics: what passes, what falls, winds as vectors."""

import numpy as np
import pytest

from contracts.grid import Grid
from contracts.state import StateSpace
from networks import harmonics
from networks.harmonics import Filter
from tests.networks.fields import harmonic

GRIDS = [Grid.regular(32, 64), Grid.regular(33, 64, True), Grid.regular(24, 40)]


def one_field(grid: Grid) -> StateSpace:
    return StateSpace.of(grid, [50_000.0], ["temperature"], [])


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_each_harmonic_is_multiplied_with_the_response_of_its_degree(grid):
    most = min(grid.shape[0], grid.shape[1] // 2) - 1
    sigma = harmonics.response(most, 4, 3.0)
    a_filter = Filter.of(one_field(grid), sigma)
    for n in range(most + 1):
        for m in {0, n // 2, n}:
            before = harmonic(grid, n, m)
            np.testing.assert_allclose(a_filter.scalars(before[None])[0], sigma[n] * before, atol=2e-9)


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_harmonics_up_to_the_truncation_pass_a_pure_truncation_and_those_beyond_do_not(grid):
    """Of the degrees beyond, zonal wavenumbers above the truncation hold nothing that could pass."""
    a_filter = Filter.of(one_field(grid), harmonics.response(10, 16, 0.0))
    for n in range(11):
        np.testing.assert_allclose(a_filter.scalars(harmonic(grid, n, n)[None])[0], harmonic(grid, n, n), atol=1e-9)
    for n in range(11, 17):
        assert np.abs(a_filter.scalars(harmonic(grid, n, n)[None])).max() < 1e-9
        before = harmonic(grid, n, 2)  # all of these are orthogonal to those that pass, on the sphere; nearly so here
        assert np.linalg.norm(a_filter.scalars(before[None])) < 0.1 * np.linalg.norm(before)


@pytest.mark.parametrize(("n", "m"), [(159, 159), (159, 152), (155, 3)])
def test_the_highest_degrees_of_a_fine_grid_fall_as_the_others_do(n, m):
    """From m = 151 on factorials are beyond the largest number."""
    grid = Grid.regular(160, 320)
    sigma = harmonics.diffusion(grid, 120)
    a_filter = Filter.of(one_field(grid), sigma)
    before = harmonic(grid, n, m)
    np.testing.assert_allclose(a_filter.scalars(before[None])[0], sigma[n] * before, atol=1e-9)


def test_a_constant_passes_to_the_last_bit_of_what_files_hold():
    grid = GRIDS[0]
    a_filter = Filter.of(one_field(grid), harmonics.response(21, 16, 2.0))
    for value in (5.4321e5, 273.15, 1.2e-3):
        before = np.full((1, *grid.shape), value, np.float32)
        np.testing.assert_array_equal(a_filter.scalars(before).astype(np.float32), before)


def test_the_response_falls_as_its_definition_says():
    sigma = harmonics.response(20, 16, 2.0)
    assert sigma[0] == 1.0 and sigma[20] == pytest.approx(np.exp(-2.0)) and sigma[10] > 0.9999
    assert (np.diff(sigma) <= 0).all()


def test_a_wind_across_the_pole_passes_as_a_vector():
    """Solid-body rotation about an axis in the plane of the equator: as scalars its components do not pass."""
    grid = GRIDS[0]
    where = StateSpace.of(grid, [50_000.0], ["u_component_of_wind", "v_component_of_wind"], [])
    lat, lon = np.meshgrid(np.deg2rad(grid.lat), np.deg2rad(grid.lon), indexing="ij")
    wind = np.stack([-np.sin(lat) * np.cos(lon), np.sin(lon)])
    a_filter = Filter.of(where, harmonics.response(10, 16, 0.0))
    np.testing.assert_allclose(a_filter.state(wind), wind, atol=1e-12)
    assert np.abs(a_filter.scalars(wind) - wind).max() > 0.01
