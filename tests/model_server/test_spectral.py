"""The spectral filter: what passes, what falls, and any model behind it."""

from datetime import timedelta

import numpy as np
import pytest
from scipy.special import sph_harm_y

from contracts import state
from contracts.errors import UserError
from contracts.grid import Grid
from contracts.state import StateSpace
from model_server import config, spectral
from model_server.forecast import forecast, model_of
from model_server.models.base import Batch
from model_server.models.filtered import filtered
from model_server.spectral import Filter
from tests import builders

GRIDS = [Grid.regular(32, 64), Grid.regular(33, 64, True), Grid.regular(24, 40)]


def harmonic(grid: Grid, n: int, m: int, phase: float = 0.3) -> np.ndarray:
    """A real harmonic (lat, lon) of degree n and order m, by SciPy."""
    lat, lon = np.meshgrid(np.deg2rad(grid.lat), np.deg2rad(grid.lon), indexing="ij")
    return (sph_harm_y(n, m, np.pi / 2 - lat, lon) * np.exp(1j * phase)).real


def one_field(grid: Grid) -> StateSpace:
    return StateSpace.of(grid, [50_000.0], ["temperature"], [])


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_each_harmonic_is_multiplied_with_the_response_of_its_degree(grid):
    most = min(grid.shape[0], grid.shape[1] // 2) - 1
    sigma = spectral.response(most, 4, 3.0)
    a_filter = Filter.of(one_field(grid), sigma)
    for n in range(most + 1):
        for m in {0, n // 2, n}:
            before = harmonic(grid, n, m)
            np.testing.assert_allclose(a_filter.scalars(before[None])[0], sigma[n] * before, atol=2e-9)


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_harmonics_up_to_the_truncation_pass_a_pure_truncation_and_those_beyond_do_not(grid):
    """Of the degrees beyond, zonal wavenumbers above the truncation hold nothing that could pass."""
    a_filter = Filter.of(one_field(grid), spectral.response(10, 16, 0.0))
    for n in range(11):
        np.testing.assert_allclose(a_filter.scalars(harmonic(grid, n, n)[None])[0], harmonic(grid, n, n), atol=1e-9)
    for n in range(11, 17):
        assert np.abs(a_filter.scalars(harmonic(grid, n, n)[None])).max() < 1e-9
        before = harmonic(grid, n, 2)  # all of these are orthogonal to those that pass, on the sphere; nearly so here
        assert np.linalg.norm(a_filter.scalars(before[None])) < 0.1 * np.linalg.norm(before)


def test_a_constant_passes_to_the_last_bit_of_what_files_hold():
    grid = GRIDS[0]
    a_filter = Filter.of(one_field(grid), spectral.response(21, 16, 2.0))
    for value in (5.4321e5, 273.15, 1.2e-3):
        before = np.full((1, *grid.shape), value, np.float32)
        np.testing.assert_array_equal(a_filter.scalars(before).astype(np.float32), before)


def test_the_response_falls_as_its_definition_says():
    sigma = spectral.response(20, 16, 2.0)
    assert sigma[0] == 1.0 and sigma[20] == pytest.approx(np.exp(-2.0)) and sigma[10] > 0.9999
    assert (np.diff(sigma) <= 0).all()


def test_a_wind_across_the_pole_passes_as_a_vector():
    """Solid-body rotation about an axis in the plane of the equator: as scalars its components do not pass."""
    grid = GRIDS[0]
    where = StateSpace.of(grid, [50_000.0], ["u_component_of_wind", "v_component_of_wind"], [])
    lat, lon = np.meshgrid(np.deg2rad(grid.lat), np.deg2rad(grid.lon), indexing="ij")
    wind = np.stack([-np.sin(lat) * np.cos(lon), np.sin(lon)])
    a_filter = Filter.of(where, spectral.response(10, 16, 0.0))
    np.testing.assert_allclose(a_filter.state(wind), wind, atol=1e-12)
    assert np.abs(a_filter.scalars(wind) - wind).max() > 0.01


def test_a_truncation_that_the_grid_does_not_resolve_is_refused(experiment):
    settings = experiment('[model]\nname = "persistence"\nspectral_filter = { truncation = 32 }\n')
    with pytest.raises(UserError, match=r"spectral_filter: a truncation of 32 is more than the 32 x 64 grid.*31"):
        model_of(settings)


def with_filter(persistence: config.Settings, folder, what: str) -> config.Settings:
    path = folder / "experiment.toml"
    text = path.read_text().replace("batch = 2\n", f"batch = 2\nspectral_filter = {{ {what} }}\n")
    path.write_text(text)
    return config.load(path)


def test_every_model_can_have_it_and_a_member_keeps_its_bits_whatever_it_is_batched_with(persistence, tmp_path):
    settings = with_filter(persistence, tmp_path, "truncation = 5, strength = 1.0, order = 2")
    forecast(settings, builders.TIME)
    folder, later = settings.experiment.folder, builders.TIME + timedelta(hours=6)
    data = np.stack([state.read(path, settings.space).data for path in folder.at(builders.TIME).analysis.members(3)])
    expected = Filter.of(settings.space, spectral.response(5, 2, 1.0))
    for number, before in enumerate(data, start=1):
        found = state.read(folder.at(later).background.member(number), settings.space, later).data
        np.testing.assert_array_equal(found, expected.state(before).astype(np.float32))
        assert np.abs(found - before).max() > 1.0


def test_a_model_with_a_state_of_its_own_takes_the_filter_up_as_it_does_an_analysis(speedy):
    filtering = filtered(speedy, config.SpectralFilter(truncation=10))
    assert filtering.keeps_restart
    batch = speedy.cold_start(builders.TIME)
    plain = speedy.step(batch)
    sigma = spectral.response(10, 16, 2.0)
    data = Filter.of(speedy.space, sigma).state(plain.data[0]).astype(np.float32)[None]
    assert np.abs(data - plain.data).max() > 0.1
    first = filtering.step(batch)
    np.testing.assert_array_equal(first.data, data)
    analysed = speedy.step(Batch(plain.time, data, plain.restart))
    second = filtering.step(first)
    for name, array in analysed.restart[0].items():
        np.testing.assert_array_equal(second.restart[0][name], array, err_msg=name)
    assert any((second.restart[0][name] != array).any() for name, array in speedy.step(plain).restart[0].items())


def test_filtering_the_change_leaves_a_model_that_changes_nothing_as_it_is(persistence, tmp_path):
    model = model_of(with_filter(persistence, tmp_path, 'truncation = 5, of = "change"'))
    data = builders.random_state(model.space).data[None]
    np.testing.assert_array_equal(model.step(Batch(builders.TIME, data, (None,))).data, data)
