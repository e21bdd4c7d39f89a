"""Localisation by waves along circles of latitude: that of `localized`."""

import numpy as np
import pytest
import torch

from contracts.sphere import great_circle_km, unit_vectors
from contracts.tapers import gaspari_cohn
from neural_da.circles import Circles
from neural_da.localized import KEPT, Taper
from tests.networks import climates

LN_P = 1.0


def matrix(circles: Circles, size: int) -> np.ndarray:
    unit = torch.eye(size, dtype=torch.float64).view(circles.blocks.shape[1], -1, size)
    return circles.along(unit).reshape(size, size).numpy()


@pytest.mark.parametrize(("nlat", "nlon", "poles", "km"), [(6, 12, False, 3000.0), (7, 9, True, 2000.0),
                                                           (16, 32, False, 800.0)])
def test_it_keeps_the_variance_and_nearly_the_correlations_as_the_roots_of_localized_do(nlat, nlon, poles, km):
    space = climates.space(nlat, nlon, poles)
    found = matrix(Circles.of(space, km, LN_P, torch.float64), space.grid.size)
    np.testing.assert_allclose(found, found.T, atol=1e-13)
    np.testing.assert_allclose(np.diag(found), 1.0, rtol=1e-12)
    assert np.linalg.eigvalsh(found).min() > -1e-12
    lat, lon = np.meshgrid(space.grid.lat, space.grid.lon, indexing="ij")
    at = unit_vectors(lat.ravel(), lon.ravel())
    C = gaspari_cohn(great_circle_km(at[:, None], at[None]) / km)
    assert np.sqrt(np.mean((found - C) ** 2)) < 2 * (1 - KEPT)
    root = Taper.of(space, km, LN_P, torch.float64).horizontal
    assert np.linalg.norm(found - (root @ root.T).numpy()) < (1 - KEPT) * len(C)  # one of a wave's two, at most
    assert abs(np.linalg.matrix_rank(found, tol=1e-9) - root.shape[1]) <= 1


def test_it_is_the_same_all_along_a_circle():
    space = climates.space(6, 12)
    found = matrix(Circles.of(space, 3000.0, LN_P, torch.float64), space.grid.size).reshape(6, 12, 6, 12)
    np.testing.assert_allclose(np.roll(found, (1, 1), axis=(1, 3)), found, atol=1e-13)
