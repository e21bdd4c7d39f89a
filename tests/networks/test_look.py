"""What is told of latents: balance against analytic fields, columns of covariances against matrices, dependence."""

from functools import cache

import numpy as np
import pytest
import torch

from contracts import balance
from contracts.balance import PHI, Agreement, T, U, V
from contracts.constants import EARTH_RADIUS, EARTH_ROTATION, GAS_CONSTANT_DRY
from contracts.grid import Grid
from contracts.state import StateSpace
from networks.autoencoder.network import PLANES, Autoencoder
from networks.latent import eof
from networks.latent.operator import Operator
from networks.look import covariances, dependence
from networks.look.observed import Observed
from tests.networks import climax_builders as made

LEVELS = (50_000.0, 70_000.0, 85_000.0)
FINE = StateSpace.of(Grid.regular(64, 128), LEVELS, (PHI, U, V, T), ())
SMALL = StateSpace.of(Grid.regular(8, 16), LEVELS, (PHI, U, V, T), ("2m_temperature",))


def test_geostrophic_wind_of_a_wave_is_its_own():
    """Phi = 2 Omega a U_0 sin^2(phi) / 2 + a wave along the meridians of which the wind is known."""
    lat, lon = np.deg2rad(FINE.grid.lat)[:, None], np.deg2rad(FINE.grid.lon)
    f, fast, number = 2 * EARTH_ROTATION * np.sin(lat), 10.0, 3
    dx, level, momentum = np.zeros(FINE.shape), LEVELS[0], EARTH_RADIUS * EARTH_ROTATION * fast
    dx[balance.index_of(FINE, PHI, level)] = -momentum * np.sin(lat) ** 2 * np.sin(number * lon)
    dx[balance.index_of(FINE, U, level)] = fast * np.cos(lat) * np.sin(number * lon)
    dx[balance.index_of(FINE, V, level)] = (-EARTH_ROTATION * fast * number * np.sin(lat) ** 2 * np.cos(number * lon)
                                            / (f * np.cos(lat)))
    everywhere = np.abs(FINE.grid.lat)[:, None] < 80 + 0 * lon
    found = Agreement.of([balance.geostrophic(dx, FINE, level, everywhere)])
    assert found.correlation == pytest.approx(1, abs=1e-3) and found.slope == pytest.approx(1, abs=0.01)
    dx[balance.index_of(FINE, V, level)] *= -1
    assert Agreement.of([balance.geostrophic(dx, FINE, level, everywhere)]).correlation < 0.9


def test_the_thickness_of_a_warm_layer_is_hydrostatic():
    dx, warm = np.zeros(SMALL.shape), np.random.default_rng(0).standard_normal(SMALL.grid.shape)
    for level in LEVELS:
        dx[balance.index_of(SMALL, T, level)] = warm
        dx[balance.index_of(SMALL, PHI, level)] = 1.05 * GAS_CONSTANT_DRY * warm * np.log(LEVELS[-1] / level)
    found = Agreement.of([balance.hydrostatic(dx, SMALL, np.ones(SMALL.grid.shape, bool))])
    assert found.correlation == pytest.approx(1) and found.slope == pytest.approx(1.05)


def test_an_observation_between_two_rows_takes_of_both_in_proportion():
    h = Observed(T, LEVELS[0], 0.0, 45.0).operator(SMALL)
    channel = balance.index_of(SMALL, T, LEVELS[0])
    assert [tuple(place) for place in np.argwhere(h)] == [(channel, 3, 2), (channel, 4, 2)]
    assert h.sum() == pytest.approx(1) and h.max() == pytest.approx(0.5)
    assert Observed(PHI, LEVELS[0], 47.0, 0.0).name == "Z500 at 47 N"


def errors(count: int = 30) -> np.ndarray:
    white = np.random.default_rng(7).standard_normal((count, *SMALL.shape))
    return white + np.roll(white, 1, -1) + np.roll(white, 1, -2) + np.roll(white, 1, 1)


@cache
def latent() -> Operator:
    scale = np.full(len(SMALL.channels), 2.0)
    moments = eof.Moments.of(errors(), SMALL, (2, 4), scale, overlap=True)
    return Operator.of(eof.fit(moments, SMALL, (2, 4), scale, np.zeros(SMALL.shape), 12, overlap=True),
                       dtype=torch.float64)


def columns_of_unit_vectors(B: np.ndarray, h: np.ndarray) -> np.ndarray:
    return (B @ h.ravel()).reshape(h.shape)


@pytest.mark.parametrize("h", [Observed(T, LEVELS[1], 0.0, 45.0), Observed(PHI, LEVELS[0], 47.0, 90.0)])
def test_columns_are_those_of_the_whole_matrices(h):
    seen = h.operator(SMALL)
    maps, e = latent(), errors()
    G = maps.increment(torch.eye(maps.size, dtype=torch.float64), maps.variance.sqrt()).numpy()
    assert np.allclose(covariances.of_latent(maps)(seen), columns_of_unit_vectors(G.T @ G, seen))
    B = np.cov(e.reshape(len(e), -1).T)
    assert np.allclose(covariances.of_sample(e)(seen), columns_of_unit_vectors(B, seen))
    around = [np.roll(e, n, -1).reshape(len(e), -1) for n in range(SMALL.grid.lon.size)]
    turned = np.mean([np.cov(each.T, ddof=0) for each in around], axis=0)
    assert np.allclose(covariances.zonal(e)(seen), columns_of_unit_vectors(turned, seen))


def test_of_an_autoencoder_the_column_is_the_latents_before_it_has_learned_and_then_that_of_its_derivative():
    h, x = Observed(T, LEVELS[1], 0.0, 45.0).operator(SMALL), errors(1)[0]
    still = np.zeros((PLANES, *SMALL.grid.shape))
    network = Autoencoder(SMALL, 4, 2, latent(), still).double().requires_grad_(False)
    assert np.allclose(covariances.of_autoencoder(network, x)(h), covariances.of_latent(latent())(h))
    made.randomise(network, size=0.3)
    z, deviation = network.encode(torch.tensor(x).flatten(-2)), network.variance.sqrt()
    J = torch.func.jacrev(lambda zeta: network.increment(z, zeta, deviation).flatten())(torch.zeros_like(deviation))
    expected = columns_of_unit_vectors((J @ J.T).numpy(), h)
    found = covariances.of_autoencoder(network, x)(h)
    assert np.allclose(found, expected) and not np.allclose(found, covariances.of_latent(latent())(h))


def test_numbers_that_have_nothing_in_common_have_no_partner_and_copies_have():
    rng = np.random.default_rng(4)
    white = [rng.standard_normal((200, 8, 5)) for _ in range(3)]
    none = dependence.of(white)
    assert all(abs(value) < 0.05 for value in (none.within, none.east, none.north))
    copied = [np.concatenate([row, row + rng.standard_normal(row.shape)], axis=-1) for row in white]
    assert dependence.of(copied).within == pytest.approx(np.sqrt(0.5), abs=0.05)
    common = rng.standard_normal((200, 8, 5))
    near = dependence.of([common + row for row in white])
    assert near.north == pytest.approx(0.5, abs=0.05) and abs(near.east) < 0.05
    along = dependence.of([row + np.roll(row, 1, axis=1) for row in white])
    assert along.east == pytest.approx(0.5, abs=0.05) and along.east_same == pytest.approx(0.5, abs=0.05)
