"""Tempering: the parts together are the one step where H is linear, and what is told and relaxed is of the whole."""

from contextlib import contextmanager

import msgspec
import numpy as np
import pytest

from contracts.variables import Quantity
from letkf_mpi.config import Analysis, Settings
from letkf_mpi.kernel import lanes
from letkf_mpi.local import tempering
from letkf_mpi.local.columns import Columns
from letkf_mpi.local.inflation import Adaptive
from letkf_mpi.local.localization import Localization
from letkf_mpi.local.relaxation import NoRelaxation, Rtpp, Rtps
from letkf_mpi.local.update import LocalAnalysis
from letkf_mpi.shares import alone
from letkf_mpi.solvers import Letkf, ParticleFilter
from obsoperator.departures import Used
from tests.letkf_mpi.ensembles import ALL, BASE, SPACE, K, ensemble

EVERYWHERE = Localization(horizontal_km=1e9, vertical_ln_p=1e6)
SOLVERS = [Letkf(kernel="reference"), *([Letkf(precision="float64")] if lanes.compiled() else [])]
N = 20
RNG = np.random.default_rng(4)
H = RNG.standard_normal((N, SPACE.grid.size * len(SPACE.channels))) / ensemble().std(axis=0).reshape(-1)
H *= RNG.random(H.shape) < 0.02  # a linear operator: each number of a handful of others
VALUES = (H @ ensemble().mean(axis=0, dtype=float).reshape(-1)) + 9.0 * RNG.standard_normal(N)
LAT, LON = RNG.uniform(-90, 90, N), RNG.uniform(0, 360, N)
ERROR = np.full(N, 10.0)


def observed(X: np.ndarray) -> Used:
    """All observations by the members `X` (k, channel, column)."""
    hx = H @ X.astype(float).reshape(K, -1).T  # (n, k)
    mean = hx.mean(axis=1)
    return Used(hx - mean[:, None], VALUES - mean, ERROR**2, np.full(N, Quantity.temperature), LAT, LON,
                np.full(N, 85_000.0))


def analyse(parts, solver, beta=1.0, **sections):
    """The analysis of all columns (k, channel, column) and what is told of it."""
    sections = {"localization": EVERYWHERE, "relaxation": NoRelaxation()} | sections
    settings = msgspec.structs.replace(BASE, analysis=Analysis(solver=solver, tempering=parts), **sections)
    mine = Columns([ALL[:50], ALL[50:]], ensemble(), threads=1)

    @contextmanager
    def observe():
        yield observed(mine.X), alone

    levels = SPACE.analysis_levels
    local = LocalAnalysis(SPACE, observed(mine.X), settings)
    alpha = np.repeat(settings.relaxation.start(levels)[:, None], ALL.size, axis=1)
    told = tempering.analyse(mine, local, np.full(alpha.shape, beta), alpha, observe)
    return mine.X, told


def assert_same(found, expected):
    """To the rounding of members, which are written in single precision after each part."""
    scale = ensemble().std(axis=(0, 2))[:, None]
    assert (np.abs(found - expected) <= 4 * 2.0**-23 * np.abs(expected) + 2e-5 * scale).all()


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda solver: solver.kernel)
@pytest.mark.parametrize("parts", [2, 5, (0.2, 0.7, 0.1)], ids=str)
@pytest.mark.parametrize("relaxation", [NoRelaxation(), Rtpp(alpha=0.6), Rtps(alpha=1.1)])
def test_all_parts_are_the_one_step_where_h_is_linear_and_nothing_localised(solver, parts, relaxation):
    (found, told), (one, of_one) = (analyse(n, solver, beta=1.3, relaxation=relaxation) for n in (parts, 1))
    assert_same(found, one)
    assert np.abs(one - ensemble()).max() > 0.1
    rounding = 4 * 2.0**-23 * np.abs(of_one.mean)
    assert (np.abs(told.spread - of_one.spread) <= rounding + 2e-5 * of_one.spread).all()
    np.testing.assert_allclose(told.relaxation, of_one.relaxation, rtol=1e-4)
    np.testing.assert_allclose(told.background_spread, of_one.background_spread, rtol=1e-12)
    assert np.array_equal(told.count, of_one.count)


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda solver: solver.kernel)
def test_inflation_learns_once_and_from_the_errors_as_they_are(solver):
    tempered, one = (analyse(parts, solver, inflation=Adaptive())[1].inflation for parts in (4, 1))
    np.testing.assert_allclose(tempered, one, rtol=1e-12)
    assert np.abs(one - 1.0).max() > 1e-3


def test_relaxation_is_towards_the_first_background():
    found, _ = analyse(3, SOLVERS[0], relaxation=Rtpp(alpha=1.0))
    X = ensemble().astype(float)
    increment = found.mean(axis=0, dtype=float) - X.mean(axis=0)
    scale = X.std(axis=(0, 2))[:, None]
    assert (np.abs(found - X - increment) <= 2.0**-22 * np.abs(X) + 1e-6 * scale).all()


def test_with_localisation_they_are_the_same_where_the_taper_is_one(monkeypatch):
    """One number of one column is observed; that column and level see it whole, others tapered and updated less."""
    here, other = 40, 41
    channel = SPACE.index("temperature")[1]
    one = np.zeros((N, *ensemble().shape[1:]))
    one[:, channel, here] = 1.0  # twenty times the same
    monkeypatch.setitem(globals(), "H", one.reshape(N, -1))
    monkeypatch.setitem(globals(), "VALUES", one.reshape(N, -1) @ ensemble().mean(axis=0).reshape(-1) + 4.0)
    monkeypatch.setitem(globals(), "LAT", np.full(N, SPACE.grid.column_lat[here]))
    monkeypatch.setitem(globals(), "LON", np.full(N, SPACE.grid.column_lon[here]))
    local = Localization(horizontal_km=700.0)
    (parts, _), (whole, _) = (analyse(n, SOLVERS[0], localization=local) for n in (3, 1))
    assert_same(parts[:, channel, here][:, None, None], whole[:, channel, here][:, None, None])
    increments = [np.abs((X - ensemble()).mean(axis=0)[channel, other]) for X in (parts, whole)]
    assert 0 < increments[0] < 0.95 * increments[1]


def test_without_observations_the_background_stays_to_the_bit(monkeypatch):
    for name in ("H", "VALUES", "LAT", "LON", "ERROR"):
        monkeypatch.setitem(globals(), name, globals()[name][:0])
    monkeypatch.setitem(globals(), "N", 0)
    assert np.array_equal(analyse(3, SOLVERS[0], relaxation=Rtpp())[0], ensemble())


@pytest.mark.parametrize(("sections", "words"), [
    ({"analysis": dict(tempering=(0.5, 0.4))}, r"fractions whose sum is 1, got \[0.5, 0.4\] with sum 0.9"),
    ({"analysis": dict(tempering=2, solver=ParticleFilter())}, 'for solver "letkf" only.*"particle_filter"'),
    ({"analysis": dict(tempering=2, time="4d")}, 'take time = "fgat", or no tempering'),
])
def test_what_makes_no_sense_is_refused(sections, words):
    with pytest.raises(ValueError, match=words):
        Settings(BASE.experiment, **{name: Analysis(**values) for name, values in sections.items()})
