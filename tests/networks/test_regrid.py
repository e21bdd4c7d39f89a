"""Regridding against its definition: means over cells, kept over the globe; levels linear in ln p."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import UserError
from contracts.grid import Grid
from networks.data.regrid import Regridding, between

GRIDS = [Grid.regular(8, 16), Grid.regular(13, 24, poles=True), Grid.regular(6, 9),
         Grid(np.array([-80.0, -50, -10, 5, 60, 85]), np.array([5.0, 50, 140, 200, 290, 350]))]


def drawn(grid: Grid, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((3, *grid.shape))


def mean(field: np.ndarray, grid: Grid) -> np.ndarray:
    """Over the globe, by cells halfway between the columns too: `area_weights` takes them as equally wide."""
    edges = np.concatenate([[grid.lon[-1] - 360], grid.lon, [grid.lon[0] + 360]])
    width = (edges[2:] - edges[:-2]) / 2
    return (field * grid.area_weights * width).sum(axis=(-2, -1)) / (grid.area_weights * width).sum()


@pytest.mark.parametrize("source", GRIDS)
@pytest.mark.parametrize("target", GRIDS)
def test_the_mean_over_the_globe_is_kept(source, target):
    field = drawn(source)
    assert mean(Regridding(source, target)(field), target) == pytest.approx(mean(field, source), abs=1e-12)


@pytest.mark.parametrize("method", ["conservative", "bilinear"])
@pytest.mark.parametrize("target", GRIDS)
def test_a_constant_stays_and_the_same_grid_is_left_alone(method, target):
    for source in GRIDS:
        found = Regridding(source, target, method)(np.full(source.shape, 7.0))
        assert found == pytest.approx(np.full(target.shape, 7.0))
    assert np.array_equal(Regridding(target, target, method)(drawn(target)), drawn(target))


@pytest.mark.parametrize("source", GRIDS)
def test_a_cell_has_the_mean_of_what_lies_in_it(source):
    """By a very fine sum over points: each belongs to the source cell whose edges it lies between."""
    target, field = Grid.regular(5, 7), drawn(source)[0]
    n = 4000
    found = Regridding(source, target)(field)
    rows = np.concatenate([[-90], (source.lat[1:] + source.lat[:-1]) / 2, [90]])
    lon = np.concatenate([[source.lon[-1] - 360], source.lon, [source.lon[0] + 360]])
    columns = (lon[1:] + lon[:-1]) / 2
    for i, j in [(0, 0), (2, 3), (4, 6)]:
        low, high = np.sin(np.deg2rad([-90 + 36 * i, -54 + 36 * i]))
        lat = np.rad2deg(np.arcsin(low + (high - low) * (np.arange(n) + 0.5) / n))
        east = (target.lon[j] + 360 / 7 * ((np.arange(n) + 0.5) / n - 0.5) - columns[0]) % 360 + columns[0]
        row = np.clip(np.searchsorted(rows, lat) - 1, 0, source.lat.size - 1)
        column = np.clip(np.searchsorted(columns, east) - 1, 0, source.lon.size - 1)
        shares = [np.bincount(index, minlength=size) / n for index, size in ((row, source.lat.size),
                                                                             (column, source.lon.size))]
        assert found[i, j] == pytest.approx(shares[0] @ field @ shares[1], abs=2e-3)


def test_winds_turn_across_a_pole():
    source, target = Grid.regular(8, 16), Grid.regular(9, 16, poles=True)
    u = np.tile(np.cos(np.deg2rad(source.lon)), (8, 1))  # a wind straight over the pole: + on one side, - on the other
    over = Regridding(source, target, "bilinear")(u, is_wind=True)
    assert over[-1] == pytest.approx(np.cos(np.deg2rad(target.lon)))
    assert Regridding(source, target, "bilinear")(u)[-1] == pytest.approx(np.zeros(16), abs=1e-12)


@given(st.floats(10_000, 100_000), st.floats(-3, 3), st.floats(-3, 3))
def test_between_levels_what_is_linear_in_ln_p_is_exact(pressure, a, b):
    levels = np.array([1e4, 2e4, 5e4, 8.5e4, 1e5])
    found = between(levels, np.array([pressure]), "x") @ (a + b * np.log(levels))
    assert found == pytest.approx(a + b * np.log(pressure))


def test_levels_that_are_there_are_taken_as_they_are_and_beyond_them_nothing_is_said():
    levels = np.array([1e4, 5e4, 1e5])
    assert np.array_equal(between(levels, levels, "x"), np.eye(3))
    for wanted in (5e3, 1.01e5):
        with pytest.raises(UserError, match=r"x: has 100 to 1000 hPa, expected levels around"):
            between(levels, np.array([wanted]), "x")
