"""3D-Var with the climate's covariance and the members' beside it: for linear H the Kalman formula with their sum, and
an alpha that innovations give back."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from neural_da import amplitude, climate_3d_var
from neural_da.amplitude import Root
from neural_da.climate_3d_var import Covariances, Fitted, Prepared
from neural_da.draws import Draws
from neural_da.methods import ALPHA_SQUARED, ThreeDVar
from neural_da.problem import Problem
from tests import builders
from tests.networks import climates
from tests.neural_da.test_climatology import matrices, soundings
from tests.neural_da.test_climatology import problem as from_climate

CLIMATE = climates.climate(climates.space())
SPACE, SIZE, MEMBERS = CLIMATE.space, CLIMATE.scale.size, 6
EXACT = dict(covariance="climate", tolerance=1e-12, iterations=2000, precision="float64")


def method(**settings) -> Prepared:
    chosen = ThreeDVar(**(EXACT | settings))
    share = climate_3d_var.share_of(chosen, SPACE, torch.float64, MEMBERS)
    return Prepared(chosen, Root(CLIMATE.astype(np.float64)), share)


def background(seed: int = 3, size: float = 0.5, members: int = MEMBERS) -> np.ndarray:
    """(member, channel, column) about the climate's mean."""
    noise = np.random.default_rng(seed).standard_normal((members, *SPACE.shape))
    X = CLIMATE.mean(builders.TIME) + size * CLIMATE.draw(noise)
    return X.reshape(members, len(SPACE.channels), -1).astype(np.float32)


def problem(table, X: np.ndarray, **carried: float) -> Problem:
    return replace(from_climate(CLIMATE, table), background=X, members=np.arange(len(X)), carried=carried)


def covariance(of: Prepared, X: np.ndarray, alpha_squared: float, number: int | None = None) -> np.ndarray:
    """B by its definition: the climate's, and the members' element by element times their taper."""
    chosen = of.settings
    B = (1 - chosen.share) * alpha_squared * matrices(CLIMATE, soundings(1, 1.0))[0]
    if of.share is None:
        return B
    others = np.delete(X, number, axis=0) if number is not None else X
    P = np.cov(others.reshape(len(others), -1).T.astype(np.float64))
    H, V = ((R @ R.T).numpy() for R in (of.share.taper.horizontal, of.share.taper.vertical))
    return B + chosen.share * P * np.kron(V, H)


@pytest.mark.parametrize("settings", [{}, dict(share=0.4, localization_km=4000.0),
                                      dict(share=0.7, localization_km=4000.0, leave_one_out=True)])
def test_with_linear_h_each_member_is_that_of_the_kalman_filter(settings):
    table, X, of = soundings(25, 0.5), background(), method(**settings)
    here, draws = problem(table, X), Draws(1, builders.TIME, MEMBERS)
    found = of.analyse(here, draws)
    _, H, R = matrices(CLIMATE, table)
    (values,) = here.perturbed(draws.observation_errors(25))
    for number, (x, y) in enumerate(zip(X.reshape(MEMBERS, -1).astype(np.float64), values, strict=True)):
        B = covariance(of, X, found.carried[ALPHA_SQUARED], number if of.settings.leave_one_out else None)
        expected = x + B @ H.T @ np.linalg.inv(H @ B @ H.T + R) @ (y - H @ x)
        np.testing.assert_allclose(found.members[number].ravel() - 280, expected - 280, atol=5e-5)
    assert np.abs(found.members - X).max() > 0.5


def test_the_adjoint_is_that_of_the_increment():
    of = method(share=0.4)
    maps = Covariances(Fitted(of, 0.3), background()).of()
    rng = np.random.default_rng(2)
    zeta, g = torch.tensor(rng.standard_normal(maps.deviation.numel())), torch.tensor(rng.standard_normal(SIZE))
    there, back = maps.maps.increment(zeta, maps.deviation) @ g, zeta @ maps.maps.adjoint(g, maps.deviation)
    assert float(there) == pytest.approx(float(back), rel=1e-12)


def test_traces_are_those_of_the_matrices():
    """Within the sampling error of their draws."""
    table, X, of = soundings(60, 0.5), background(), method(share=0.5, localization_km=4000.0)
    here, (_, H, R) = problem(table, X), matrices(CLIMATE, table)
    mean = torch.tensor(X.mean(axis=0, dtype=np.float64))
    tangents = [term.tangent(mean, torch.float64) for term in here.terms]
    beside = of.share.beside(of.root, X, None)
    deviation = beside.deviation(torch.zeros(SIZE, dtype=torch.float64), 1.0)
    for maps, sqrt_b, B in ((of.root, torch.ones(SIZE, dtype=torch.float64), covariance(method(), X, 1.0)),
                            (beside, deviation, covariance(of, X, 0.0) / 0.5)):
        A = np.linalg.inv(R) @ H @ B @ H.T
        found = [amplitude.trace(maps, sqrt_b, tangents, Draws(seed, builders.TIME, 2)) for seed in range(30)]
        error = np.sqrt(2 * np.trace(A @ A) / amplitude.COUNT / len(found))
        assert np.mean(found) == pytest.approx(np.trace(A), abs=4 * error)


@pytest.mark.parametrize(("share", "alpha"), [(0.0, 0.4), (0.5, 0.8)])
def test_innovations_give_alpha_back(share, alpha):
    """Of backgrounds whose errors have the covariance that is assumed, over many days."""
    of = method(share=share, **(dict(localization_km=4000.0) if share else {}))
    X, found = background(), []
    B = covariance(of, X, alpha**2)
    for day in range(40):
        rng = np.random.default_rng(day)
        truth = X.mean(axis=0).ravel() + np.linalg.cholesky(B + 1e-10 * np.eye(SIZE)) @ rng.standard_normal(SIZE)
        table = soundings(80, 0.5, seed=day)
        H = matrices(CLIMATE, table)[1]
        observed = replace(table, value=H @ truth + 0.5 * rng.standard_normal(len(table)))
        found.append(amplitude.of_the_day(problem(observed, X), Draws(day, builders.TIME, MEMBERS), of.root, of.share))
    error = np.std(found) / np.sqrt(len(found))
    assert np.mean(found) == pytest.approx(alpha**2, abs=3 * error) and error < 0.15 * alpha**2


def test_alpha_is_smoothed_with_that_of_the_time_before_and_carried():
    table, X, draws = soundings(25, 0.5), background(), Draws(1, builders.TIME, MEMBERS)
    of = method(smoothing=0.75)
    own = of.analyse(problem(table, X), draws).carried[ALPHA_SQUARED]
    assert own > 0 and of.settings.needs.carried == {ALPHA_SQUARED: 0.0}
    later = of.analyse(problem(table, X, alpha_squared=2.0), draws).carried[ALPHA_SQUARED]
    assert later == pytest.approx(0.75 * 2.0 + 0.25 * own, rel=1e-12)
    nothing = of.analyse(problem(soundings(0, 1.0), X, alpha_squared=2.0), draws)
    assert nothing.carried == {ALPHA_SQUARED: 2.0}
    np.testing.assert_array_equal(nothing.members, X)


@pytest.mark.parametrize("leave_one_out", [False, True])
def test_bits_depend_on_no_other_member_and_no_thread(leave_one_out):
    table, X, draws = soundings(61, 0.5), background(), Draws(1, builders.TIME, MEMBERS)
    production = dict(tolerance=0.02, precision="float32", share=0.5, leave_one_out=leave_one_out)
    chosen = [ThreeDVar(covariance="climate", threads=threads, **production) for threads in (1, 3)]
    share = climate_3d_var.share_of(chosen[0], SPACE, torch.float32, MEMBERS)
    alone, threaded = (Prepared(one, Root(CLIMATE.astype(np.float32)), share) for one in chosen)
    whole = alone.analyse(problem(table, X), draws)
    some = threaded.analyse(replace(problem(table, X), members=np.array([4, 1])), draws)
    np.testing.assert_array_equal(some.members, whole.members[[4, 1]])
    assert some.carried == whole.carried


@pytest.mark.parametrize(("settings", "words"), [
    (dict(covariance="climate", factor=3.0), 'factor say nothing where covariance = "climate"'),
    (dict(share=0.5, prior="other.nc"), 'prior, share say nothing where covariance = "latent"'),
    (dict(covariance="climate", leave_one_out=True), "expected share above 0"),
])
def test_settings_that_say_nothing_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        ThreeDVar(**settings)
