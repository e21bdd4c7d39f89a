"""The analysis of whole columns: the filter's laws with everything around the solver in place."""

import msgspec
import numpy as np
import pytest

from contracts import config
from contracts.variables import Quantity
from letkf_mpi.config import Settings
from letkf_mpi.departures import Used
from letkf_mpi.localization import Localization
from letkf_mpi.relaxation import NoRelaxation, Rtpp
from letkf_mpi.update import LocalAnalysis, analysis_levels
from tests import builders

SPACE = builders.space()
K = 6
BASE = config.decode('[experiment]\nname = "x"\nstart = 1989-01-01T06:00:00Z\nend = 1989-01-01T06:00:00Z\n'
                     f"members = {K}", Settings, "test")  # fmt: skip
ALL = np.arange(SPACE.grid.size)


def with_settings(**sections) -> Settings:
    return msgspec.structs.replace(BASE, **({"relaxation": NoRelaxation()} | sections))


def ensemble(seed=0) -> np.ndarray:
    """(k, channel, column)"""
    members = [builders.random_state(SPACE, seed * 100 + i).data for i in range(K)]
    return np.stack(members).reshape(K, len(SPACE.channels), -1)


def used(n=30, seed=1, **changed) -> Used:
    rng = np.random.default_rng(seed)
    Y = rng.standard_normal((n, K))
    Y -= Y.mean(axis=1, keepdims=True)
    columns = dict(Y=Y, d=rng.standard_normal(n), variance=np.ones(n),
                   quantity=np.full(n, Quantity.temperature), lat=rng.uniform(-90, 90, n),
                   lon=rng.uniform(0, 360, n), pressure=rng.uniform(4e4, 1e5, n))  # fmt: skip
    return Used(**(columns | changed))


def rows(table: Used, index) -> Used:
    return Used(*(getattr(table, name)[index] for name in Used.__dataclass_fields__))


def analyse(table, settings=None, columns=ALL, beta=1.0):
    X = ensemble()[:, :, columns]
    inflation = np.full((analysis_levels(SPACE).size, columns.size), beta)
    return LocalAnalysis(SPACE, table, settings or with_settings()).tile(columns, X, inflation)


def test_equals_the_kalman_filter_without_localisation():
    """All channels and columns against the gain with sample covariances, when the taper is 1 everywhere."""
    table = used(12)
    everywhere = with_settings(localization=Localization(horizontal_km=1e9, vertical_ln_p=1e6))
    X = ensemble().reshape(K, -1).astype(float)
    mean, perturbations = X.mean(axis=0), X - X.mean(axis=0)
    cross = perturbations.T @ table.Y.T / (K - 1)
    gain = cross @ np.linalg.inv(table.Y @ table.Y.T / (K - 1) + np.diag(table.variance))
    variance = (perturbations**2).sum(axis=0) / (K - 1) - np.einsum("np,np->n", gain, cross)

    found = analyse(table, everywhere).diagnostics

    rounding = 2.0**-23 * np.abs(X).max(axis=0)  # members are written in single precision
    assert (np.abs(found.mean.reshape(-1) - (mean + gain @ table.d)) <= rounding).all()
    assert (np.abs(found.spread.reshape(-1) - np.sqrt(variance)) <= 2 * rounding).all()


def test_an_observation_beyond_the_cutoff_changes_no_bit():
    table, column = used(30), np.array([40])
    lat, lon = SPACE.grid.column_lat[40], SPACE.grid.column_lon[40]
    reach = BASE.localization.reach_km / 111.195  # degrees
    table.lat[0], table.lon[0] = lat + reach * 1.001, lon
    table.lat[1], table.lon[1] = lat + reach * 0.9, lon
    kept = np.arange(30) != 0
    assert np.array_equal(analyse(table, columns=column).X, analyse(rows(table, kept), columns=column).X)
    assert not np.array_equal(analyse(table, columns=column).X,
                              analyse(rows(table, np.arange(30) != 1), columns=column).X)  # fmt: skip


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


def test_order_of_observations_is_irrelevant_to_rounding():
    table = used(200)
    shuffled = rows(table, np.random.default_rng(3).permutation(200))
    np.testing.assert_allclose(analyse(table).X, analyse(shuffled).X, rtol=2e-7, atol=1e-9)


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
    inflation = np.full((analysis_levels(SPACE).size, ALL.size), 1.3)
    found = LocalAnalysis(SPACE, rows(used(), slice(0)), with_settings()).unchanged(ALL, ensemble(), inflation)
    assert np.array_equal(found.X, ensemble()) and np.array_equal(found.diagnostics.inflation, inflation)


def test_tiles_are_independent():
    whole = analyse(used(100)).X
    part = analyse(used(100), columns=ALL[17:21]).X
    np.testing.assert_allclose(part, whole[:, :, 17:21], rtol=2e-7, atol=1e-9)


def test_relaxation_is_towards_the_uninflated_background():
    settings = with_settings(relaxation=Rtpp(alpha=1.0))
    found, table = analyse(used(), settings, beta=2.0), used()
    X = ensemble().astype(float)
    np.testing.assert_allclose(found.X - found.diagnostics.mean, X - X.mean(axis=0), rtol=1e-3, atol=1e-4)
    assert (found.diagnostics.relaxation > 0).all() and len(table)


def test_relaxation_factor_is_spread_after_over_before():
    plain, relaxed = analyse(used()).diagnostics, analyse(used(), with_settings(relaxation=Rtpp(alpha=0.5))).diagnostics
    levels = analysis_levels(SPACE)
    ratio = relaxed.spread / plain.spread
    expected = np.stack([ratio[SPACE.pressure == level].mean(axis=0) for level in levels])
    np.testing.assert_allclose(relaxed.relaxation, expected, rtol=1e-4)
    np.testing.assert_allclose(plain.relaxation, 1.0)


def test_humidity_is_kept_aloft_and_never_negative():
    analysis = msgspec.structs.replace(BASE.analysis, humidity_below_hpa=500.0)
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
