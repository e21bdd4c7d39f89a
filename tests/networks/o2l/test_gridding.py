"""Observations on the grid: what one observation, several, or none leave there, and what stations see."""

import numpy as np
import pytest
import torch

from contracts.errors import ContractError
from contracts.state import StateSpace
from contracts.variables import Quantity
from networks.o2l import footprints, gridding
from tests.networks.o2l import made
from tests.networks.o2l.made import SCALE, SPACE

T500 = int(SPACE.index("temperature")[0])
LAT, LON = SPACE.grid.lat, SPACE.grid.lon


def gridded(table, departure, used=None) -> tuple[np.ndarray, np.ndarray]:
    """g and W (channel, lat, lon) of departures in units of the errors."""
    A = gridding.in_scales(made.seen(table).rows, made.scale())
    g, W = gridding.gridded(A, np.asarray(departure, float), used)
    return g.reshape(SPACE.shape), W.reshape(SPACE.shape)


def test_an_observation_on_a_point_leaves_its_precision_and_its_value_there_and_nothing_elsewhere():
    error, K = 0.5, 3.0
    g, W = gridded(made.table(LAT[5], LON[7], error=error), [K / error])
    assert W[T500, 5, 7] == pytest.approx((SCALE[T500] / error) ** 2)
    assert g[T500, 5, 7] / W[T500, 5, 7] == pytest.approx(K / SCALE[T500])
    W[T500, 5, 7] = 0
    assert W.max() < 1e-12


def test_observations_of_one_point_are_their_mean_weighted_by_precision():
    error = np.array([0.5, 1.0, 2.0])
    K = np.array([3.0, 1.0, -2.0])
    g, W = gridded(made.table([LAT[5]] * 3, LON[7], error=error), K / error)
    assert g[T500, 5, 7] / W[T500, 5, 7] == pytest.approx(np.average(K, weights=error**-2) / SCALE[T500], rel=1e-6)


def test_one_between_points_and_levels_is_shared_out_by_its_weights_and_says_the_same_to_each():
    g, W = gridded(made.table(LAT[5] + 0.25 * (LAT[6] - LAT[5]), LON[7] + 0.5 * (LON[8] - LON[7]), 70_000.0), [4.0])
    there = W > 1e-9
    assert there.sum() == 8 and np.ptp(g[there] / W[there]) < 1e-6
    assert W[T500, 5, 7] / W[T500, 6, 7] == pytest.approx(3.0, rel=1e-6)


def test_what_is_left_out_is_as_if_it_were_not_there():
    table, departure = made.soundings(), np.random.default_rng(1).standard_normal(120)
    used = np.random.default_rng(2).random(len(made.seen(table))) < 0.5
    some = gridded(table.select(used), departure[used])
    assert np.allclose(gridded(table, departure, used), some, atol=1e-6)


def test_surface_pressure_stands_at_the_geopotential_and_temperature_that_it_is_computed_from():
    _, W = gridded(made.table(LAT[9], LON[3], 100_000.0, Quantity.surface_pressure, error=100.0), [1.0])
    lowest = {int(SPACE.index(name)[-1]) for name in ("geopotential", "temperature")}
    assert set(np.flatnonzero(W[:, 9, 3])) == lowest and np.isclose(W[:, 9, 3].sum(), W.sum())


def test_a_coarser_grid_has_the_sums_of_four_points_and_no_observation_is_zero_everywhere():
    g = torch.tensor(np.stack(gridded(made.soundings(), np.ones(120))))[None]
    coarse = gridding.coarser(g)
    assert coarse.shape == (1, 2, SPACE.shape[0], 8, 16)
    assert torch.allclose(coarse[..., 2, 3], g[..., 4:6, 6:8].sum((-1, -2)), atol=1e-5)
    assert not gridding.inputs(torch.zeros_like(g)).any()


def test_value_and_density_are_what_was_observed_and_how_well():
    error, K = 0.1, 2.0
    gathered = torch.tensor(np.stack(gridded(made.table(LAT[5], LON[7], error=error), [K / error])))[None]
    seen = gridding.inputs(gathered)[0]
    precision = (SCALE[T500] / error) ** 2
    assert float(seen[T500, 5, 7]) == pytest.approx(K / SCALE[T500], rel=1.01 * gridding.FAINT / precision)
    assert float(seen[len(SCALE) + T500, 5, 7]) == pytest.approx(np.log1p(precision), rel=1e-6)


def test_stations_are_kept_or_left_out_as_a_whole():
    of = made.seen(made.soundings())
    kept = of.some(np.random.default_rng(3), 0.4)
    assert np.array_equal(kept[:40], kept[40:80]) and np.array_equal(kept[:40], kept[80:]) and 10 < kept[:40].sum() < 38
    assert of.some(np.random.default_rng(3), 0.0).all()


def test_what_stations_see_is_read_as_it_was_written_and_refused_for_other_states(tmp_path):
    path, of = tmp_path / "seen.nc", made.seen(made.soundings())
    footprints.write(path, of, SPACE, "made")
    found = footprints.read(path, SPACE)
    x = np.random.default_rng(0).standard_normal(made.SIZE)
    assert np.allclose(found.rows @ x, of.rows @ x, rtol=1e-5, atol=1e-6)
    assert np.array_equal(found.station, of.station)
    with pytest.raises(ContractError, match="was made for other states"):
        footprints.read(path, StateSpace(SPACE.grid, SPACE.channels[:-1]))


def test_rows_are_the_derivative_of_h_in_units_of_the_errors():
    of, error = made.table(20.0, 33.0, 70_000.0, error=0.5), 0.5
    x = np.random.default_rng(0).standard_normal(SPACE.shape)
    at = SPACE.grid.bilinear(np.array([20.0]), np.array([33.0]))
    low, high = (at.scalar(x[SPACE.index("temperature")[i]].ravel()) for i in (0, 1))
    weight = np.log(70_000 / 50_000) / np.log(85_000 / 50_000)
    assert made.seen(of).rows @ x.ravel() == pytest.approx(((1 - weight) * low + weight * high) / error)
