"""Guided samples: for the Wiener filter and linear H those of the Kalman filter, mode by mode."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from contracts.variables import Quantity
from networks.denoiser.denoiser import Denoiser
from networks.denoiser.flow import LAST, levels
from networks.denoiser.network import Network, Shape
from neural_da.draws import Draws
from neural_da.guided import Prepared
from neural_da.methods import Guided
from neural_da.sampler import Sampler
from tests import builders
from tests.networks import climates
from tests.networks.climax_builders import randomise
from tests.neural_da.test_climatology import MEMBERS, flat, gain, matrices, prepared, problem, soundings

CLIMATE = climates.climate(climates.space())
SHAPE, SIZE = CLIMATE.space.shape, CLIMATE.scale.size
EXACT = dict(tolerance=1e-10, iterations=500, precision="float64")
PIXEL = CLIMATE.scale.ravel()


def network(size: float = 0.0) -> Network:
    torch.manual_seed(1)
    found = Network(Shape(SHAPE[0], (6,), 1, (0.02, 5.0)), np.zeros((4, *SHAPE[1:])))
    if size:
        randomise(found, size=size)
    return found.eval()


def sampler(table, denoiser: Denoiser | None = None) -> Sampler:
    terms = problem(CLIMATE, table).terms
    term = terms[0] if terms else None
    values = term.value if term else torch.empty(0, dtype=torch.float64)
    return Sampler(denoiser or Denoiser(CLIMATE), CLIMATE.mean(builders.TIME), builders.TIME, term, values, 1e-10, 500)


def of_a_state(table):
    """The same places, observing a state of the climate."""
    rng = np.random.default_rng(8)
    x = CLIMATE.mean(builders.TIME) + CLIMATE.draw(rng.standard_normal(SHAPE))
    noise = table.error * rng.standard_normal(len(table))
    return replace(table, value=matrices(CLIMATE, table)[1] @ x.ravel() + noise)


def posterior(table) -> tuple[np.ndarray, np.ndarray]:
    """Mean (size,) and covariance (size, size) of z given the observations, dense."""
    B, H, R = matrices(CLIMATE, table)
    K, m = gain(B, H, R), CLIMATE.mean(builders.TIME).ravel()
    return K @ (table.value - H @ m) / PIXEL, (B - K @ H @ B) / np.outer(PIXEL, PIXEL)


def carried(of: Sampler, sigmas) -> tuple[np.ndarray, np.ndarray]:
    """z at the end is A z + b of z at the beginning: b (size,) and A (size, size), unit vector by unit vector."""
    at = np.concatenate([np.zeros((1, SIZE)), np.eye(SIZE)]).reshape(-1, *SHAPE)
    found = of.sample(at, sigmas).reshape(-1, SIZE)
    return found[0], (found[1:] - found[0]).T


@pytest.mark.parametrize(("start", "count", "low", "high"), [(2.0, 16, 0.94, 1.05), (2.0, 32, 0.98, 1.02),
                                                            (40.0, 48, 0.95, 1.05)])
def test_mean_and_variance_of_each_mode_are_those_of_the_kalman_filter(start, count, low, high):
    """Exactly, for samples that begin with all the noise there is about a Gaussian posterior, or about zero: from pure
    noise nothing but the guidance knows of the observations."""
    table = of_a_state(soundings(25, 1.0))
    b, A = carried(sampler(table), levels(start, count))
    mean, P = posterior(table)
    pure = start == 40.0
    begun = start**2 * np.eye(SIZE) + (0 if pure else P)
    values, modes = np.linalg.eigh(P)
    kept = values > 20 * LAST**2  # the last level says nothing of what is smaller
    assert kept.mean() > 0.6
    variance = np.einsum("im,ij,jm->m", modes, A @ begun @ A.T, modes) / values
    assert low < variance[kept].min() and variance[kept].max() < high
    away = modes.T @ (b + (0 if pure else A @ mean) - mean) / np.sqrt(values)
    assert np.abs(away[kept]).max() < 0.06


def test_members_of_the_method_have_the_kalman_mean_and_covariance():
    """Within the sampling error of 300 members, of which the mean has none."""
    k, table = 300, soundings(6, 1.0)
    climate = climates.climate(climates.space(2, 4))
    here = replace(problem(climate, table), members=np.arange(k))
    chosen = Guided(**(EXACT | dict(tolerance=1e-6)))
    found = flat(Prepared(chosen, Denoiser(climate)).analyse(here, Draws(2, builders.TIME, k)).members)
    B, H, R = matrices(climate, table)
    K, mean = gain(B, H, R), climate.mean(builders.TIME).ravel()
    expected = B - K @ H @ B
    scale = np.sqrt(np.diag(expected))
    away = (found.mean(axis=0) - mean - K @ (table.value - H @ mean)) / scale
    assert np.abs(away).max() < 0.06
    np.testing.assert_allclose(np.cov(found.T) / np.outer(scale, scale), expected / np.outer(scale, scale),
                               atol=5 / np.sqrt(k) + 0.03)


def test_a_network_that_has_learned_nothing_changes_no_bit():
    table, draws = soundings(30, 0.5), Draws(1, builders.TIME, MEMBERS)
    chosen, here = Guided(levels=4), problem(CLIMATE, table)
    single = CLIMATE.astype(np.float32)
    plain, learned = (Prepared(chosen, Denoiser(single, of)).analyse(here, draws).members
                      for of in (network(), network(0.1)))
    np.testing.assert_array_equal(Prepared(chosen, Denoiser(single)).analyse(here, draws).members, plain)
    assert np.abs(learned - plain).max() > 0.05


def test_without_observations_members_are_samples_of_the_climate():
    b, A = carried(sampler(soundings(0, 1.0)), levels(2.0, 16))
    C = matrices(CLIMATE, soundings(1, 1.0))[0] / np.outer(PIXEL, PIXEL)
    found = A @ (C + 4 * np.eye(SIZE)) @ A.T
    np.testing.assert_allclose(np.diag(found), np.diag(C), rtol=0.05)
    assert np.abs(b).max() < 1e-12
    members = Prepared(Guided(**EXACT), Denoiser(CLIMATE)).analyse(problem(CLIMATE, soundings(0, 1.0)),
                                                                   Draws(1, builders.TIME, MEMBERS)).members
    assert np.abs(flat(members).mean(axis=0) - CLIMATE.mean(builders.TIME).ravel()).max() < 1e-4


def test_exact_observations_are_met_whatever_the_denoiser_says():
    table = soundings(12, 1e-4)
    found = Prepared(Guided(**EXACT), Denoiser(CLIMATE, network(0.1))).analyse(
        problem(CLIMATE, table), Draws(1, builders.TIME, MEMBERS)).members
    H = matrices(CLIMATE, table)[1]
    np.testing.assert_allclose(flat(found) @ H.T, np.broadcast_to(table.value, (MEMBERS, 12)), atol=2e-3)


def test_about_an_ensemble_the_mean_is_that_of_3d_var_with_its_alpha():
    table, draws = soundings(40, 0.5), Draws(1, builders.TIME, MEMBERS)
    X = (CLIMATE.mean(builders.TIME) + CLIMATE.draw(np.random.default_rng(4).standard_normal((MEMBERS, *SHAPE))))
    here = replace(problem(CLIMATE, table), background=X.reshape(MEMBERS, SHAPE[0], -1).astype(np.float32))
    found = Prepared(Guided(background="ensemble", levels=32, **EXACT), Denoiser(CLIMATE)).analyse(here, draws)
    B, H, R = matrices(CLIMATE, table)
    K = gain(found.carried["alpha_squared"] * B, H, R)
    mean = flat(here.background).mean(axis=0)
    expected = mean + K @ (table.value - H @ mean)
    assert np.abs((flat(found.members).mean(axis=0) - expected) / PIXEL).max() < 0.01
    nothing = Prepared(Guided(background="ensemble"), Denoiser(CLIMATE)).analyse(replace(here, terms=()), draws)
    np.testing.assert_array_equal(nothing.members, here.background)


def test_h_is_made_linear_anew_at_each_state():
    """Surface pressure, which is not linear: the mean given a state and next to no noise meets what is observed."""
    space = builders.space(6, 12)
    climate = climates.climate(space)
    seasons = np.zeros_like(climate.seasons)
    seasons[0] = builders.random_state(space).data
    climate = replace(climate, seasons=seasons)
    rng = np.random.default_rng(2)
    table = builders.observations(
        np.full(8, 9e4), quantity=Quantity.surface_pressure, lat=rng.uniform(-80, 80, 8), lon=rng.uniform(0, 360, 8),
        pressure=9e4, error=1e-3, elevation=rng.uniform(0, 200, 8))
    (term,) = problem(climate, table).terms
    x = climate.mean(builders.TIME)
    values = term.forward.apply(torch.as_tensor(x).flatten(1)) + 3.0
    of = Sampler(Denoiser(climate), x, builders.TIME, term, values, 1e-10, 500)
    z = rng.standard_normal((2, *space.shape))
    apart = [one.matrix().toarray() for one in (term.tangent(torch.as_tensor(one).flatten(1), torch.float64)
                                               for one in of.states(z))]
    assert np.abs(apart[0] - apart[1]).max() > 1e-4 * np.abs(apart[0]).max()
    for number in range(2):
        np.testing.assert_array_equal(of.mean(z[number:number + 1], 0.5)[0], of.mean(z, 0.5)[number])


@pytest.mark.parametrize("learned", [0.0, 0.1])
def test_the_bits_of_a_member_depend_on_no_other_member_and_no_thread(learned):
    climate, table, draws = CLIMATE.astype(np.float32), soundings(31, 0.5), Draws(1, builders.TIME, MEMBERS)
    of = Denoiser(climate, network(learned))
    whole = Prepared(Guided(levels=3), of).analyse(problem(CLIMATE, table), draws).members
    for members, threads in (([3], 1), ([5, 0], 2), ([], 2)):
        here = problem(CLIMATE, table, members)
        some = Prepared(Guided(levels=3, threads=threads), of).analyse(here, draws).members
        np.testing.assert_array_equal(some, whole[np.array(members, int)])


def test_a_network_of_states_is_refused_about_an_ensemble():
    with pytest.raises(ValueError, match='expected denoiser = "wiener" beside it'):
        Guided(background="ensemble", denoiser="weights.safetensors")


def test_members_begin_as_those_of_the_gaussian_analysis():
    here, draws = problem(CLIMATE, soundings(30, 0.5)), Draws(1, builders.TIME, MEMBERS)
    first = prepared(CLIMATE, tolerance=1e-10, iterations=500).analyse(here, draws).members
    found = Prepared(Guided(**EXACT), Denoiser(CLIMATE)).at(here, draws).first(np.arange(MEMBERS))
    np.testing.assert_array_equal(found.reshape(first.shape), first)
