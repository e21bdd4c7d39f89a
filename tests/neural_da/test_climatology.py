"""The analysis from observations alone: for linear H that of a Kalman filter with the climate as its background."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
import torch

from contracts import config
from contracts.errors import UserError
from contracts.variables import Quantity
from networks.climate import file
from networks.climate.gaussian import Climate
from neural_da import minimise
from neural_da.climatology import Drawn, Prepared
from neural_da.draws import Draws
from neural_da.methods import Climatology
from neural_da.observed import Observed
from neural_da.problem import Problem, Term
from obsoperator import Forward, tensors
from tests import builders
from tests.networks import climates

TIME = builders.TIME
MEMBERS = 6


def prepared(climate: Climate, **settings) -> Prepared:
    exact = dict(tolerance=1e-12, iterations=2000, precision="float64") | settings
    return Prepared(Climatology(**exact), climate.astype(np.dtype(exact["precision"]).type))


def soundings(count: int, error: float, seed: int = 0, **columns):
    """Temperatures at random places between the levels of the states of `climates.space`."""
    rng = np.random.default_rng(seed)
    return builders.observations(280 + 3 * rng.standard_normal(count), lat=rng.uniform(-90, 90, count),
                                 lon=rng.uniform(0, 360, count), pressure=rng.uniform(5e4, 8.5e4, count), error=error,
                                 **columns)


def problem(climate: Climate, table, members=None) -> Problem:
    space = climate.space
    forward = Forward.of(table, space, builders.flat_static(space.grid), 300.0)
    rows = np.arange(len(table))
    term = Term(timedelta(), table, rows, tensors.on(forward, "cpu", torch.float64), torch.tensor(table.value),
                torch.tensor(table.error.astype(float) ** 2))
    background = np.zeros((MEMBERS, len(space.channels), space.grid.size), np.float32)
    chosen = np.arange(MEMBERS) if members is None else np.asarray(members, int)
    return Problem(TIME, space, background, (term,) if len(table) else (), chosen, len(table))


def matrices(climate: Climate, table) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """B, H and R as matrices, column by column."""
    space, size = climate.space, climate.scale.size
    units = np.eye(size)
    B = climate.covariance(units.reshape(size, *space.shape)).reshape(size, size)
    H = Forward.of(table, space, builders.flat_static(space.grid), 300.0).apply(
        units.reshape(size, len(space.channels), -1)).T
    return B, H, np.diag(table.error.astype(float) ** 2)


def gain(B, H, R):
    return B @ H.T @ np.linalg.inv(H @ B @ H.T + R)


def flat(x):
    return np.asarray(x, float).reshape(len(x), -1)


@pytest.mark.parametrize("nlon,poles", [(8, False), (8, True), (9, False)])
def test_with_linear_h_every_member_is_moved_by_the_kalman_gain(nlon, poles, capsys):
    climate, table = climates.climate(climates.space(4, nlon, poles)), soundings(25, 0.5)
    here, draws = problem(climate, table), Draws(1, TIME, MEMBERS)
    B, H, R = matrices(climate, table)
    K, drawn = gain(B, H, R), Drawn.of(climate, draws)
    first = flat(np.stack([drawn.member(number) for number in range(MEMBERS)]))
    (y,) = here.perturbed(draws.observation_errors(25))
    expected = first + (y - first @ H.T) @ K.T

    found = flat(prepared(climate).analyse(here, draws).members)
    np.testing.assert_allclose(found - 280, expected - 280, atol=5e-5)  # members are written in single precision
    mean = climate.mean(TIME).ravel()
    np.testing.assert_allclose(found.mean(axis=0), mean + K @ (table.value - H @ mean), atol=2e-5)

    in_production = flat(prepared(climate, tolerance=0.02, precision="float32").analyse(here, draws).members)
    distance = np.sqrt(((in_production - expected) ** 2).mean()) / np.sqrt(np.diag(B).mean())
    with capsys.disabled():
        print(f"  at a tolerance of 0.02: {distance:.2g} of the prior's standard deviation off")
    assert distance < 0.05


def test_the_members_have_the_covariance_that_observations_leave():
    """(I - K H) B, within the sampling error of 1500 members."""
    k = 1500
    climate, table = climates.climate(climates.space(2, 4)), soundings(6, 1.0)
    here = replace(problem(climate, table), members=np.arange(k))
    found = flat(prepared(climate, tolerance=1e-6).analyse(here, Draws(2, TIME, k)).members)
    B, H, R = matrices(climate, table)
    expected = B - gain(B, H, R) @ H @ B
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    np.testing.assert_allclose(np.cov(found.T) / scale, expected / scale, atol=5 / np.sqrt(k))


def test_without_observations_members_are_draws_from_the_climate():
    k = 4000
    climate = climates.climate(climates.space(2, 4))
    here = replace(problem(climate, soundings(0, 1.0)), members=np.arange(k))
    found = flat(prepared(climate).analyse(here, Draws(3, TIME, k)).members)
    B = matrices(climate, soundings(1, 1.0))[0]
    scale = np.sqrt(np.outer(np.diag(B), np.diag(B)))
    np.testing.assert_allclose(found.mean(axis=0), climate.mean(TIME).ravel(), atol=1e-5 * 300)
    np.testing.assert_allclose(np.cov(found.T) / scale, B / scale, atol=5 / np.sqrt(k))


def test_worthless_observations_give_the_same_draws():
    climate, draws = climates.climate(climates.space()), Draws(1, TIME, MEMBERS)
    without = prepared(climate).analyse(problem(climate, soundings(0, 1.0)), draws).members
    worthless = prepared(climate).analyse(problem(climate, soundings(30, 1e6)), draws).members
    np.testing.assert_allclose(worthless, without, atol=1e-4)


def test_exact_observations_are_met_by_every_member():
    climate, table = climates.climate(climates.space(6, 12)), soundings(12, 1e-3)
    found = flat(prepared(climate).analyse(problem(climate, table), Draws(1, TIME, MEMBERS)).members)
    H = matrices(climate, table)[1]
    np.testing.assert_allclose(found @ H.T, np.broadcast_to(table.value, (MEMBERS, 12)), atol=6e-3)


def test_a_prior_without_full_rank_is_conditioned_as_well():
    """No white rest, one mode, and a channel that never varies: B is singular, and its null space is not moved into."""
    climate = climates.climate(climates.space(), modes=1, rest=0.0)
    scale = climate.scale.copy()
    scale[1] = 0
    climate = replace(climate, scale=scale)
    table, draws = soundings(20, 0.5), Draws(1, TIME, MEMBERS)
    B, H, R = matrices(climate, table)
    assert np.linalg.matrix_rank(B) < len(B) / 2
    found = prepared(climate).analyse(problem(climate, table), draws).members
    mean = climate.mean(TIME).ravel()
    expected = mean + gain(B, H, R) @ (table.value - H @ mean)
    np.testing.assert_allclose(flat(found).mean(axis=0), expected, atol=2e-5)
    np.testing.assert_array_equal(found[:, 1], np.tile(climate.mean(TIME)[1].ravel().astype(np.float32), (MEMBERS, 1)))


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_the_bits_of_a_member_depend_on_no_other_member_and_no_thread(precision):
    climate, table, draws = climates.climate(climates.space(7, 18)), soundings(61, 0.5), Draws(1, TIME, MEMBERS)
    production = dict(tolerance=0.02, precision=precision)
    all_of_them = prepared(climate, **production).analyse(problem(climate, table), draws).members
    for members, threads in (([3], 1), ([5, 0], 2), ([1, 2, 3, 4], 3), ([], 2)):
        some = prepared(climate, threads=threads, **production).analyse(problem(climate, table, members), draws).members
        np.testing.assert_array_equal(some, all_of_them[np.array(members, int)])


@pytest.mark.parametrize(("quantity", "value", "error"), [
    (Quantity.surface_pressure, 9e4, 100.0), (Quantity.wind_speed, 10.0, 5.0), (Quantity.relative_humidity, 0.5, 0.5)])
def test_the_system_is_symmetric_and_the_tangent_that_of_h(quantity, value, error):
    """Of quantities that are not linear too: H' v is the difference of H on both sides of the mean."""
    space = builders.space(6, 12)
    climate = climates.climate(space)
    seasons = np.zeros_like(climate.seasons)
    seasons[0] = builders.random_state(space).data
    climate = replace(climate, seasons=seasons)
    rng = np.random.default_rng(2)
    table = builders.observations(
        np.full(20, value), quantity=quantity, lat=rng.uniform(-80, 80, 20), lon=rng.uniform(0, 360, 20),
        pressure=8e4, error=error, elevation=rng.uniform(0, 200, 20))
    mean = torch.as_tensor(climate.mean(TIME)).flatten(1)
    (term,) = problem(climate, table).terms
    assert len(term) > 9
    observed = Observed(climate, term, (term.tangent(mean, torch.float64),))
    u, w = vectors = torch.tensor(rng.standard_normal((2, len(term))))
    Au, Aw = observed.system(vectors)
    assert float(u @ Aw) == pytest.approx(float(w @ Au), rel=1e-10)

    v = climate.draw(rng.standard_normal(space.shape))
    y = term.value
    for step in (1e-2, 1e-3):
        ahead, behind = (observed.departure(climate.mean(TIME) + sign * step * v, y) for sign in (1, -1))
        difference = (behind - ahead) / (2 * step)
        tangent = observed.tangents[0].apply(torch.tensor(v).reshape(-1))
        np.testing.assert_allclose(tangent, difference, rtol=1e-4, atol=1e-7)


def test_an_experiment_within_the_years_of_the_prior_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("WORK", str(tmp_path))
    climate = climates.climate(climates.space())
    file.write(tmp_path / "climate.nc", climate, "made")
    inside = climates.START + timedelta(days=10)
    with pytest.raises(UserError, match="climate.nc: .*1981010100 to 1981021900.*from 1981011100 to 1981011200"):
        experiment = config.Experiment(name="a", start=inside, end=inside + timedelta(days=1))
        Climatology().prepared(experiment, climate.space)
    later = climates.START + timedelta(days=365)
    experiment = config.Experiment(name="a", start=later, end=later)
    assert Climatology().prepared(experiment, climate.space).prior.scale.dtype == np.float32


def test_right_hand_sides_are_solved_together_as_alone():
    """Row by row the same bits, and none asked for once it is done; one of them is zero."""
    rng = np.random.default_rng(0)
    roots = torch.tensor(rng.standard_normal((31, 31)))
    A = torch.eye(31, dtype=torch.float64) + roots @ roots.T
    b = torch.tensor(rng.standard_normal((5, 31)) * [[1], [100], [0], [1], [1]])
    b[3] = A[:, 0] + A[:, 1]
    asked = []

    def of_rows(p, rows):
        asked.append(len(rows))
        return torch.stack([A @ row.clone() for row in p])

    together = minimise.conjugate_gradients_together(of_rows, b, 1e-8, 60)
    for one, row in zip(together, b, strict=True):
        alone = minimise.conjugate_gradients(lambda p: A @ p, row.clone(), 1e-8, 60)
        assert torch.equal(one.x, alone.x) and (one.iterations, one.residual) == (alone.iterations, alone.residual)
        np.testing.assert_allclose(A @ one.x, row, atol=1e-5)
    assert asked == [sum(one.iterations > step for one in together) for step in range(len(asked))] and asked[0] == 4
