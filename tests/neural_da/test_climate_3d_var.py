"""3D-Var with the climate's covariance and the members' beside it: for linear H the Kalman formula with their sum, and
an alpha that innovations give back; its steps in observation space are those of `variational`."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from neural_da import amplitude, climate_3d_var, minimise
from neural_da.amplitude import Root
from neural_da.circles import Circles
from neural_da.climate_3d_var import Prepared
from neural_da.draws import Draws
from neural_da.methods import ALPHA_SQUARED, ThreeDVar
from neural_da.problem import Problem
from neural_da.together import Covariances, OfClimate
from neural_da.variational import Stops, Variational
from tests import builders
from tests.networks import climates
from tests.neural_da.test_climatology import matrices, soundings
from tests.neural_da.test_climatology import problem as from_climate

CLIMATE = climates.climate(climates.space())
SPACE, SIZE, MEMBERS = CLIMATE.space, CLIMATE.scale.size, 6
EXACT = dict(covariance="climate", tolerance=1e-12, iterations=2000, precision="float64")


def method(**settings) -> Prepared:
    return of(ThreeDVar(**(EXACT | settings)))


def of(chosen: ThreeDVar) -> Prepared:
    climate = OfClimate(CLIMATE.astype(np.dtype(chosen.precision).type))
    return Prepared(chosen, climate, MEMBERS, climate_3d_var.circles_of(chosen, SPACE, climate.dtype))


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
    if of.circles is None:
        return B
    others = np.delete(X, number, axis=0) if number is not None else X
    P = np.cov(others.reshape(len(others), -1).T.astype(np.float64))
    return B + chosen.share * P * taper(of.circles)


def taper(circles: Circles) -> np.ndarray:
    """C as a matrix of channels and columns."""
    F, V = circles.waves.numpy(), circles.vertical.numpy()
    H = np.einsum("px,plm,py->lxmy", F, circles.blocks.numpy(), F)
    return np.kron(V @ V.T, H.reshape(SPACE.grid.size, -1))


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


@pytest.mark.parametrize("leave_one_out", [False, True])
def test_covariances_are_those_of_the_formula(leave_one_out):
    """By unit vectors, of each member beside others."""
    chosen, X = method(share=0.4, localization_km=4000.0, leave_one_out=leave_one_out), background()
    B = Covariances(chosen.climate, 0.3, chosen.of_members(X), 0.4)
    numbers = np.arange(SIZE) % MEMBERS
    found = B.apply(torch.eye(SIZE, dtype=torch.float64).view(SIZE, *X.shape[1:]), numbers).reshape(SIZE, SIZE)
    for number in range(MEMBERS):
        expected = covariance(chosen, X, 0.3, number if leave_one_out else None)
        np.testing.assert_allclose(found[numbers == number], expected[numbers == number], atol=1e-9)


def test_steps_and_course_are_those_of_the_control_space():
    """With J of `variational`, the root of B its control variable, before convergence."""
    table, X = soundings(25, 0.5), background()
    chosen = method(share=0.4, localization_km=4000.0, tolerance=0.05, steps=2)
    here, draws = problem(table, X), Draws(1, builders.TIME, MEMBERS)
    found = chosen.analyse(here, draws)
    B = covariance(chosen, X, found.carried[ALPHA_SQUARED])
    power, E = np.linalg.eigh(B)
    root, ones = torch.tensor(E * np.sqrt(power.clip(min=0))), torch.ones(SIZE, dtype=torch.float64)
    (values,) = here.perturbed(draws.observation_errors(25))
    for x, y, course, analysis in zip(X, values, found.course, found.members, strict=True):
        J = Variational(here, Rooted(root), ones, torch.tensor(x, dtype=torch.float64), [torch.tensor(y)])
        expected = J.minimum(Stops(0.05, 2000, 2))
        np.testing.assert_allclose(course, np.array(expected.course) / 25, rtol=1e-6)
        np.testing.assert_allclose(analysis, expected.state, atol=5e-5)
    assert min(map(len, found.course)) > 5


@dataclass(frozen=True)
class Rooted:
    """The maps of a matrix."""

    root: torch.Tensor

    def increment(self, zeta, deviation):
        return self.root @ (deviation * zeta)

    def adjoint(self, gradient, deviation):
        return deviation * (self.root.T @ gradient)


def test_restricted_conjugate_gradients_stop_where_nothing_is_seen():
    K = torch.tensor(np.diag([1.0, 4.0, 0.0]))
    b = torch.tensor([[1.0, 2.0, 0.0], [0.0, 0.0, 3.0]], dtype=torch.float64)
    some, none = minimise.restricted_conjugate_gradients(lambda w: w @ K, b, 1e-10, 50)
    np.testing.assert_allclose(some.x, [1 / 2, 2 / 5, 0], rtol=1e-9)
    assert some.iterations == 2 and none.iterations == 0 and not none.x.any()


def test_traces_are_those_of_the_matrices():
    """Within the sampling error of their draws."""
    table, X, of = soundings(60, 0.5), background(), method(share=0.5, localization_km=4000.0)
    here, (_, H, R) = problem(table, X), matrices(CLIMATE, table)
    tangents = [term.tangent(torch.tensor(X.mean(axis=0, dtype=np.float64)), torch.float64) for term in here.terms]
    root, ones = Root(CLIMATE.astype(np.float64)), torch.ones(SIZE, dtype=torch.float64)
    of_members, shape = of.of_members(X), X.shape[1:]
    of_climate = covariance(method(), X, 1.0)
    draws = [Draws(seed, builders.TIME, 2) for seed in range(30)]
    probes = [amplitude.Probes.of(here, each, torch.float64) for each in draws]
    for found, B in (([amplitude.trace(root, ones, tangents, each) for each in draws], of_climate),
                     ([each.trace(of.climate.apply, shape) for each in probes], of_climate),
                     ([each.trace(of_members.of_all, shape) for each in probes], covariance(of, X, 0.0) / 0.5)):
        A = np.linalg.inv(R) @ H @ B @ H.T
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
        found.append(of.of_the_day(problem(observed, X), Draws(day, builders.TIME, MEMBERS), of.of_members(X)))
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
def test_bits_depend_on_no_other_member_and_no_thread(leave_one_out, monkeypatch):
    """Nor on who else of a group is asked for, in two groups."""
    monkeypatch.setattr(climate_3d_var, "_AT_ONCE", 4)
    table, X, draws = soundings(61, 0.5), background(), Draws(1, builders.TIME, MEMBERS)
    production = dict(tolerance=0.02, precision="float32", share=0.5, leave_one_out=leave_one_out)
    alone, threaded = (of(ThreeDVar(covariance="climate", threads=threads, **production)) for threads in (1, 3))
    whole = alone.analyse(problem(table, X), draws)
    for asked in ([4, 1], [3], [5, 4, 2]):
        some = threaded.analyse(replace(problem(table, X), members=np.array(asked)), draws)
        np.testing.assert_array_equal(some.members, whole.members[asked])
        assert some.carried == whole.carried


@pytest.mark.parametrize(("settings", "words"), [
    (dict(covariance="climate", factor=3.0), 'factor say nothing where covariance = "climate"'),
    (dict(share=0.5, prior="other.nc"), 'prior, share say nothing where covariance = "latent"'),
    (dict(covariance="climate", leave_one_out=True), "expected share above 0"),
])
def test_settings_that_say_nothing_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        ThreeDVar(**settings)
