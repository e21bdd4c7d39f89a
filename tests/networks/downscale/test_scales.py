"""Means of cells and interpolation are those of independent codes; what is closed agrees with its cells."""

import numpy as np
import pytest
import torch
import xarray
from scipy import integrate, stats
from scipy.interpolate import RegularGridInterpolator

from contracts.grid import Grid
from networks.data.regrid import Regridding
from networks.downscale.network import crps
from networks.downscale.quantity import Anomaly, LogSpread
from networks.downscale.scales import Scales
from tests.networks.downscale.made import COARSE, SPACE

FINE = SPACE.grid
BLOCKS = Grid(COARSE.lat, COARSE.lon + 1.5 * (360 / FINE.lon.size))  # cells of 4 x 4 whole ones


def fields(seed: int = 1) -> torch.Tensor:
    return torch.tensor(np.random.default_rng(seed).standard_normal((2, *SPACE.shape)), dtype=torch.float32)


def test_means_of_whole_cells_are_those_of_xarray():
    y = fields()
    area = xarray.DataArray(np.cos(np.deg2rad(FINE.lat)), dims="lat")
    array = xarray.DataArray(y.numpy(), dims=("time", "channel", "lat", "lon"))
    blocks = (array * area).coarsen(lat=4, lon=4).sum() / (4 * area.coarsen(lat=4).sum())
    np.testing.assert_allclose(Scales.of(BLOCKS, SPACE, signed=False).mean(y), blocks, atol=2e-6)


def test_means_of_shared_cells_are_those_of_the_conservative_map():
    y = fields()
    np.testing.assert_allclose(Scales.of(COARSE, SPACE, signed=False).mean(y), Regridding(FINE, COARSE)(y.numpy()),
                               atol=2e-6)


def test_interpolation_is_that_of_scipy_between_the_outer_rows():
    c = np.random.default_rng(2).standard_normal((6, *COARSE.shape)).astype(np.float32)
    found = Scales.of(COARSE, SPACE, signed=False).bilinear(torch.from_numpy(c)).numpy()
    round_globe = np.concatenate([c, c[..., :1]], axis=-1)
    inside = np.abs(FINE.lat) <= COARSE.lat[-1]
    points = np.stack(np.meshgrid(FINE.lat[inside], FINE.lon, indexing="ij"), axis=-1)
    for channel, field in enumerate(round_globe):
        expected = RegularGridInterpolator((COARSE.lat, [*COARSE.lon, 360.0]), field)(points)
        np.testing.assert_allclose(found[channel, inside], expected, atol=1e-6)


def test_winds_of_members_turn_across_a_pole_and_spreads_do_not():
    c, ends = torch.ones(6, *COARSE.shape), np.abs(FINE.lat) > COARSE.lat[-1]
    assert torch.allclose(Scales.of(COARSE, SPACE, signed=False).bilinear(c), torch.ones(6, *FINE.shape))
    turned = Scales.of(COARSE, SPACE, signed=True).bilinear(c)
    assert torch.allclose(turned[:3], torch.ones(3, *FINE.shape)) and (turned[3:, ends] < 0.999).all()


@pytest.mark.parametrize("grid", [COARSE, BLOCKS])
def test_what_is_closed_agrees_with_its_cells_and_is_left_alone_then(grid):
    scales, y, other = Scales.of(grid, SPACE, signed=False), fields(), fields(2)
    anomaly, spread = Anomaly(scales), LogSpread(scales)
    closed = anomaly.closed(y, anomaly.coarse(other))
    torch.testing.assert_close(anomaly.coarse(closed), anomaly.coarse(other), atol=2e-6, rtol=0)
    torch.testing.assert_close(anomaly.closed(closed, anomaly.coarse(other)), closed, atol=2e-6, rtol=0)
    y, c = 0.3 * y, spread.coarse(0.3 * other)
    before, after = ((spread.coarse(field) - c).abs().max() for field in (y, spread.closed(y, c)))
    assert after < 0.03 * before


def test_cells_of_a_spread_have_the_root_of_its_mean_variance():
    scales, y = Scales.of(COARSE, SPACE, signed=False), fields()
    variance = Regridding(FINE, COARSE)(np.exp(2 * y.numpy().astype(np.float64)))
    np.testing.assert_allclose(LogSpread(scales).coarse(y), np.log(np.sqrt(variance)), atol=1e-5)


def test_crps_is_the_integral_of_its_definition():
    for mean, deviation, y in ((0.0, 1.0, 0.3), (1.0, 0.2, 2.0), (-1.0, 3.0, -1.0)):
        below = stats.norm(mean, deviation).cdf
        expected = (integrate.quad(lambda x, below=below: below(x) ** 2, -30, y)[0]
                    + integrate.quad(lambda x, below=below: (1 - below(x)) ** 2, y, 30)[0])
        found = crps(*(torch.tensor(value, dtype=torch.float64) for value in (mean, deviation, y)))
        assert float(found) == pytest.approx(expected, rel=1e-6)
