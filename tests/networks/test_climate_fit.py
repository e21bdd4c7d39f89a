"""Laws of the fit: mean, scale, modes and white rest against their definitions, computed slowly."""

import tracemalloc
from datetime import timedelta

import numpy as np
import pytest

from contracts import times
from contracts.errors import UserError
from networks import season
from networks.climate import fit, memory
from tests.networks import climates


def days(count: int, every: float = 1.0) -> np.ndarray:
    return np.array([times.to_seconds(climates.START + timedelta(days=every * day)) for day in range(count)])


def states(climate, seconds: np.ndarray, seed: int = 0) -> np.ndarray:
    """Draws from a climate at these times, float32."""
    noise = np.random.default_rng(seed).standard_normal((len(seconds), *climate.space.shape))
    mean = np.tensordot(season.basis(seconds, 3), climate.seasons, axes=1)
    return (mean + climate.draw(noise)).astype(np.float32)


def test_mean_and_scale_are_least_squares_and_half_local_variance():
    where = climates.space(4, 8, poles=True)
    seconds = days(400, 3.7)
    made = states(climates.climate(where), seconds)
    made[:, 0, 0] = 250.0  # a row without variance gets the floor
    found, variance = fit.fit(where, made.copy(), seconds, 5)

    basis = season.basis(seconds, 3)
    flat = made.reshape(400, -1).astype(np.float64)
    coefficients = np.linalg.lstsq(basis, flat, rcond=None)[0]
    np.testing.assert_allclose(found.seasons.reshape(3, -1), coefficients, atol=2e-4)
    local = (flat - basis @ coefficients).var(axis=0).reshape(where.shape)
    np.testing.assert_allclose(variance, local, rtol=1e-4, atol=1e-6)
    zonal = local.mean(axis=2, keepdims=True)
    of_channel = (local * where.grid.area_weights).mean(axis=(1, 2))[:, None, None]
    np.testing.assert_allclose(found.scale**2, np.maximum(0.5 * local + 0.5 * zonal, 0.15**2 * of_channel), rtol=1e-3)


def test_modes_are_eigenvectors_of_the_covariance_of_neighbouring_waves():
    """Slowly: all states of all neighbours one below the other, each wave brought to the power of the one at hand."""
    z = climates.climate(climates.space(2, 16)).draw(np.random.default_rng(3).standard_normal((60, 3, 2, 16)))
    found = fit.correlation(z.astype(np.float32), 4)
    spectra = np.fft.rfft(z.reshape(60, 6, 16), norm="ortho")
    for k in (0, 1, 2, 7, 8):
        near = fit.neighbours(k, 16)
        power = lambda j: (np.abs(spectra[..., j]) ** 2).sum()  # noqa: E731
        stacked = np.concatenate([spectra[..., j] * np.sqrt(power(k) / power(j) / len(near)) for j in near])
        covariance = stacked.T @ stacked.conj() / 60
        values = np.linalg.eigvalsh(covariance)[::-1][:4]
        np.testing.assert_allclose(found.variance[k], np.maximum(values, found.rest[k]), rtol=1e-3)
        modes = found.modes[k]
        np.testing.assert_allclose(modes.conj() @ modes.T, np.eye(4), atol=1e-5)
        np.testing.assert_allclose(np.einsum("mi,ij,mj->m", modes.conj(), covariance, modes).real, values, rtol=1e-3)


def test_real_waves_have_no_neighbours_and_others_none_that_is_real():
    assert [list(fit.neighbours(k, 16)) for k in (0, 1, 2, 7, 8)] == [[0], [1, 2], [1, 2, 3], [5, 6, 7], [8]]
    assert list(fit.neighbours(3, 7)) == [2, 3]  # an odd number of longitudes has no shortest wave


def test_the_rest_is_what_unseen_states_have_outside_the_modes():
    """From 40 states for 64 rows: inside the states themselves next to nothing is left outside of 20 modes."""
    z = climates.climate(climates.space(16, 16), modes=2, rest=0.2).draw(
        np.random.default_rng(4).standard_normal((40, 3, 16, 16)))
    z /= z.std()
    found = fit.correlation(z.astype(np.float32), 20)
    spectra = np.fft.rfft(z.reshape(40, 48, 16), norm="ortho")
    for k in (0, 8):
        half = np.linalg.eigh(spectra[:20, :, k].T @ spectra[:20, :, k].conj())[1][:, -20:]
        left = spectra[20:, :, k] - (spectra[20:, :, k] @ half.conj()) @ half.T
        np.testing.assert_allclose(found.rest[k], 0.75 * (np.abs(left) ** 2).sum() / 20 / (48 - 20), rtol=1e-3)
        own = np.linalg.eigvalsh(spectra[..., k].T @ spectra[..., k].conj() / 40)[:-20].mean()
        assert found.rest[k] > 2 * own


@pytest.mark.parametrize("poles", [False, True])
def test_many_draws_of_a_climate_give_it_back(poles):
    where = climates.space(4, 8, poles)
    true = climates.climate(where, modes=4, rest=0.002, zonal=True)
    found, _ = fit.fit(where, states(true, days(6000, 0.5)), days(6000, 0.5), 4)
    np.testing.assert_allclose(found.mean(climates.START), true.mean(climates.START), atol=0.2)
    np.testing.assert_allclose(found.variance(), true.variance(), rtol=0.12)
    size = np.prod(where.shape)
    units = np.eye(size).reshape(size, *where.shape)
    scale = np.sqrt(true.variance().ravel())
    fitted, expected = (one.covariance(units).reshape(size, size) / np.outer(scale, scale) for one in (found, true))
    np.testing.assert_allclose(fitted, expected, atol=0.06)


def test_the_ratio_of_variances_is_near_one_on_a_small_global_space():
    where = climates.space(16, 32)
    found, variance = fit.fit(where, states(climates.climate(where, rest=0.002, zonal=True), days(300)), days(300), 10)
    ratio = found.variance().mean(axis=2) / variance.mean(axis=2)
    np.testing.assert_allclose(ratio, 1, atol=0.15)


def test_geopotential_keeps_its_digits():
    """A mean of 2e5 with deviations of 30: sums about zero would lose them in single precision."""
    where = climates.space()
    seconds = days(200)
    made = np.float32(2e5) + 10 * (states(climates.climate(where), seconds) - 280)
    _, variance = fit.fit(where, made.copy(), seconds, 3)
    exact = made.astype(np.float64).reshape(200, -1)
    left = exact - season.basis(seconds, 3) @ np.linalg.lstsq(season.basis(seconds, 3), exact, rcond=None)[0]
    np.testing.assert_allclose(variance.ravel(), left.var(axis=0), rtol=1e-3)


@pytest.mark.parametrize(("nlat", "nlon", "count", "modes"), [(60, 16, 24, 40), (8, 128, 400, 10)])
def test_the_memory_of_a_fit_is_about_what_is_told(nlat, nlon, count, modes):
    """Where covariances take most of it, and where states do."""
    where, seconds = climates.space(nlat, nlon), days(count)
    made = np.random.default_rng(1).standard_normal((count, *where.shape)).astype(np.float32)
    tracemalloc.start()
    found = fit.fit(where, made, seconds, modes)
    peak = tracemalloc.get_traced_memory()[1] + made.nbytes
    tracemalloc.stop()
    assert found[0].correlation.modes.shape == (nlon // 2 + 1, modes, 3 * nlat)
    assert 0.8 < peak / memory.estimate(where, count, modes) < 1.2


def test_a_fit_that_needs_more_memory_than_allowed_is_refused():
    assert memory.expect(climates.space(), 100, 10, None) == "memory: about 0.15 GB"
    with pytest.raises(UserError, match=r"the fit of 100 states needs about 0.15 GB, \[climate\] memory_gb allows 0.1"):
        memory.expect(climates.space(), 100, 10, 0.1)
