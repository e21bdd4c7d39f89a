"""4DEnVar in a latent: for linear H and linear models the Kalman filter with the members' covariance between times, and
what must change no bit."""

from datetime import timedelta

import numpy as np
import pytest
import torch

from contracts.variables import Quantity
from networks.latent.operator import Operator
from neural_da.four_d_en_var import Prepared, System
from neural_da.methods import FourDEnVar
from tests.neural_da import made
from tests.neural_da import test_latent_enkf as enkf
from tests.neural_da.test_latent_enkf import (
    BACKGROUND,
    BOTH,
    COLUMNS,
    OVERLAPPING,
    ROUNDING,
    TRUNCATED,
    WHOLE,
    in_scales,
    put_back,
)

K = len(BACKGROUND)
CONVERGED = {"precision": "float64", "tolerance": 1e-10, "iterations": 1000}
LATER, STEP = timedelta(hours=3), 3  # columns that the made model moves everything east until then
THERE = np.roll(BACKGROUND.reshape(K, -1, *made.SPACE.grid.shape), STEP, -1).reshape(BACKGROUND.shape)


def method(of=TRUNCATED, **settings) -> Prepared:
    chosen = FourDEnVar(**({"latent": "none"} | CONVERGED | settings))
    return Prepared(chosen, Operator.of(of, dtype=getattr(torch, chosen.precision)), K)


def analysed(*terms, background=BACKGROUND, of=TRUNCATED, members=None, at=None, **settings) -> np.ndarray:
    problem = made.problem(background, *terms, members=members, slots=at or {})
    return method(of, **settings).analyse(problem, made.draws(K)).members


def localised(of, settings: dict) -> np.ndarray:
    """(channel * column, rank) a root of the covariance of increments, from the definition."""
    x = made.flat(BACKGROUND)
    static = settings.get("static", 0.0)
    share = np.sqrt(settings.get("inflation", 1.0) * (1 - static) / (K - 1))
    if settings["localization"] == "none":
        roots = [share * put_back(of, x - x.mean(axis=0))]
    else:
        roots = [share * moved for moved in of_each_patch(of, x - x.mean(axis=0))]
    if static:
        latent = Operator.of(of, dtype=torch.float64)
        identity = torch.eye(latent.size, dtype=torch.float64)
        roots.append(np.sqrt(static) * latent.increment(identity, 3.0 * latent.variance.sqrt()).numpy())
    return np.concatenate(roots).T


def of_each_patch(of, X: np.ndarray) -> list[np.ndarray]:
    """What each patch of each grid puts back of perturbations (k, channel * column), S^-1/2 of it."""
    scale, found = np.repeat(made.SCALE, COLUMNS), []
    for band, P in zip(of.bands(), of.basis, strict=True):
        for half, entries in enumerate(band.entry):
            for entry in entries:
                moved = np.zeros_like(X)
                f = X[:, entry] / scale[entry] * band.sign[half]
                moved[:, entry] = f @ P.T @ P * band.sign[half] * scale[entry]
                found.append(moved / np.sqrt(len(of.grids())))
    return found


@pytest.mark.parametrize("settings", [
    {"localization": "none"}, {"localization": "patch", "inflation": 1.4},
    {"localization": "none", "static": 0.4}, {"localization": "patch", "static": 0.4}])
@pytest.mark.parametrize("of", [TRUNCATED, OVERLAPPING])
def test_with_linear_h_each_member_is_that_of_the_kalman_filter(of, settings):
    """Gain = B Hᵀ (H B Hᵀ + R)⁻¹, B the members' covariance, localised, and the latent's own."""
    term, draws, G = made.term(made.table()), made.draws(K), localised(of, settings)
    (values,) = made.problem(BACKGROUND, term).perturbed(draws.observation_errors(len(term)))
    x, H = made.flat(BACKGROUND), made.matrix(term)
    HG = H @ G
    w = np.linalg.solve(HG @ HG.T + np.diag(term.variance.numpy()), (values - x @ H.T).T)
    increments = (G @ (HG.T @ w)).T
    found = made.flat(analysed(term, of=of, factor=3.0, **settings))
    assert in_scales(increments).max() > 1
    assert in_scales(found - x - increments).max() < ROUNDING


@pytest.mark.parametrize("inflation", [1.0, 1.3])
def test_of_the_globe_at_one_time_the_mean_is_that_of_the_ensemble_transform(inflation):
    term = made.term(made.table())
    found = analysed(term, localization="none", inflation=inflation)
    expected = enkf.analysed(term, localization="none", inflation=inflation)
    assert in_scales(made.flat(found).mean(axis=0) - made.flat(expected).mean(axis=0)).max() < ROUNDING


def test_at_several_times_the_mean_is_that_of_the_four_dimensional_ensemble_transform():
    terms = [made.term(made.table(15)), made.term(made.table(15, seed=6), LATER, first=15)]
    found, expected = (of(*terms, at={LATER: THERE}, localization="none") for of in (analysed, enkf.analysed))
    assert in_scales(made.flat(found).mean(axis=0) - made.flat(expected).mean(axis=0)).max() < ROUNDING


def test_a_later_observation_is_the_kalman_smoother_of_the_model_that_made_the_members():
    """All of the later background is the earlier one moved east: x(t) = M x, and H M stands for H."""
    term, x = made.term(made.table(), LATER), made.flat(BACKGROUND)
    H, X = made.matrix(term), x - x.mean(axis=0)
    M = np.roll(np.arange(x.shape[1]).reshape(-1, *made.SPACE.grid.shape), STEP, -1).reshape(-1)  # (M x) = x[M]
    seen = X[:, M] @ H.T
    gain = X.T @ seen @ np.linalg.inv(seen.T @ seen + (K - 1) * np.diag(term.variance.numpy()))
    increment = gain @ (term.value.numpy() - H @ x.mean(axis=0)[M])
    found = made.flat(analysed(term, of=WHOLE, at={LATER: THERE}, localization="none"))
    assert in_scales(increment).max() > 1
    assert in_scales(found.mean(axis=0) - x.mean(axis=0) - increment).max() < ROUNDING


@BOTH
def test_sets_of_the_same_observations_are_one_with_errors_smaller_by_the_root_of_their_number(localization):
    """The model stands still; the mean of all members knows no draws."""
    table, at = made.table(), {LATER: BACKGROUND, 2 * LATER: BACKGROUND}
    terms = [made.term(table, number * LATER, first=number * len(table)) for number in range(3)]
    thrice = analysed(*terms, at=at, localization=localization, alpha=1.0)
    once = analysed(made.term(table.with_columns(error=table.error / np.sqrt(3))), localization=localization, alpha=1.0)
    assert in_scales(made.flat(thrice - once)).max() < ROUNDING


@BOTH
def test_without_observations_the_background_is_the_analysis_to_the_bit(localization):
    assert np.array_equal(analysed(localization=localization, static=0.5, inflation=1.2), BACKGROUND)


@BOTH
@pytest.mark.parametrize("static", [0.0, 0.5])
def test_a_member_has_the_same_bits_whatever_it_is_analysed_with(localization, static):
    term = made.term(made.table(40, (*made.LINEAR, Quantity.surface_pressure)))
    chosen = {"localization": localization, "static": static, "alpha": 0.3, "precision": "float32", "tolerance": 0.01}
    whole = analysed(term, **chosen)
    for members in ([0], [3, 1], [2, 3, 0], []):
        assert np.array_equal(analysed(term, members=members, threads=2, **chosen), whole[members])


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0])
def test_relaxation_leaves_the_mean_and_that_of_one_the_perturbations_too(alpha):
    term, x = made.term(made.table()), made.flat(BACKGROUND)
    found = made.flat(analysed(term, alpha=alpha))
    assert in_scales(found.mean(axis=0) - made.flat(analysed(term)).mean(axis=0)).max() < ROUNDING
    kept = in_scales((found - found.mean(axis=0)) - (x - x.mean(axis=0))).max() < ROUNDING
    assert kept == (alpha == 1.0)


@BOTH
@pytest.mark.parametrize("static", [0.0, 0.5])
def test_what_is_observed_and_its_adjoint_are_one_and_are_that_of_the_increment(localization, static):
    term = made.term(made.table(40, (*made.LINEAR, Quantity.surface_pressure)))
    system = System.of(method(localization=localization, static=static), made.problem(BACKGROUND, term))
    rng = np.random.default_rng(2)
    d = [torch.tensor(rng.standard_normal(len(term)))]
    c = torch.tensor(rng.standard_normal(system.adjoint(d).numel()))
    (seen,) = system.observed(c)
    assert float(seen @ d[0]) == pytest.approx(float(c @ system.adjoint(d)), rel=1e-10)
    assert torch.allclose(seen, system.tangents[0].apply(system.increment(c).flatten()), rtol=1e-9, atol=1e-9)


def test_the_distance_of_the_production_tolerance_from_convergence_is_small(capsys):
    """Root mean square of what is lost by stopping early, in units of the increment's."""
    term = made.term(made.table(200))
    converged, stopped = (analysed(term, static=0.5, tolerance=tolerance, precision=precision)
                          for tolerance, precision in ((1e-10, "float64"), (0.01, "float32")))
    lost, increment = in_scales(made.flat(stopped - converged)), in_scales(made.flat(converged - BACKGROUND))
    distance = np.sqrt((lost**2).mean() / (increment**2).mean())
    with capsys.disabled():
        print(f"\n4DEnVar stopped at a gradient of 0.01: {distance:.2g} of the increment from convergence")
    assert distance < 0.05
