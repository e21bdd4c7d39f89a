"""Optimal interpolation by factorisation: what the stations see of the climate, and the analyses, by their formulas."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array, random_array

from networks.climate.gaussian import identity
from networks.o2a import deviation
from networks.o2a.optimal import Optimal, seen_covariance
from tests.networks import climates

RNG = np.random.default_rng(5)


def seen(size: int, nobs: int = 17) -> csr_array:
    """Rows of a few numbers each."""
    return csr_array(random_array((nobs, size), density=0.05, rng=np.random.default_rng(1)))


@pytest.mark.parametrize(("nlat", "nlon"), [(4, 8), (3, 9)])
def test_what_stations_see_of_the_climate_is_a_c_at(nlat, nlon):
    correlation, shape = climates.correlation(2 * nlat, nlon, 3), (2, nlat, nlon)
    A = seen(2 * nlat * nlon)
    indices = A.indptr.copy()
    expected = A @ climates.dense(correlation, shape, identity) @ A.T.toarray()
    np.testing.assert_allclose(seen_covariance(correlation, A), expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(A.indptr, indices)


def test_analyses_are_those_of_the_kalman_filter():
    correlation, shape = climates.correlation(8, 8, 3), (2, 4, 8)
    A = seen(64)
    C, H = climates.dense(correlation, shape, identity), A.toarray()
    d = RNG.standard_normal((3, len(H)))
    expected = C @ H.T @ np.linalg.solve(H @ C @ H.T + np.eye(len(H)), d.T)
    found = Optimal.of(correlation, shape, A, seen_covariance(correlation, A)).analyses(d)
    np.testing.assert_allclose(found.reshape(3, -1), expected.T, atol=1e-10)


def test_the_deviation_of_many_draws_is_that_of_the_posterior():
    """(I - K H) C, its diagonal smoothed as the definition says."""
    correlation, shape = climates.correlation(8, 8, 3), (2, 4, 8)
    A = seen(64)
    C, H = climates.dense(correlation, shape, identity), A.toarray()
    P = C - C @ H.T @ np.linalg.solve(H @ C @ H.T + np.eye(len(H)), H @ C)
    drawn = RNG.multivariate_normal(np.zeros(64), C, 4000, method="eigh")
    optimal = Optimal.of(correlation, shape, A, seen_covariance(correlation, A))
    left = drawn.reshape(-1, *shape) - optimal.analyses(drawn @ H.T + RNG.standard_normal((4000, len(H))))
    exact = deviation.of(np.sqrt(np.diag(P)).reshape(1, *shape))
    np.testing.assert_allclose(deviation.of(left), exact, rtol=0.06)


def test_a_deviation_is_smoothed_round_the_globe_and_not_in_its_sum():
    left = np.zeros((1, 1, 4, 8))
    left[0, 0, 1, 0] = 3.0
    found = deviation.of(left)[0]
    assert torch.allclose(torch.tensor(found[0, [7, 0, 1]]), torch.ones(3)) and not found[0, 2:7].any()
    assert np.square(found).sum() == pytest.approx(9)
