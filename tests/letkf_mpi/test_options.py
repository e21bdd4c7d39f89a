"""Methods beside the plain LETKF, through the analysis of whole columns."""

import numpy as np
import pytest

from contracts.variables import Quantity
from letkf_mpi.config import Analysis, Settings
from letkf_mpi.local.adaptive_relaxation import AdaptiveRtpp
from letkf_mpi.local.inflation import Adaptive, Constant
from letkf_mpi.local.localization import Localization
from letkf_mpi.local.relaxation import Rtpp
from letkf_mpi.local.update import LocalAnalysis
from letkf_mpi.solvers import Hybrid, Letkf, ParticleFilter, PerturbedObservations
from letkf_mpi.static.static_set import StaticColumns, StaticSet
from tests.letkf_mpi.ensembles import ALL, BASE, SPACE, K, ensemble, used, with_settings

LEVELS = SPACE.analysis_levels
REFERENCE = with_settings(analysis=Analysis(solver=Letkf(kernel="reference")))
STATIC = StaticSet(states="unused", size=K)


def analyse(table, settings=REFERENCE, alpha=None, **more):
    beta = np.ones((LEVELS.size, ALL.size))
    return LocalAnalysis(SPACE, table, settings, **more).tile(ALL, ensemble(), beta, alpha)


def with_draws(table):
    return rows(table, slice(None), noise=np.random.default_rng(9).standard_normal(table.Y.shape))


def rows(table, index, **more):
    names = ("Y", "d", "variance", "quantity", "lat", "lon", "pressure")
    return type(table)(*(getattr(table, name)[index] for name in names), **more)


def close(a, b):
    np.testing.assert_allclose(a.X, b.X, rtol=1e-6, atol=1e-9)


def test_a_limit_that_is_not_reached_changes_no_bit():
    table = used(60)
    limited = with_settings(analysis=REFERENCE.analysis, localization=Localization(nearest=60))
    assert np.array_equal(analyse(table, limited).X, analyse(table).X)


def test_a_limit_keeps_as_many_of_each_quantity_and_is_told():
    quantity = np.where(np.arange(90) < 30, Quantity.temperature, Quantity.u_component_of_wind)
    limited = with_settings(localization=Localization(horizontal_km=1e9, vertical_ln_p=1e6, nearest=20))
    found = analyse(used(90, quantity=quantity), limited).diagnostics
    assert (found.count == 40).all() and (found.left_out == 50).all()


def test_limited_to_the_nearest_it_is_the_analysis_of_those_alone():
    """All at one pressure and ever further from one column."""
    lat, lon = SPACE.grid.column_lat[40], SPACE.grid.column_lon[40]
    table = used(30, lat=lat + np.arange(30) * 0.3, lon=np.full(30, lon), pressure=np.full(30, 5e4))
    limited = with_settings(analysis=REFERENCE.analysis, localization=Localization(nearest=7))
    found, alone = analyse(table, limited), analyse(rows(table, slice(7)))
    assert np.array_equal(found.X[:, :, 40], alone.X[:, :, 40])


def test_perturbed_observations_without_noise_are_the_letkf():
    settings = with_settings(analysis=Analysis(solver=PerturbedObservations(share=0.0)))
    close(analyse(with_draws(used()), settings), analyse(used()))


def test_adaptive_inflation_is_refused_where_the_ensemble_is_not_all_of_the_covariance():
    hybrid = Analysis(solver=Hybrid(), static=STATIC)
    with pytest.raises(ValueError, match='method "adaptive" learns from .* and solver "hybrid" has static'):
        Settings(BASE.experiment, analysis=hybrid, inflation=Adaptive())
    assert Settings(BASE.experiment, analysis=hybrid, inflation=Constant()).inflation == Constant()


@pytest.mark.parametrize("share", [0.0, 0.7])
def test_the_hybrid_with_the_ensemble_as_static_set_is_the_letkf(share):
    table, X = used(), ensemble().astype(float)
    static = StaticColumns.of(X - X.mean(axis=0), ALL, SPACE)
    settings = with_settings(analysis=Analysis(solver=Hybrid(share=share), static=STATIC))
    close(analyse(rows(table, slice(None), static=table.Y), settings, static=static), analyse(table))


def test_static_columns_are_found_by_their_number_in_the_grid():
    mine = np.array([17, 3, 40])
    X = np.random.default_rng(1).standard_normal((5, len(SPACE.channels), 3))
    static = StaticColumns.of(X, mine, SPACE)
    assert np.array_equal(static.at(3, np.array([2, 4])), X[:, [2, 4], 1].T)


def test_adaptive_relaxation_uses_the_field_that_it_finds_and_learns_the_next():
    settings = with_settings(analysis=REFERENCE.analysis, relaxation=AdaptiveRtpp(smoothing=0.3))
    fixed = with_settings(analysis=REFERENCE.analysis, relaxation=Rtpp(alpha=0.6))
    alpha = np.full((LEVELS.size, ALL.size), 0.6)
    found, expected = analyse(used(), settings, alpha), analyse(used(), fixed)
    assert np.array_equal(found.X, expected.X)
    seen = found.diagnostics.count > 0
    assert (found.diagnostics.alpha[seen] != 0.6).any()
    np.testing.assert_allclose(found.diagnostics.alpha[~seen], 0.6, rtol=1e-15)
    np.testing.assert_allclose(expected.diagnostics.alpha, 0.6, rtol=1e-15)


def test_alpha_stays_where_there_is_not_a_single_observation():
    settings = with_settings(relaxation=AdaptiveRtpp())
    alpha = np.random.default_rng(2).uniform(0, 1, (LEVELS.size, ALL.size))
    local = LocalAnalysis(SPACE, rows(used(), slice(0)), settings)
    assert np.array_equal(local.unchanged(ALL, ensemble(), np.ones_like(alpha), alpha).diagnostics.alpha, alpha)


def test_particles_near_each_other_are_resampled_alike():
    """The draws are the same at every point: two columns that see the same get the same transform."""
    here = dict(lat=np.zeros(4), lon=np.zeros(4))
    settings = with_settings(analysis=Analysis(solver=ParticleFilter(resampling="monte_carlo")),
                             localization=Localization(horizontal_km=1e9))
    X = ensemble()
    X[:, :, 1] = X[:, :, 0]
    beta = np.ones((LEVELS.size, 2))
    found = LocalAnalysis(SPACE, used(4, **here), settings, seed=(1, 2)).tile(ALL[:2], X[:, :, :2], beta).X
    np.testing.assert_allclose(found[:, :, 0], found[:, :, 1], rtol=1e-6)
