"""Laws of the Gaussian climate: one routine for every function of C, its draws, and what they are drawn from."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from networks.climate import gaussian
from networks.climate.gaussian import Correlation
from tests.networks import climates

FUNCTIONS = {"C": gaussian.identity, "square root": np.sqrt, "Wiener": gaussian.wiener(0.7),
             "remaining": gaussian.remaining(0.7)}
ON_MATRICES = {
    "C": lambda C: C,
    "square root": lambda C: _of_eigenvalues(C, np.sqrt),
    "Wiener": lambda C: np.linalg.solve(C + 0.49 * np.eye(len(C)), C),
    "remaining": lambda C: np.linalg.inv(np.linalg.inv(C) + np.eye(len(C)) / 0.49),
}


def _of_eigenvalues(C, function):
    values, vectors = np.linalg.eigh(C)
    return vectors @ (function(values)[:, None] * vectors.T)


@pytest.mark.parametrize("name", FUNCTIONS)
@settings(max_examples=20)
@given(nlon=st.sampled_from([4, 6, 7, 12]), modes=st.integers(1, 6), seed=st.integers(0, 99))
def test_one_routine_gives_every_function_of_the_matrix(name, nlon, modes, seed):
    C = climates.correlation(6, nlon, modes, seed)
    shape = (2, 3, nlon)
    matrix = climates.dense(C, shape, gaussian.identity)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-12)
    assert np.linalg.eigvalsh(matrix).min() > 0
    np.testing.assert_allclose(climates.dense(C, shape, FUNCTIONS[name]), ON_MATRICES[name](matrix), atol=1e-9)


@settings(max_examples=20)
@given(nlon=st.sampled_from([4, 6, 7, 12]), seed=st.integers(0, 99))
def test_a_turn_of_the_globe_commutes_with_c(nlon, seed):
    C = climates.correlation(6, nlon, 3, seed)
    field = np.random.default_rng(seed).standard_normal((2, 3, nlon))
    turned = C.apply(gaussian.identity, np.roll(field, 1, axis=-1))
    np.testing.assert_allclose(turned, np.roll(C.apply(gaussian.identity, field), 1, axis=-1), atol=1e-12)


@pytest.mark.parametrize("nlon", [6, 7])
def test_the_diagonal_is_that_of_the_matrix(nlon):
    where = climates.space(nlon=8) if nlon == 6 else climates.space(nlon=9)
    climate = climates.climate(where)
    size = int(np.prod(where.shape))
    matrix = climate.covariance(np.eye(size).reshape(size, *where.shape)).reshape(size, size)
    np.testing.assert_allclose(climate.variance().ravel(), np.diag(matrix), rtol=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_bits_of_a_field_do_not_depend_on_what_stands_beside_it(dtype):
    C = climates.correlation(96, 32, 20).astype(dtype)
    fields = np.random.default_rng(0).standard_normal((7, 6, 16, 32)).astype(dtype)
    together = C.apply(np.sqrt, fields)
    assert together.dtype == dtype
    for number in range(7):
        np.testing.assert_array_equal(C.apply(np.sqrt, fields[number]), together[number])
        np.testing.assert_array_equal(C.apply(np.sqrt, fields[number:])[0], together[number])


@pytest.mark.parametrize("nlon,poles", [(8, False), (8, True), (9, False)])
def test_draws_have_the_covariance_s_c_s(nlon, poles):
    """Sampling error of a correlation from n draws is below 1 / sqrt(n)."""
    climate, draws = climates.climate(climates.space(3, nlon, poles)), 20_000
    size = climate.scale.size
    drawn = climate.draw(np.random.default_rng(5).standard_normal((draws, *climate.space.shape))).reshape(draws, size)
    expected = climate.covariance(np.eye(size).reshape(size, *climate.space.shape)).reshape(size, size)
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    np.testing.assert_allclose(drawn.mean(axis=0) / np.sqrt(np.diag(expected)), 0, atol=5 / np.sqrt(draws))
    np.testing.assert_allclose(drawn.T @ drawn / draws / scale, expected / scale, atol=7 / np.sqrt(draws))


def test_a_place_that_never_varies_is_drawn_at_its_mean():
    climate = climates.climate(climates.space())
    scale = climate.scale.copy()
    scale[0, 0] = 0
    drawn = replace(climate, scale=scale).draw(np.ones(climate.space.shape))
    assert (drawn[0, 0] == 0).all() and (drawn[1] != 0).all()


def test_the_mean_goes_round_with_the_year():
    climate = climates.climate(climates.space())
    first = climate.mean(climates.START)
    np.testing.assert_allclose(climate.mean(climates.START + timedelta(days=365.2425 * 7)), first, atol=1e-9)
    assert np.abs(climate.mean(climates.START + timedelta(days=100)) - first).max() > 1


def test_parts_that_do_not_fit_are_refused():
    C = climates.correlation(6, 8, 3)
    with pytest.raises(ValueError, match="5 wavenumbers"):
        Correlation(8, C.modes[1:], C.variance[1:], C.rest[1:])
    with pytest.raises(ValueError, match="not negative"):
        Correlation(8, C.modes, -C.variance, C.rest)
    climate = climates.climate(climates.space())
    with pytest.raises(ValueError, match="12 rows and 8 longitudes"):
        replace(climate, correlation=C)
