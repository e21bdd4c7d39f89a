"""A large ensemble analysed as a small one: the same covariances, and the same analysis as point by point."""

import msgspec
import numpy as np
import pytest

from contracts.variables import Quantity
from letkf_mpi.kernel import lanes
from letkf_mpi.local import subspace
from letkf_mpi.local.inflation import Adaptive
from letkf_mpi.local.localization import Localization
from letkf_mpi.local.relaxation import NoRelaxation, Rtpp, Rtps
from letkf_mpi.local.subspace import Subspace
from letkf_mpi.local.update import LocalAnalysis
from letkf_mpi.solvers import Letkf
from obsoperator.departures import Used
from tests.letkf_mpi import ensembles
from tests.letkf_mpi.ensembles import ALL, SPACE, with_settings

MEMBERS, ROWS = 170, 40
COLUMNS = ALL[np.r_[17:30, 80:83]]


def observed(k: int = MEMBERS, p: int = ROWS) -> tuple[np.ndarray, np.ndarray]:
    """Perturbations of what is observed (p, k), of which the last row repeats the first, and of a state (50, k)."""
    rng = np.random.default_rng(3)
    Y, X = rng.standard_normal((p, k)), rng.standard_normal((50, k))
    X[:20] += Y[:20]
    Y[-1] = Y[0]
    return Y - Y.mean(axis=1, keepdims=True), X - X.mean(axis=1, keepdims=True)


def test_the_smaller_ensemble_has_the_covariances_of_what_is_observed_and_zero_mean():
    Y, X = observed()
    seen = Subspace.of(Y)
    small_Y, small_X = seen.smaller(Y), seen.smaller(X)
    n = small_Y.shape[1]
    assert n == ROWS + 1
    for small, large in ((small_Y, Y), (small_X, X)):
        np.testing.assert_allclose(small @ small_Y.T / (n - 1), large @ Y.T / (MEMBERS - 1), atol=1e-12)
        np.testing.assert_allclose(small.sum(axis=1), 0, atol=1e-10)


def test_there_and_back_and_what_lies_across_are_the_whole():
    Y, X = observed()
    seen = Subspace.of(Y)
    np.testing.assert_allclose(seen.larger(seen.smaller(X)) + seen.across(X), X, atol=1e-12)
    np.testing.assert_allclose(seen.across(X) @ Y.T, 0, atol=1e-10)
    np.testing.assert_allclose(seen.across(Y), 0, atol=1e-12)


def test_it_pays_for_many_members_and_few_observations_only():
    rows = np.array([0, 1, 50, 400, 900])
    assert subspace.size(1000, rows).tolist() == [1000, 2, 51, 401, 1000]
    assert subspace.size(200, rows).tolist() == [200, 2, 51, 200, 200]
    assert subspace.size(80, rows).tolist() == [80] * 5


@pytest.fixture(params=["float32", "float64"])
def precision(request) -> str:
    if lanes.compiled() is None:
        pytest.skip("the compiled kernel could not be built")
    return request.param


def table(p: int = ROWS, k: int = MEMBERS) -> Used:
    """Soundings of five rows each, two quantities."""
    rng = np.random.default_rng(5)
    Y = rng.standard_normal((p, k))
    site = np.arange(p) // 5
    return Used(Y - Y.mean(axis=1, keepdims=True), 2 * rng.standard_normal(p), rng.uniform(0.5, 2.0, p),
                np.where(np.arange(p) % 2, Quantity.temperature, Quantity.u_component_of_wind),
                np.linspace(-60.0, 60.0, 8)[site % 8], np.linspace(0.0, 300.0, 8)[site % 8],
                rng.choice([50000.0, 85000.0], p))


def members(k: int = MEMBERS) -> np.ndarray:
    rng = np.random.default_rng(1)
    X = rng.standard_normal((k, len(SPACE.channels), ALL.size)) + 20.0
    X[:, SPACE.index("specific_humidity")] -= 18.0  # some are negative afterwards
    return X.astype(np.float32)


@pytest.mark.parametrize("relaxation", [NoRelaxation(), Rtpp(), Rtps(alpha=0.9)], ids=["none", "rtpp", "rtps"])
@pytest.mark.parametrize("localization", [Localization(), Localization(nearest=4),
                                          Localization(updated_by={"temperature": ("temperature",)})],
                         ids=["all", "nearest", "by variable"])
def test_a_tile_of_many_members_is_what_its_points_are(precision, relaxation, localization):
    def with_solver(solver: Letkf) -> LocalAnalysis:
        analysis = msgspec.structs.replace(ensembles.BASE.analysis, solver=solver, humidity_below_hpa=500.0)
        return LocalAnalysis(SPACE, table(), with_settings(relaxation=relaxation, localization=localization,
                                                           analysis=analysis, inflation=Adaptive(prior_sd=0.5)))

    beta = np.linspace(1.0, 1.3, SPACE.analysis_levels.size)[:, None] * np.linspace(0.95, 1.1, COLUMNS.size)
    X, error = members()[:, :, COLUMNS], {"float32": 2e-5, "float64": 1e-6}[precision]
    local = with_solver(Letkf(precision=precision))
    assert local.kernel is not None and local.kernel.few(local.kernel.near(COLUMNS))
    found, expected = local.tile(COLUMNS, X, beta), with_solver(Letkf(kernel="reference")).tile(COLUMNS, X, beta)
    np.testing.assert_allclose(found.X, expected.X, atol=20 * 2e-7 + error)
    np.testing.assert_array_equal(local.tile(COLUMNS, X, beta).X, found.X)
    assert np.abs(found.X - X).max() > 0.5 and expected.diagnostics.count.max() > 0
    for name in ("mean", "spread", "least", "most", "background_spread", "weight", "inflation", "signal", "relaxation"):
        np.testing.assert_allclose(getattr(found.diagnostics, name), getattr(expected.diagnostics, name),
                                   atol=4e-6 + error, rtol=1e-6, err_msg=name)
    for name in ("count", "left_out", "clipped"):
        np.testing.assert_array_equal(getattr(found.diagnostics, name), getattr(expected.diagnostics, name))


def test_few_members_or_many_observations_go_the_usual_way(precision):
    for k, p in ((MEMBERS, 400), (20, ROWS)):
        settings = with_settings(localization=Localization(horizontal_km=5000.0))
        kernel = LocalAnalysis(SPACE, table(p, k), settings).kernel
        assert not kernel.few(kernel.near(COLUMNS))
