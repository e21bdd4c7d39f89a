"""Laws of the grid: equality by content, area weights of a sphere, bilinear exactness, poles and date line."""

import netCDF4
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import gaussian
from contracts.grid import Grid

UNEVEN = Grid(np.array([-60.0, -10, 20, 70]), np.array([5.0, 100, 230]))
GRIDS = [Grid.regular(32, 64), Grid.regular(7, 8, poles=True), Grid.gaussian(16, 8), UNEVEN]


def test_regular_grid_has_the_points_of_the_papers():
    grid = Grid.regular(32, 64)
    assert grid.lat[0] == -87.1875 and grid.lat[-1] == 87.1875
    assert grid.lon[0] == 0 and grid.lon[-1] == 354.375


@pytest.mark.parametrize("lat, lon, word", [
    ([10, 0], [0, 90], "lat must ascend"),
    ([-91, 0], [0, 90], "within"),
    ([0, 10], [0, 360], "lon must lie"),
    ([0, 10], [0, 10, 20], "all round the globe"),
    ([0, np.nan], [0, 90], "finite"),
])
def test_what_is_no_grid_is_refused(lat, lon, word):
    with pytest.raises(ValueError, match=word):
        Grid(np.array(lat, float), np.array(lon, float))


def test_equal_by_content_and_frozen():
    first, second = Grid.regular(4, 8), Grid.regular(4, 8)
    assert first == second and hash(first) == hash(second)
    assert first != Grid.regular(4, 8, poles=True)
    with pytest.raises(ValueError):
        first.lat[0] = 0


@pytest.mark.parametrize("grid", GRIDS)
def test_area_weights_integrate_a_sphere(grid):
    assert grid.area_weights.mean() == pytest.approx(1)
    fine = Grid.regular(720, 4)
    square = np.sin(np.deg2rad(fine.lat))[:, None] ** 2 * np.ones(4)
    assert (fine.area_weights * square).mean() == pytest.approx(1 / 3, abs=1e-5)


@given(grid=st.sampled_from(GRIDS), lat=st.floats(-90, 90), lon=st.floats(-720, 720))
def test_weights_are_a_partition_of_one(grid, lat, lon):
    stencil = grid.bilinear(lat, lon)
    assert stencil.weight.sum() == pytest.approx(1)
    assert stencil.weight.min() >= -1e-12
    assert stencil.column.min() >= 0 and stencil.column.max() < grid.size


@pytest.mark.parametrize("grid", GRIDS)
def test_grid_points_are_returned_unchanged(grid):
    field = np.random.default_rng(0).standard_normal(grid.size)
    stencil = grid.bilinear(grid.column_lat, grid.column_lon)
    np.testing.assert_allclose(stencil.scalar(field), field, atol=1e-12)
    np.testing.assert_allclose(grid.bilinear(grid.column_lat, grid.column_lon - 360).scalar(field), field, atol=1e-12)


@given(lat=st.floats(-87, 87), lon=st.floats(0, 354.3), a=st.floats(-2, 2), b=st.floats(-2, 2), c=st.floats(-2, 2))
def test_bilinear_fields_are_exact_between_the_date_line_and_itself(lat, lon, a, b, c):
    grid = Grid.regular(32, 64)
    field = a * grid.column_lat + b * grid.column_lon + c * grid.column_lat * grid.column_lon
    assert grid.bilinear(lat, lon).scalar(field)[0] == pytest.approx(a * lat + b * lon + c * lat * lon, abs=1e-8)


def test_across_the_date_line_the_neighbours_are_the_last_and_first_column():
    grid = Grid.regular(4, 8)
    field = grid.column_lon.copy()
    assert grid.bilinear(grid.lat[1], 337.5).scalar(field)[0] == pytest.approx((315 + 0) / 2)
    assert grid.bilinear(grid.lat[1], -22.5).scalar(field)[0] == pytest.approx((315 + 0) / 2)


def test_a_constant_wind_stays_itself_across_the_poles():
    """The cartesian vector (1, 0, 0) has u = -sin λ, v = -sin φ cos λ: smooth on the sphere, not in its components."""
    grid = Grid.regular(32, 64)
    lon, lat = np.deg2rad(grid.column_lon), np.deg2rad(grid.column_lat)
    u, v = -np.sin(lon), -np.sin(lat) * np.cos(lon)
    at_lat, at_lon = np.array([89.9, -89.5, 88.0, 90.0]), np.array([10.0, 200.0, 355.0, 123.0])
    stencil = grid.bilinear(at_lat, at_lon)
    phi, lam = np.deg2rad(at_lat), np.deg2rad(at_lon)
    np.testing.assert_allclose(stencil.vector(u), -np.sin(lam), atol=3e-3)
    np.testing.assert_allclose(stencil.vector(v), -np.sin(phi) * np.cos(lam), atol=3e-3)


@pytest.mark.parametrize("lat, lon", [(90.5, 0), (np.nan, 0), (0, np.inf)])
def test_points_off_the_sphere_are_refused(lat, lon):
    with pytest.raises(ValueError, match="bilinear"):
        Grid.regular(4, 8).bilinear(lat, lon)


@pytest.mark.parametrize("count", [2, 3, 32, 64, 256])
def test_gaussian_rows_are_those_of_another_code(count):
    nodes, weights = np.polynomial.legendre.leggauss(count)
    lat, found = gaussian.rows(count)
    np.testing.assert_allclose(np.sin(np.deg2rad(lat)), nodes, atol=4e-15)
    np.testing.assert_allclose(found, weights, rtol=1e-10)
    np.testing.assert_array_equal(lat, -lat[::-1])


def test_on_gaussian_rows_area_weights_are_exact_where_edges_between_rows_are_not():
    """The mean over the sphere of sin²ⁿ φ is 1 / (2n + 1): of an RMSE on such a grid too."""
    grid, plain = Grid.gaussian(16, 4), Grid.regular(16, 4)
    sine, roughly = (np.sin(np.deg2rad(each.column_lat)).reshape(each.shape) for each in (grid, plain))
    for n in range(1, 16):
        assert (grid.area_weights * sine ** (2 * n)).mean() == pytest.approx(1 / (2 * n + 1), rel=1e-12)
    assert (plain.area_weights * roughly**2).mean() != pytest.approx(1 / 3, rel=1e-4)


def test_rows_that_another_tool_wrote_in_float32_are_gaussian_still():
    written = Grid.gaussian(32, 64).lat.astype(np.float32)
    grid = Grid(written, Grid.regular(32, 64).lon)
    np.testing.assert_allclose(grid.area_weights, Grid.gaussian(32, 64).area_weights, rtol=1e-12)
    assert Grid.gaussian(32, 64).is_same(grid) and not Grid.regular(32, 64).is_same(grid)


def test_the_rows_of_a_real_state_on_a_gaussian_grid(samples):
    """ERA5 on the 64 x 32 Gaussian grid of another model."""
    with netCDF4.Dataset(samples / "states" / "era5_1959010200_tl31.nc") as dataset:
        assert Grid.gaussian(32, 64).has_axes(dataset["latitude"][:], dataset["longitude"][:])
