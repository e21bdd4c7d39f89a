"""3D-Var in a latent: for linear H the Kalman filter, and what must change no bit."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from contracts.variables import Quantity
from networks.latent import patches
from neural_da.latent_3d_var import Covariance
from neural_da.variational import Variational
from tests import builders
from tests.neural_da import made

LATENT = made.latent()
OVERLAP = made.latent(overlap=True)
BOTH = pytest.mark.parametrize("latent", [LATENT, OVERLAP], ids=["one grid", "four grids"])
BACKGROUND = made.ensemble()
ROUNDING = 2e-4  # of an analysis in single precision, in the scales of its channels


def in_scales(x: np.ndarray) -> np.ndarray:
    """|x| (..., channel * column) in the scales of the channels."""
    return np.abs(x) / np.repeat(made.SCALE, made.SPACE.grid.size)


def kalman(x: np.ndarray, y: np.ndarray, term, factor: float, latent=LATENT) -> np.ndarray:
    """x + B Hᵀ (H B Hᵀ + R)⁻¹ (y − H x), dense."""
    B, H = made.covariance(latent, factor), made.matrix(term)
    gain = B @ H.T @ np.linalg.inv(H @ B @ H.T + np.diag(term.variance.numpy()))
    return x + gain @ (y - H @ x)


def analysed(term, background=BACKGROUND, draws=None, members=None, latent=LATENT, **settings) -> np.ndarray:
    of = made.problem(background, *([term] if term else []), members=members)
    return made.method(latent, **settings).analyse(of, draws or made.draws(len(background))).members


@BOTH
@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_with_linear_h_each_member_is_that_of_the_kalman_filter(factor, latent):
    term, draws = made.term(made.table()), made.draws(len(BACKGROUND))
    (values,) = made.problem(BACKGROUND, term).perturbed(draws.observation_errors(len(term)))
    states = made.flat(BACKGROUND)
    expected = np.stack([kalman(x, y, term, factor, latent) for x, y in zip(states, values, strict=True)])
    found = made.flat(analysed(term, draws=draws, factor=factor, latent=latent))
    assert in_scales(expected - states).max() > 1
    assert in_scales(found - expected).max() < ROUNDING


@BOTH
def test_the_explicit_covariance_is_that_of_the_increments_of_unit_vectors(latent):
    maps = made.method(latent, factor=2.0)
    G = maps.latent.increment(torch.eye(maps.latent.size, dtype=torch.float64), made.deviation(maps))
    assert np.allclose(G.T @ G, made.covariance(latent, 2.0), rtol=1e-9, atol=1e-12)


def test_the_gradient_is_that_of_finite_differences():
    """Surface pressure is not linear in the state."""
    term = made.term(made.table(40, (*made.LINEAR, Quantity.surface_pressure)))
    method, x = made.method(LATENT), torch.tensor(BACKGROUND[0], dtype=torch.float64)
    of = Variational(made.problem(BACKGROUND, term), method.latent, made.deviation(method), x, [term.value])
    rng = np.random.default_rng(3)
    zeta = torch.tensor(rng.standard_normal(method.latent.size), requires_grad=True)
    (by_autograd,) = torch.autograd.grad(of.cost(zeta), zeta)
    longest = float(by_autograd.abs().max())
    assert torch.allclose(of.gradient(zeta.detach())[0], by_autograd, rtol=0, atol=1e-9 * longest)
    for _ in range(5):
        direction = torch.tensor(rng.standard_normal(method.latent.size))
        up, down = (float(of.cost(zeta.detach() + sign * 1e-5 * direction)) for sign in (1, -1))
        assert (up - down) / 2e-5 == pytest.approx(float(by_autograd @ direction), rel=1e-6)


def test_gauss_newton_steps_lead_to_where_the_gradient_of_a_nonlinear_h_is_zero():
    term = made.term(made.table(40, (Quantity.temperature, Quantity.surface_pressure)))
    method, x = made.method(LATENT), torch.tensor(BACKGROUND[0], dtype=torch.float64)
    of = Variational(made.problem(BACKGROUND, term), method.latent, made.deviation(method), x, [term.value])
    zeta, lengths = torch.zeros(method.latent.size, dtype=torch.float64), []
    for _ in range(4):
        lengths.append(float(of.gradient(zeta)[0].norm()))
        zeta = zeta + of.step(zeta, 1e-12, 2000).x
    assert all(after < 0.5 * before for before, after in pairwise(lengths)) and lengths[-1] < 0.01 * lengths[0]


def test_without_observations_the_background_is_the_analysis_to_the_bit():
    assert np.array_equal(analysed(None), BACKGROUND)


def test_worthless_observations_leave_the_background():
    change = analysed(made.term(made.table(error=1e6))) - BACKGROUND
    assert in_scales(change.reshape(len(change), -1)).max() < ROUNDING


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_member_has_the_same_bits_whatever_it_is_analysed_with(precision):
    term = made.term(made.table(40, (*made.LINEAR, Quantity.surface_pressure)))
    production = dict(precision=precision, tolerance=0.01)
    whole = analysed(term, **production)
    for members in ([0], [3, 1], [2, 3, 0]):
        assert np.array_equal(analysed(term, members=members, threads=2, **production), whole[members])


def test_perturbations_of_zero_mean_leave_the_analysis_of_the_mean():
    """The mean of the members' analyses is what the mean of the background and the observations themselves give."""
    term, background = made.term(made.table()), made.flat(BACKGROUND)
    found = made.flat(analysed(term)).mean(axis=0)
    expected = kalman(background.mean(axis=0), term.value.numpy(), term, 2.0)
    assert in_scales(found - expected).max() < ROUNDING


def test_the_distance_of_the_production_tolerance_from_convergence_is_small(capsys):
    """Root mean square of what is lost by stopping early, in units of the increment's."""
    term = made.term(made.table(200))
    converged, stopped = (analysed(term, tolerance=tolerance, precision=precision)
                          for tolerance, precision in ((1e-10, "float64"), (0.01, "float32")))
    lost, increment = in_scales(made.flat(stopped - converged)), in_scales(made.flat(converged - BACKGROUND))
    distance = np.sqrt((lost**2).mean() / (increment**2).mean())
    with capsys.disabled():
        print(f"\n3D-Var stopped at a gradient of 0.01: {distance:.2g} of the increment from convergence")
    assert distance < 0.05


def test_two_sets_of_the_same_observations_are_one_with_errors_smaller_by_the_root_of_two():
    """Terms add up: H of both is at the analysis time."""
    table = made.table()
    twice = made.problem(BACKGROUND, made.term(table), made.term(table))
    half = made.problem(BACKGROUND, made.term(table.with_columns(error=table.error / np.sqrt(2))))
    a, b = (np.stack([alone(of, number) for number in range(2)]) for of in (twice, half))
    assert np.allclose(a, b, rtol=1e-6)


def unperturbed(of, background: np.ndarray, table) -> np.ndarray:
    """(channel, lat, lon) the analysis of one member with the observed values as they are."""
    return alone(made.problem(background[None], made.term(table)), 0, of).reshape(made.SPACE.shape)


def alone(problem, number: int, of=LATENT) -> np.ndarray:
    """(channel, column) the analysis of a member with the observed values as they are."""
    method, values = made.method(of), [term.value.numpy() for term in problem.terms]
    covariance = Covariance(method.latent, made.deviation(method))
    variational = method.variational(problem, covariance, problem.background[number], values)
    return variational.minimum(method.stops).state.numpy().astype(np.float32)


@BOTH
def test_mirrored_background_and_observations_give_the_mirrored_analysis(latent):
    """With one variance for both halves and H linear on levels."""
    both = replace(latent, variance=tuple(np.tile(b.mean(axis=0), (len(b), 1)) for b in latent.variance))
    table, background = made.table(), BACKGROUND[0].reshape(made.SPACE.shape)
    turned = table.quantity == Quantity.v_component_of_wind
    mirror = table.with_columns(lat=-table.lat, value=np.where(turned, -table.value, table.value))
    there = unperturbed(both, patches.mirrored(background, made.SPACE).reshape(BACKGROUND[0].shape), mirror)
    here = unperturbed(both, BACKGROUND[0], table)
    assert np.abs(here - background).max() > 1
    assert in_scales((patches.mirrored(there, made.SPACE) - here).reshape(-1)).max() < ROUNDING


@BOTH
def test_all_shifted_by_a_patch_give_the_shifted_analysis(latent):
    table, columns = made.table(), made.PATCH[1]
    degrees = columns * 360 / made.SPACE.grid.lon.size
    background = np.roll(BACKGROUND[0].reshape(made.SPACE.shape), columns, -1).reshape(BACKGROUND[0].shape)
    there = unperturbed(latent, background, table.with_columns(lon=(table.lon + degrees) % 360))
    here = unperturbed(latent, BACKGROUND[0], table)
    assert in_scales((np.roll(there, -columns, -1) - here).reshape(-1)).max() < ROUNDING


def one_temperature(lat: float):
    return builders.observations([300.0], quantity=Quantity.temperature, lat=[lat], lon=[100.0], pressure=[50_000.0],
                                 error=[1.0])


def test_with_four_grids_the_increment_of_an_observation_crosses_the_equator():
    """Its jump across it is no larger than between other rows; with one grid nothing comes to the other side of an
    observation at the first row of a half."""
    lat = made.SPACE.grid.lat
    channel = [channel.name for channel in made.SPACE.channels].index("temperature_500")
    background = BACKGROUND[0].reshape(made.SPACE.shape)

    def increment(latent, place: float) -> np.ndarray:
        """(row,) along the meridian of the observation, of its own channel."""
        column = np.abs(made.SPACE.grid.lon - 100).argmin()
        return (unperturbed(latent, BACKGROUND[0], one_temperature(place)) - background)[channel, :, column]

    at = increment(OVERLAP, 0.0)
    jumps = np.abs(np.diff(at))
    assert np.abs(at[3:5]).min() > 0.1 and jumps[3] <= jumps[[2, 4]].max() and lat[3] < 0 < lat[4]
    beside = {latent.overlap: increment(latent, lat[4]) for latent in (LATENT, OVERLAP)}
    assert not beside[False][:4].any() and abs(beside[True][3]) > 0.1 * abs(beside[True][4])


def test_the_covariance_of_many_members_is_that_of_the_posterior():
    """(B⁻¹ + Hᵀ R⁻¹ H)⁻¹ = (I − K H) B of members drawn from N(x, B), where it is observed; seeded."""
    table, members, factor = made.table(), 300, 2.0
    term, B, rng = made.term(table), made.covariance(LATENT, factor), np.random.default_rng(8)
    maps = made.method(LATENT, factor=factor)
    noise = torch.tensor(rng.standard_normal((members, maps.latent.size)))
    spread = maps.latent.increment(noise, made.deviation(maps)).numpy().reshape(members, *BACKGROUND.shape[1:])
    H, R = made.matrix(term), np.diag(term.variance.numpy())
    of_background = H @ B @ H.T
    posterior = of_background - of_background @ np.linalg.inv(of_background + R) @ of_background
    found = analysed(term, (BACKGROUND[0] + spread).astype(np.float32), tolerance=1e-4, factor=factor)
    ratio = (made.flat(found) @ H.T).var(axis=0, ddof=1) / np.diag(posterior)
    assert ratio.mean() == pytest.approx(1.0, abs=0.05) and ratio.min() > 0.75 and ratio.max() < 1.3
    assert (np.diag(posterior) < 0.9 * np.diag(of_background)).any()
