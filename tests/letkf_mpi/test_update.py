"""The analysis of whole columns: the filter's laws with everything around the solver in place."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import cast

import msgspec
import numpy as np
import pytest

from contracts.errors import UserError
from contracts.variables import Quantity
from letkf_mpi import files
from letkf_mpi.config import Settings
from letkf_mpi.kernel import lanes
from letkf_mpi.local.inflation import Adaptive, Constant
from letkf_mpi.local.localization import Localization
from letkf_mpi.local.relaxation import NoRelaxation, Rtpp, Rtps
from letkf_mpi.local.update import Diagnostics, LocalAnalysis
from letkf_mpi.ranks.parallel import World
from letkf_mpi.solvers import Letkf
from letkf_mpi.totals import Totals
from obsoperator.departures import Used
from tests.letkf_mpi import ensembles
from tests.letkf_mpi.ensembles import ALL, SPACE, K, ensemble, used, with_settings

AREA = SPACE.grid.area_weights.reshape(-1) / SPACE.grid.size
ERRORS = {"float64": 0.0, "float32": 1e-5}  # of a weight by the kernel, in units of the spread
KERNELS = ["reference", *(f"{precision} {name}" for precision in ERRORS for name in lanes.instructions() or ("none",))]


@pytest.fixture(autouse=True, params=KERNELS)
def error(request, monkeypatch) -> float:
    """Every law holds for the reference and for the kernel in both precisions with all instructions, to an `error`."""
    if request.param != "reference" and lanes.compiled() is None:
        pytest.skip("the compiled kernel could not be built")
    precision, _, instructions = request.param.partition(" ")
    solver = Letkf(precision=precision) if instructions else Letkf(kernel="reference")
    monkeypatch.setenv(lanes.INSTRUCTIONS, instructions)
    analysis = msgspec.structs.replace(ensembles.BASE.analysis, solver=solver)
    monkeypatch.setattr(ensembles, "BASE", msgspec.structs.replace(ensembles.BASE, analysis=analysis))
    return ERRORS.get(precision, 0.0)


def assert_close(found, expected, error, rtol=2e-7):
    """Members (k, channel, column): to rounding as written, and `error` times the background's spread."""
    scale = ensemble().std(axis=(0, 2))[:, None]
    assert (np.abs(found - expected) <= rtol * np.abs(expected) + error * scale + 1e-9).all()


def rows(table: Used, index) -> Used:
    columns = {name: getattr(table, name) for name in Used.__dataclass_fields__}
    return Used(**{name: None if column is None else column[index] for name, column in columns.items()})


def analyse(table, settings=None, columns=ALL, beta=1.0):
    X = ensemble()[:, :, columns]
    inflation = np.full((SPACE.analysis_levels.size, columns.size), beta)
    return LocalAnalysis(SPACE, table, settings or with_settings()).tile(columns, X, inflation)


def test_equals_the_kalman_filter_without_localisation(error):
    """All channels and columns against the gain with sample covariances, when the taper is 1 everywhere."""
    table = used(12)
    everywhere = with_settings(localization=Localization(horizontal_km=1e9, vertical_ln_p=1e6))
    X = ensemble().reshape(K, -1).astype(float)
    mean, perturbations = X.mean(axis=0), X - X.mean(axis=0)
    cross = perturbations.T @ table.Y.T / (K - 1)
    gain = cross @ np.linalg.inv(table.Y @ table.Y.T / (K - 1) + np.diag(table.variance))
    variance = (perturbations**2).sum(axis=0) / (K - 1) - np.einsum("np,np->n", gain, cross)

    found = analyse(table, everywhere).diagnostics

    rounding = 2.0**-23 * np.abs(X).max(axis=0) + error * perturbations.std(axis=0)  # members are written as float32
    assert (np.abs(found.mean.reshape(-1) - (mean + gain @ table.d)) <= rounding).all()
    assert (np.abs(found.spread.reshape(-1) - np.sqrt(variance)) <= 2 * rounding).all()


def test_an_observation_beyond_the_cutoff_changes_no_bit():
    table, column = used(30), np.array([40])
    lat, lon = SPACE.grid.column_lat[40], SPACE.grid.column_lon[40]
    reach = ensembles.BASE.localization.reach_km / 111.195  # degrees
    table.lat[0], table.lon[0] = lat + reach * 1.001, lon
    table.lat[1], table.lon[1] = lat + reach * 0.9, lon
    kept = np.arange(30) != 0
    assert np.array_equal(analyse(table, columns=column).X, analyse(rows(table, kept), columns=column).X)
    assert not np.array_equal(analyse(table, columns=column).X,
                              analyse(rows(table, np.arange(30) != 1), columns=column).X)


def test_an_observation_above_the_vertical_cutoff_changes_no_bit_of_a_level():
    settings = with_settings(localization=Localization(vertical_ln_p=0.1))  # reach 0.365 in ln p
    table = used(30, pressure=np.where(np.arange(30) == 0, 50_000.0, 85_000.0), lat=np.zeros(30), lon=np.zeros(30))
    column = np.array([SPACE.grid.size // 2])
    low = SPACE.pressure >= 80_000.0
    with_it, without = analyse(table, settings, column), analyse(rows(table, np.arange(30) != 0), settings, column)
    assert np.array_equal(with_it.X[:, low], without.X[:, low])
    assert not np.array_equal(with_it.X[:, ~low], without.X[:, ~low])
    assert with_it.diagnostics.count[:, 0].tolist() == [1, 29, 29, 29]  # 500, 850, 925, 1000 hPa


def test_a_variable_is_updated_by_the_quantities_named_for_it_and_the_others_by_all():
    wind = np.where(np.arange(60) < 30, Quantity.temperature, Quantity.u_component_of_wind)
    table = used(60, quantity=wind)
    only = Localization(updated_by={"specific_humidity": ("temperature",), "geopotential": ()})
    found, plain = analyse(table, with_settings(localization=only)).X, analyse(table).X
    humidity, geopotential = SPACE.index("specific_humidity"), SPACE.index("geopotential")
    others = np.setdiff1d(np.arange(len(SPACE.channels)), [*humidity, *geopotential])
    assert np.array_equal(found[:, others], plain[:, others])
    assert np.array_equal(found[:, humidity], analyse(rows(table, wind == Quantity.temperature)).X[:, humidity])
    assert np.array_equal(found[:, geopotential], ensemble()[:, geopotential])


def test_order_of_observations_is_irrelevant_to_rounding(error):
    table = used(200)
    shuffled = rows(table, np.random.default_rng(3).permutation(200))
    assert_close(analyse(table).X, analyse(shuffled).X, error)


@pytest.mark.parametrize("beta", [1.0, 1.1])
def test_columns_without_observations_keep_the_background_but_for_inflation(beta):
    X = ensemble().astype(float)
    expected = X.mean(axis=0) + np.sqrt(beta) * (X - X.mean(axis=0))
    found = analyse(rows(used(), slice(0)), beta=beta)
    np.testing.assert_allclose(found.X, expected, rtol=2e-7)
    assert not found.diagnostics.count.any()
    if beta == 1.0:
        assert np.array_equal(found.X, ensemble())


def test_without_any_observation_the_background_is_the_analysis_whatever_the_inflation():
    inflation = np.full((SPACE.analysis_levels.size, ALL.size), 1.3)
    found = LocalAnalysis(SPACE, rows(used(), slice(0)), with_settings()).unchanged(ALL, ensemble(), inflation)
    assert np.array_equal(found.X, ensemble()) and np.array_equal(found.diagnostics.inflation, inflation)


def test_tiles_are_independent():
    whole = analyse(used(100)).X
    part = analyse(used(100), columns=ALL[17:21]).X
    assert np.array_equal(part, whole[:, :, 17:21])


def test_tiles_in_two_threads_at_once_give_the_same_bits():
    local, inflation = LocalAnalysis(SPACE, used(100), with_settings()), np.full((SPACE.analysis_levels.size, 8), 1.1)
    parts = ALL.reshape(-1, 8)

    def tile(columns: np.ndarray) -> bytes:
        return local.tile(columns, ensemble()[:, :, columns], inflation).X.tobytes()

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(tile, parts)) == [tile(columns) for columns in parts]


def test_relaxation_is_towards_the_uninflated_background():
    found = analyse(used(), with_settings(relaxation=Rtpp(alpha=1.0)), beta=2.0)
    X = ensemble().astype(float)
    np.testing.assert_allclose(found.X - found.diagnostics.mean, X - X.mean(axis=0), rtol=1e-3, atol=1e-4)
    assert (found.diagnostics.relaxation > 0).all()


def test_relaxation_factor_is_spread_after_over_before():
    plain, relaxed = analyse(used()).diagnostics, analyse(used(), with_settings(relaxation=Rtpp(alpha=0.5))).diagnostics
    levels = SPACE.analysis_levels
    ratio = relaxed.spread / plain.spread
    expected = np.stack([ratio[SPACE.pressure == level].mean(axis=0) for level in levels])
    np.testing.assert_allclose(relaxed.relaxation, expected, rtol=1e-4)
    np.testing.assert_allclose(plain.relaxation, 1.0)


def test_humidity_is_kept_aloft_and_never_negative():
    analysis = msgspec.structs.replace(ensembles.BASE.analysis, humidity_below_hpa=500.0)
    found = analyse(used(40, d=np.full(40, 50.0)), with_settings(analysis=analysis))
    top, low = SPACE.index("specific_humidity")[0], SPACE.index("specific_humidity")[1:]
    assert np.array_equal(found.X[:, top], ensemble()[:, top])
    assert (found.X[:, low] >= 0).all()
    zeros = (found.X[:, low] == 0).sum()
    assert zeros == found.diagnostics.clipped.sum() > 0


def test_surface_channels_use_the_transform_of_their_nominal_pressure():
    """An observation at the nominal pressure under the column moves a surface channel by the undamped gain."""
    column = np.array([40])
    here = dict(lat=SPACE.grid.column_lat[column], lon=SPACE.grid.column_lon[column], pressure=np.array([1e5]))
    table = used(1, **here)
    settings = with_settings(localization=Localization(vertical_ln_p=0.01))
    found = analyse(table, settings, column).diagnostics.mean[-1, 0]
    x = ensemble()[:, -1, 40].astype(float)
    gain = ((x - x.mean()) @ table.Y[0]) / (table.Y[0] @ table.Y[0] + (K - 1) * table.variance[0])
    assert found == pytest.approx(x.mean() + gain * table.d[0], rel=1e-6)


def by_points(settings: Settings) -> Settings:
    """The same settings for the reference."""
    solver = msgspec.structs.replace(settings.analysis.solver, kernel="reference")
    return msgspec.structs.replace(settings, analysis=msgspec.structs.replace(settings.analysis, solver=solver))


RELAXED = {"none": NoRelaxation(), "rtpp": Rtpp(), "rtps": Rtps()}
LOCALIZED = {
    "all": Localization(),
    "near": Localization(horizontal_km=300.0, vertical_ln_p=0.05, taper="gaspari_cohn"),
    "by variable": Localization(updated_by={"temperature": ("temperature",), "geopotential": ()}),
    "nearest": Localization(nearest=4),
    "nearest of types": Localization(nearest={"ADPUPA": 6, "AIRCFT": 1, "temperature": 5}),
    "nearest by variable": Localization(nearest=3, updated_by={"temperature": ("temperature",), "geopotential": ()}),
}


# Not RTPS with allones, which makes much of the rounding that is left of the spread.
@pytest.mark.parametrize(("relaxation", "noobs_transform"), [("none", "identity"), ("rtpp", "identity"),
                                                             ("rtps", "identity"), ("rtpp", "allones")])
@pytest.mark.parametrize("localization", LOCALIZED)
def test_a_tile_is_what_its_points_are(relaxation, localization, noobs_transform, error):
    """Everything that is written and told, by the kernel and point by point."""
    solver = msgspec.structs.replace(ensembles.BASE.analysis.solver, noobs_transform=noobs_transform)
    analysis = msgspec.structs.replace(ensembles.BASE.analysis, solver=solver, humidity_below_hpa=500.0)
    settings = with_settings(relaxation=RELAXED[relaxation], localization=LOCALIZED[localization], analysis=analysis,
                             inflation=Adaptive(prior_sd=0.5))
    table = used(90, quantity=np.where(np.arange(90) % 2, Quantity.temperature, Quantity.u_component_of_wind),
                 message_type=np.where(np.arange(90) % 3, b"ADPUPA", b"AIRCFT"))
    table.lat[:45], table.lon[:45], table.d[:] = 30.0, 40.0, 3.0 * table.d  # a sounding among others
    columns = ALL[np.r_[17:30, 80:107]]
    found, expected = analyse(table, settings, columns, 1.05), analyse(table, by_points(settings), columns, 1.05)
    kernel = LocalAnalysis(SPACE, table, settings).kernel
    assert kernel is not None or ensembles.BASE.analysis.solver.kernel == "reference"

    assert_close(found.X, expected.X, error)
    assert found.diagnostics.count.min() == 0 and np.array_equal(found.diagnostics.count, expected.diagnostics.count)
    assert np.array_equal(found.diagnostics.left_out, expected.diagnostics.left_out)
    assert (found.diagnostics.left_out.max() > 0) == localization.startswith("nearest")
    for name in ("weight", "inflation"):  # a taper's own error is beside 1, so that it shows at the rim
        np.testing.assert_allclose(getattr(found.diagnostics, name), getattr(expected.diagnostics, name), rtol=1e-12,
                                   atol=1e-14)
    np.testing.assert_allclose(found.diagnostics.signal, expected.diagnostics.signal, atol=1e-10 + error)
    np.testing.assert_allclose(found.diagnostics.background_spread, expected.diagnostics.background_spread, rtol=1e-12)
    scale = ensemble().std(axis=(0, 2))[:, None]
    rounding = 3e-7 * np.abs(expected.X).max(axis=0) + error * scale + 1e-9
    for name in ("mean", "spread", "least", "most"):
        difference = getattr(found.diagnostics, name) - getattr(expected.diagnostics, name)
        assert (np.abs(difference) <= rounding).all(), name
    if noobs_transform == "identity":  # a collapsed ensemble has no spread to compare with
        np.testing.assert_allclose(found.diagnostics.relaxation, expected.diagnostics.relaxation, rtol=1e-9 + error)
        assert np.array_equal(found.diagnostics.clipped, expected.diagnostics.clipped)


@pytest.mark.parametrize("relaxation", RELAXED)
def test_a_tile_is_what_its_points_are_where_the_condition_number_is_large(relaxation, error):
    """Single precision hands most of these points over to double, so that weights are as exact as anywhere."""
    table = used(60)
    table.Y[:] *= 30.0
    settings, columns = with_settings(relaxation=RELAXED[relaxation]), ALL[np.r_[17:30, 80:91]]
    found, expected = analyse(table, settings, columns, 1.1), analyse(table, by_points(settings), columns, 1.1)
    assert_close(found.X, expected.X, error)
    assert np.abs(found.diagnostics.mean - ensemble()[:, :, columns].mean(axis=0)).max() > 0
    np.testing.assert_allclose(found.diagnostics.signal, expected.diagnostics.signal, atol=1e-9 + error)


def test_inflation_of_its_own_on_each_level(error):
    """A factor for each analysis level: the kernel as the points, and where nothing is observed the root of it."""
    factors = (1.0, 1.1, 1.21, 1.44)  # 500, 850, 925, 1000 hPa
    settings = with_settings(inflation=Constant(factor=factors))
    beta = np.repeat(settings.inflation.start(SPACE.analysis_levels)[:, None], ALL.size, axis=1)

    def tile(table, settings):
        return LocalAnalysis(SPACE, table, settings).tile(ALL, ensemble(), beta)

    found, expected = tile(used(), settings), tile(used(), by_points(settings))
    assert_close(found.X, expected.X, error)
    assert np.array_equal(found.diagnostics.inflation, beta)
    alone = tile(used(1, pressure=np.ones(1)), settings).diagnostics  # high above every channel
    root = np.sqrt(factors)[np.searchsorted(SPACE.analysis_levels, SPACE.pressure)][:, None]
    kept = SPACE.index("specific_humidity")  # whose negative ones are set to 0
    ratio = np.delete(alone.spread / alone.background_spread - root, kept, axis=0)
    assert not alone.count.any() and np.abs(ratio).max() < 1e-4


@pytest.mark.parametrize("lost", ["d", "Y"])
def test_a_number_that_is_not_finite_stands_in_all_that_is_told(lost):
    """Every member has it at every point; the reference may find at once that there are no eigenvalues."""
    table = used(12)
    getattr(table, lost)[3] = np.nan
    try:
        found = analyse(table, with_settings(localization=Localization(horizontal_km=1e9))).diagnostics
    except np.linalg.LinAlgError:
        assert lost == "Y" and ensembles.BASE.analysis.solver.kernel == "reference"
        return
    for name in ("mean", "spread", "least", "most"):
        assert np.isnan(getattr(found, name)).all(), name


def totals(told: Diagnostics, order: np.ndarray = ALL) -> Totals:
    """Of all columns in some order, with nobody else to add to them."""
    alone = cast(World, SimpleNamespace(total=lambda mine: mine, largest=lambda mine: mine))
    return Totals.of(alone, told.each(lambda of_all: of_all[..., order]), AREA[order])


def test_sums_over_columns_are_exact_and_near_those_of_floating_point():
    told = analyse(used(12)).diagnostics
    shuffled = totals(told, np.random.default_rng(0).permutation(ALL.size))
    for name in ("spread", "background_spread"):
        found = getattr(totals(told), name)
        np.testing.assert_allclose(found, getattr(told, name) @ AREA, rtol=1e-9)
        assert np.array_equal(getattr(shuffled, name), found)


def test_a_number_that_is_not_finite_is_refused_before_anything_is_written():
    told = analyse(used(12)).diagnostics
    files.check(totals(told), SPACE, least_spread=0.0)
    for name in (*Diagnostics.BY_CHANNEL, *Diagnostics.BY_LEVEL):
        spoilt = getattr(told, name).copy()
        spoilt[2, 5] = np.nan
        with pytest.raises(UserError, match=f"^{name} of the analysis is not finite in 1 of {ALL.size} columns"):
            files.check(totals(dataclasses.replace(told, **{name: spoilt})), SPACE, least_spread=0.0)


def test_what_is_told_of_a_column_takes_the_memory_that_is_said():
    told = analyse(used()).diagnostics
    taken = sum(getattr(told, field.name).nbytes for field in dataclasses.fields(told))
    assert taken == Diagnostics.bytes_of(len(SPACE.channels), SPACE.analysis_levels.size) * ALL.size


def test_degrees_of_freedom_for_signal_are_the_trace_of_the_gain():
    """One column that sees every observation undamped: tr(H K) with the gain of the dense Kalman filter."""
    table, everywhere = used(12), Localization(horizontal_km=1e9, vertical_ln_p=1e6)
    P = 1.2 * table.Y @ table.Y.T / (K - 1)
    expected = np.trace(P @ np.linalg.inv(P + np.diag(table.variance)))
    found = analyse(table, with_settings(localization=everywhere), ALL[:3], 1.2).diagnostics.signal
    np.testing.assert_allclose(found, expected, rtol=1e-5)
