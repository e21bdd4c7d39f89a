"""The compiled kernel gives what NumPy defines, for every instruction set of this machine and in both precisions."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.errors import UserError
from letkf_mpi.kernel import lanes, quadrature
from letkf_mpi.kernel.lanes import Channels, Lanes, Method, Observations, TileAnalysis
from letkf_mpi.solvers import Letkf, LocalProblem

pytestmark = pytest.mark.skipif(lanes.compiled() is None, reason="the compiled kernel could not be built")
TOLERANCE = {"float32": 5e-6, "float64": 1e-12}  # relative error of W
MEMBERS = (2, 3, 5, 8, 16, 20, 31, 40, 64, 80, 128, 256)
LARGE = 64  # from here on fewer cases, because they take long
COLUMNS = 19  # more than one batch, the second not full
FEW = 2  # where they take long


@pytest.fixture(params=lanes.instructions())
def instructions(request, monkeypatch):
    monkeypatch.setenv(lanes.INSTRUCTIONS, request.param)


def made(k: int, p: int, seed: int = 0, condition: float | None = None) -> dict[str, np.ndarray]:
    """Columns with tapers of their own; with `condition`, Y of that condition number for the first and no taper."""
    rng = np.random.default_rng((seed, k, p))
    Y = rng.standard_normal((p, k)) * rng.uniform(0.3, 1.0, k)
    Y -= Y.mean(axis=1, keepdims=True)
    columns = COLUMNS if k < LARGE else FEW
    taper, variance = rng.uniform(0.05, 1.0, (p, columns)), rng.uniform(0.5, 2.0, p)
    if condition is not None:
        taper[:], variance = 1.0, np.ones(p)
        Y *= np.sqrt((condition - 1.0) * (k - 1)) / np.linalg.norm(Y, 2)
    d, inflation = rng.standard_normal(p), rng.uniform(0.95, 1.2, columns)
    return dict(Y=Y, d=d, variance=variance, taper=taper, inflation=inflation)


def reference(case: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """w̄ (column, k) and W (column, k, k)."""
    found = [Letkf().solve(LocalProblem(case["Y"], case["d"], case["variance"], taper, beta))
             for taper, beta in zip(case["taper"].T, case["inflation"], strict=True)]
    return np.stack([w.mean for w in found]), np.stack([w.perturbations for w in found])


def errors(case, precision) -> tuple[float, float]:
    """Relative errors, in the Frobenius norm, of w̄ and W of the worst column; that of w̄ is of 1 where it is smaller."""
    found, (mean, W) = lanes.weights(**case, precision=precision), reference(case)
    of_W = np.linalg.norm(found.perturbations - W, axis=(1, 2)) / np.linalg.norm(W, axis=(1, 2))
    of_mean = np.linalg.norm(found.mean - mean, axis=1) / np.maximum(np.linalg.norm(mean, axis=1), 1.0)
    return float(of_mean.max()), float(of_W.max())


@pytest.mark.parametrize("precision", TOLERANCE)
@pytest.mark.parametrize("k", MEMBERS)
def test_weights_are_those_of_the_reference(k, precision, instructions):
    for p in (0, 1, 7, 150) if k < LARGE else (90,):
        mean, perturbations = errors(made(k, p), precision)
        assert perturbations < TOLERANCE[precision], p
        assert mean < 10 * TOLERANCE[precision], p


@pytest.mark.parametrize("condition", [10.0, 50.0, 100.0, 1e3, 1e4, 1e5, 1e6])
@pytest.mark.parametrize("precision", TOLERANCE)
def test_condition_numbers_to_a_million(condition, precision, instructions):
    """A itself carries rounding of 1e-16 κ, the reference's as ours; beyond that no error grows with κ."""
    for k, p in ((3, 40), (8, 3), (20, 100), (40, 12)):
        _, perturbations = errors(made(k, p, condition=condition), precision)
        assert perturbations < max(TOLERANCE[precision], 4e-15 * condition)


def test_zero_weights_change_no_bit(instructions):
    case = made(20, 60)
    used = np.arange(60) % 3 > 0
    silenced = case | dict(taper=np.where(used[:, None], case["taper"], 0.0))
    without = case | {name: case[name][used] for name in ("Y", "d", "variance", "taper")}
    for precision in TOLERANCE:
        one, other = (lanes.weights(**which, precision=precision) for which in (silenced, without))
        assert np.array_equal(one.perturbations, other.perturbations) and np.array_equal(one.mean, other.mean)


def test_a_column_does_not_depend_on_the_others(instructions):
    case = made(20, 200, seed=3)
    case["taper"][:, 1:] *= 0.001  # condition numbers far apart: another number of poles
    for precision in TOLERANCE:
        whole = lanes.weights(**case, precision=precision)
        for column in (0, 7, COLUMNS - 1):
            alone = case | dict(taper=case["taper"][:, [column]], inflation=case["inflation"][[column]])
            found = lanes.weights(**alone, precision=precision)
            assert np.array_equal(found.perturbations[0], whole.perturbations[column])
            assert np.array_equal(found.mean[0], whole.mean[column])


@pytest.mark.parametrize("precision", TOLERANCE)
def test_duplicate_observations_and_zero_spread(precision, instructions):
    case = made(16, 30)
    twice = {name: np.concatenate([case[name]] * 2) for name in ("Y", "d", "variance", "taper")}
    assert errors(case | twice, precision)[1] < TOLERANCE[precision]
    one_direction = case | dict(Y=np.outer(np.ones(30), case["Y"][0]))
    assert errors(one_direction, precision)[1] < TOLERANCE[precision]
    flat = lanes.weights(**(case | dict(Y=0 * case["Y"])), precision=precision)
    identity = np.sqrt(case["inflation"])[:, None, None] * np.eye(16)
    assert np.array_equal(flat.perturbations, identity) and not flat.mean.any()


@pytest.mark.parametrize("precision", TOLERANCE)
def test_spread_in_some_members_only(precision, instructions):
    """Zero Householder columns, at the beginning and at the end."""
    for some in (slice(0, 2), slice(-2, None)):
        case = made(12, 9)
        Y = np.zeros_like(case["Y"])
        Y[:, some] = case["Y"][:, :2] - case["Y"][:, :2].mean(axis=1, keepdims=True)
        assert errors(case | dict(Y=Y), precision)[1] < TOLERANCE[precision]


def analysed(case: dict[str, np.ndarray], rows_of_sites: list[int], precision: str) -> TileAnalysis:
    """Two levels of columns that see sites of so many rows, with the first of `taper` as their horizontal ones."""
    (p, k), sites, columns = case["Y"].shape, len(rows_of_sites), case["inflation"].size
    table = Observations(case["Y"], case["d"], case["variance"], np.arange(p), np.cumsum([0, *rows_of_sites]))
    parts = Channels(np.arange(2), np.ones((2, p), bool), np.arange(3), np.arange(2), np.zeros(2, int))
    X = np.random.default_rng(k).standard_normal((k, 2, columns)).astype(np.float32)
    return Lanes(table, lambda rows: case["vertical"][:, rows], parts, Method(precision)).analyse(
        np.arange(sites), case["taper"][:sites], np.tile(case["inflation"], (2, 1)), X)


def made_at_sites(k: int, rows_of_sites: list[int]) -> dict[str, np.ndarray]:
    p = sum(rows_of_sites)
    rng = np.random.default_rng(p)
    return made(k, p) | dict(vertical=np.where(rng.uniform(size=(2, p)) < 0.2, 0.0, rng.uniform(0.1, 1.0, (2, p))))


@pytest.mark.parametrize("k", [2, 3, 8, 17, 20, 40])
def test_rows_of_a_site_summed_first_are_those_rows(k, instructions):
    """Of one row, of some, of more than are summed at once: to rounding of the sums; what is counted is the same."""
    rows_of_sites = [1, 2, 3, 26, 1, 70, 5]
    case = made_at_sites(k, rows_of_sites)
    apart = case | dict(taper=np.repeat(case["taper"][:7], rows_of_sites, axis=0))
    for precision, tolerance in (("float32", 1e-5), ("float64", 3e-7)):  # of members, which are written in float32
        summed, single = analysed(case, rows_of_sites, precision), analysed(apart, [1] * sum(rows_of_sites), precision)
        np.testing.assert_allclose(summed.X, single.X, atol=tolerance)
        np.testing.assert_allclose(summed.signal, single.signal, rtol=10 * tolerance)
        for name in ("weight", "square", "power"):
            np.testing.assert_allclose(getattr(summed, name), getattr(single, name), rtol=1e-12)
        assert np.array_equal(summed.count, single.count) and summed.count.min() > 50


def test_a_site_that_only_others_see_changes_no_bit_of_a_column(instructions):
    case = made_at_sites(20, [3, 70, 2])
    seen = np.r_[:3, 73:75]
    case["taper"][1, 0] = 0.0
    without = case | {name: case[name][seen] for name in ("Y", "d", "variance")} | dict(
        vertical=case["vertical"][:, seen], taper=case["taper"][[0, 2]])
    for precision in TOLERANCE:
        among_others, alone = analysed(case, [3, 70, 2], precision), analysed(without, [3, 2], precision)
        assert np.array_equal(among_others.X[..., 0], alone.X[..., 0])
        assert not np.array_equal(among_others.X[..., 1], alone.X[..., 1])


@settings(max_examples=20)
@given(st.integers(2, 24), st.integers(0, 40), st.integers(0, 2**31), st.sampled_from(sorted(TOLERANCE)))
def test_any_problem(k, p, seed, precision):
    assert errors(made(k, p, seed), precision)[1] < TOLERANCE[precision]


def test_perfect_and_worthless_observations(instructions):
    case = made(10, 4)
    for precision in TOLERANCE:
        worthless = lanes.weights(**(case | dict(variance=np.full(4, 1e30))), precision=precision)
        np.testing.assert_allclose(worthless.perturbations, np.sqrt(case["inflation"])[:, None, None] * np.eye(10),
                                   atol=1e-14)
        perfect = lanes.weights(**(case | dict(variance=np.full(4, 1e-12))), precision=precision)
        np.testing.assert_allclose(perfect.mean @ case["Y"].T, np.broadcast_to(case["d"], (COLUMNS, 4)), rtol=1e-3)
        np.testing.assert_allclose(case["Y"] @ perfect.perturbations, 0, atol=1e-3)


def test_without_the_kernel_the_reference_serves_and_one_warning_says_so(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "letkf_mpi.kernel._lanes", None)
    monkeypatch.delattr("letkf_mpi.kernel._lanes")
    lanes.compiled.cache_clear()
    try:
        assert lanes.compiled() is None and lanes.compiled() is None and lanes.instructions() == ()
        assert len(caplog.records) == 1 and "install a C compiler" in caplog.text
    finally:
        lanes.compiled.cache_clear()


def test_unknown_instructions_are_refused(monkeypatch):
    monkeypatch.setenv(lanes.INSTRUCTIONS, "altivec")
    with pytest.raises(UserError, match="LETKF_INSTRUCTIONS: expected one of .*, got 'altivec'"):
        lanes.weights(**made(3, 2))


@pytest.mark.parametrize(("tolerance", "reached"), [(3e-8, 4e-8), (1e-15, 1e-12)])
def test_poles_give_the_inverse_square_root(tolerance, reached):
    poles = quadrature.table(tolerance)
    assert (poles.weight >= 0).all() and (poles.shift >= 0).all()
    for power in range(0, 41):
        x = np.geomspace(1.0, 2.0**power, 500)
        found = (poles.weight[power] / (x[:, None] + poles.shift[power])).sum(axis=1)
        np.testing.assert_allclose(found * np.sqrt(x), 1.0, rtol=reached)
