"""4D-Var in a latent: exact gradients, the Kalman formula through a linear model, and what must change no bit."""

from datetime import timedelta
from functools import reduce

import numpy as np
import pytest
import torch

from contracts.variables import Quantity
from networks.passes import Passes
from neural_da import minimise
from neural_da.latent_3d_var import Covariance
from neural_da.trajectory import Trajectory
from tests.builders import TIME
from tests.neural_da import made, windows
from tests.neural_da.windows import STEP, Drifting, Still

LATENT = made.latent()
BACKGROUND = made.ensemble()
ROUNDING = 2e-4  # of an analysis in single precision, in the scales of its channels
WINDOW = [0 * STEP, STEP, 3 * STEP]


def in_scales(x: np.ndarray) -> np.ndarray:
    """|x| (..., channel * column) in the scales of the channels."""
    return np.abs(x) / np.repeat(made.SCALE, made.SPACE.grid.size)


def terms(offsets=tuple(WINDOW), nobs: int = 30, quantities=made.LINEAR) -> list:
    """Other observations at each time of a window."""
    tables = [made.table(nobs, quantities, seed=5 + number) for number in range(len(offsets))]
    return [made.term(table, offset, number * nobs)
            for number, (table, offset) in enumerate(zip(tables, offsets, strict=True))]


def covariance(method) -> Covariance:
    """Of the climate alone."""
    return Covariance(method.latent, made.deviation(method))


def analysed(method, *terms, members=None) -> np.ndarray:
    return method.analyse(made.problem(BACKGROUND, *terms, members=members), made.draws(len(BACKGROUND))).members


def alone(method, number: int, *terms) -> np.ndarray:
    """(channel * column,) the analysis of a member with the observed values as they are."""
    of = made.problem(BACKGROUND, *terms)
    window = method.variational(of, covariance(method), BACKGROUND[number], [t.value.numpy() for t in terms])
    return window.minimum(method.stops).state.numpy().flatten()


def test_the_remainder_of_a_small_change_falls_with_its_square_over_five_decades():
    """Through three steps of a network with random weights and surface pressures, which are not linear in the state."""
    of = terms(quantities=(*made.LINEAR, Quantity.surface_pressure))
    method = windows.method(windows.climax())
    window = method.variational(made.problem(BACKGROUND, *of), covariance(method), BACKGROUND[0],
                                [term.value.numpy() for term in of])
    rng = np.random.default_rng(3)
    zeta, direction = (torch.tensor(rng.standard_normal(method.latent.size)) for _ in range(2))
    slope, J = float(window.gradient(zeta)[0] @ direction), float(window.cost(zeta))
    remainder = np.array([abs(float(window.cost(zeta + h * direction)) - J - h * slope) for h in 0.1**np.arange(6)])
    assert np.allclose(remainder[:-1] / remainder[1:], 100, rtol=0.15)


def test_through_a_linear_model_it_is_the_kalman_formula():
    """x + B Fᵀ (F B Fᵀ + R)⁻¹ (y − F x), dense, with F = H M of all times."""
    of, factor = terms(), 2.0
    found = alone(windows.method(Drifting(), factor=factor), 0, *of)
    M = np.stack([drifted(x) for x in np.eye(int(made.SIZE))], axis=1)
    F = np.concatenate([reduce(np.matmul, [M] * (term.offset // STEP), made.matrix(term)) for term in of])
    y, R = (np.concatenate([getattr(term, name).numpy() for term in of]) for name in ("value", "variance"))
    x, B = made.flat(BACKGROUND)[0], made.covariance(LATENT, factor)
    expected = x + B @ F.T @ np.linalg.solve(F @ B @ F.T + np.diag(R), y - F @ x)
    assert in_scales(expected - x).max() > 1
    assert in_scales(found - expected).max() < 1e-5


def drifted(x: np.ndarray) -> np.ndarray:
    """`Drifting`, written down once more."""
    fields = x.reshape(made.SPACE.shape)
    mean = fields.mean(axis=-1, keepdims=True)
    return (0.9 * np.roll(fields, 1, axis=-1) + 0.1 * mean).reshape(-1)


@pytest.mark.parametrize("quantities", [made.LINEAR, (Quantity.temperature, Quantity.surface_pressure)])
def test_of_one_time_it_is_3d_var(quantities):
    """Minimised in two ways, both to convergence."""
    (term,) = terms([0 * STEP], 40, quantities)
    of, values = made.problem(BACKGROUND, term), [term.value.numpy()]
    a, b = (method.variational(of, covariance(method), BACKGROUND[0], values).minimum(method.stops).state.numpy()
            for method in (made.method(LATENT, steps=30), windows.method(windows.climax())))
    assert in_scales((a - BACKGROUND[0]).flatten()).max() > 1
    assert in_scales((a - b).flatten()).max() < 1e-5


def test_the_course_is_j_at_each_evaluation_from_the_background_to_the_analysis():
    of, method = terms(), windows.method(Drifting(), iterations=12)
    window = method.variational(made.problem(BACKGROUND, *of), covariance(method), BACKGROUND[0],
                                [term.value.numpy() for term in of])
    found = window.minimum(method.stops)
    assert found.course[0] == float(window.cost(torch.zeros(method.latent.size, dtype=torch.float64)))
    assert found.course[-1] == float(window.cost(found.zeta)) == pytest.approx(min(found.course))
    assert 12 <= len(found.course) <= 20


@pytest.mark.parametrize("sets", [2, 4])
def test_equal_observations_at_n_times_of_a_still_world_are_one_with_errors_smaller_by_the_root_of_n(sets):
    table = made.table()
    several = [made.term(table, number * STEP) for number in range(sets)]
    once = made.term(table.with_columns(error=table.error / np.sqrt(sets)))
    method = windows.method(Still())
    assert in_scales(alone(method, 0, *several) - alone(method, 0, once)).max() < 1e-5


@pytest.mark.parametrize("ensemble", ["recentred", "perturbed"])
def test_without_observations_the_background_is_the_analysis_to_the_bit(ensemble):
    assert np.array_equal(analysed(windows.method(windows.climax(), ensemble=ensemble)), BACKGROUND)


@pytest.mark.parametrize("ensemble", ["recentred", "perturbed"])
def test_a_member_has_the_same_bits_whatever_it_is_analysed_with(ensemble):
    settings = dict(precision="float32", tolerance=0.1, ensemble=ensemble)
    of = terms(quantities=(*made.LINEAR, Quantity.surface_pressure))
    whole = analysed(windows.method(windows.climax(), **settings), *of)
    assert not np.array_equal(whole, BACKGROUND)
    for members in ([0], [3, 1], [2, 3, 0]):
        method = windows.method(windows.climax(), threads=2, **settings)
        assert np.array_equal(analysed(method, *of, members=members), whole[members])


def test_the_steps_made_again_on_the_way_back_change_no_bit_and_keep_less():
    plain, again = (windows.method(windows.climax(), recompute=chosen, iterations=5) for chosen in (False, True))
    assert np.array_equal(alone(plain, 0, *terms()), alone(again, 0, *terms()))
    assert again.model.memory(4) < 0.5 * plain.model.memory(4)
    assert plain.memory(100) - again.memory(100) == plain.model.memory(4) - again.model.memory(4)


def test_what_a_gradient_keeps_is_counted_for_each_step():
    """Of a model that squares its fields autograd keeps the fields."""
    class Squaring(Still):
        def next(self, state, time, draw, parameters):
            return state[0] ** 2

    of = Trajectory(Squaring(), made.SPACE, torch.float32)
    assert of.memory(3) == 3 * 4 * made.SIZE


def test_recentred_members_stand_about_the_analysis_of_the_mean_with_less_spread():
    method, H = windows.method(Drifting(), tolerance=1e-6), made.matrix(terms()[0])
    found = made.flat(analysed(method, *terms()))
    mean = BACKGROUND.mean(axis=0, dtype=np.float64)
    of = made.problem(BACKGROUND, *terms())
    window = method.variational(of, covariance(method), mean, [term.value.numpy() for term in terms()])
    expected = window.minimum(method.stops).state.numpy().flatten()
    assert in_scales(found.mean(axis=0) - expected).max() < ROUNDING
    before, after = ((X @ H.T).std(axis=0) for X in (made.flat(BACKGROUND), found))
    assert (after < before).all() and after.mean() < 0.7 * before.mean()


def test_without_observations_at_the_beginning_the_members_keep_their_departures():
    found = made.flat(analysed(windows.method(Drifting(), tolerance=1e-3), *terms([STEP, 2 * STEP])))
    departures = made.flat(BACKGROUND) - made.flat(BACKGROUND).mean(axis=0)
    assert in_scales(found - found.mean(axis=0) - departures).max() < ROUNDING
    assert in_scales(found - made.flat(BACKGROUND)).max() > 1


def test_members_are_carried_with_the_bits_of_forecasts():
    model = windows.climax(torch.float32)
    of, fields = Trajectory(model, made.SPACE, torch.float32), BACKGROUND.reshape(-1, *made.SPACE.shape)
    found = of.members(BACKGROUND, TIME, [STEP, 3 * STEP], threads=2)
    for steps, expected in enumerate(stepped(model, fields, 3), start=1):
        if steps != 2:
            assert np.array_equal(found[steps * STEP], expected.reshape(BACKGROUND.shape))
    assert list(found) == [STEP, 3 * STEP]


def stepped(model, fields: np.ndarray, steps: int):
    passes = Passes.of([model], threads=1)
    for _ in range(steps):
        fields = passes.step(fields, 0)
        yield fields


def test_slots_between_the_steps_of_the_model_are_refused():
    of = Trajectory(Still(), made.SPACE, torch.float32)
    with pytest.raises(Exception, match=r"\[slots\] are 3 h apart, and the model of the window steps 6 h"):
        of.members(BACKGROUND, TIME, [timedelta(hours=3)], threads=1)


def test_l_bfgs_finds_the_minimum_of_a_quadratic_that_conjugate_gradients_find():
    rng = np.random.default_rng(4)
    root, b = torch.tensor(rng.standard_normal((30, 20))), torch.tensor(rng.standard_normal(20))
    A = torch.eye(20, dtype=torch.float64) + root.T @ root
    found = minimise.quasi_newton(lambda x: 0.5 * x @ A @ x - b @ x, torch.zeros_like(b), 1e-6, 200)
    expected = minimise.conjugate_gradients(lambda v: A @ v, b, 1e-12, 100).x
    assert found.residual <= 1e-6 and torch.allclose(found.x, expected, atol=1e-5 * float(expected.abs().max()))


def test_l_bfgs_stops_after_so_many_evaluations_and_where_nothing_slopes():
    def J(x):
        return (x[1:] - x[:-1] ** 2).square().sum() + (1 - x).square().sum()

    start = torch.full((10,), -1.0, dtype=torch.float64)
    few, many = (minimise.quasi_newton(J, start, 1e-8, count) for count in (5, 500))
    assert 5 <= few.iterations <= 8 and float(J(few.x)) > float(J(many.x))
    assert torch.allclose(many.x, torch.ones(10, dtype=torch.float64), atol=1e-6)
    assert minimise.quasi_newton(lambda x: (0 * x).sum(), start, 0.1, 10).residual == 0.0
