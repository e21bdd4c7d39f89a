"""The filter inside a flow against the Kalman filter, the LETKF's definition, and what has to stay as it is."""

from datetime import timedelta

import numpy as np
import pytest
import torch

from contracts import config
from contracts.errors import UserError
from contracts.variables import Quantity
from networks.flow.emulator import FlowEmulator
from networks.flow.network import Flow
from neural_da import flow_filter, local_transform, transform
from neural_da.flow_filter import Prepared
from neural_da.local_transform import Taper
from neural_da.methods import FlowFilter
from neural_da.problem import Earlier, Term
from tests import builders
from tests.neural_da import made, windows

SPACE, CHANNELS = made.SPACE, len(made.SPACE.channels)
FAR = {"localization_km": 1e6, "localization_ln_p": 1e6}  # nothing is localised


def flow(random: bool = False) -> Flow:
    """Before it has learned: N = 0; or one that says something at random."""
    torch.manual_seed(0)
    found = Flow(SPACE.grid, CHANNELS, 8, 1, np.zeros((4, *SPACE.grid.shape)))
    rng = np.random.default_rng(0)
    root = 0.1 * np.tril(rng.standard_normal(found.source.root.shape)) + 0.3 * np.eye(CHANNELS)
    found.source.root.copy_(torch.from_numpy(root / (1 + np.arange(len(root)))[:, None, None]))
    if random:
        torch.nn.init.normal_(found.leave.weight, std=0.05)
    return found.requires_grad_(False)


def method(random: bool = False, **settings) -> Prepared:
    made_of = FlowEmulator(windows.climax(torch.float32), flow(random), (0.5,) * CHANNELS, 4)
    return Prepared(FlowFilter(**settings), made_of, SPACE)


def grown(of: Prepared, begin: np.ndarray, seed: int = 3) -> np.ndarray:
    """The background (k, channel, column) of analyses `begin` (k, channel, column)."""
    z = of.emulator.noise.several(None, [np.random.default_rng((seed, n)) for n in range(len(begin))])
    fields = torch.from_numpy(begin.reshape(-1, *SPACE.shape))
    seconds = int((builders.TIME - timedelta(hours=6)).timestamp())
    (found,) = of.emulator.advance((fields,), seconds, draws=torch.from_numpy(z)[None])
    return found.flatten(-2).numpy()


def analysed(of: Prepared, begin: np.ndarray, *terms: Term, members=None) -> tuple[np.ndarray, np.ndarray]:
    """Background and analysis."""
    background = grown(of, begin)
    problem = made.problem(background, *terms, members=members, earlier=Earlier((begin,)))
    return background, of.analyse(problem, made.draws(len(begin))).members


def in_scales(x: np.ndarray) -> np.ndarray:
    return x / made.SCALE[:, None]


def test_weights_of_a_point_are_those_of_the_transform_of_what_counts_there():
    rng = np.random.default_rng(0)
    y, d = rng.standard_normal((12, 5)), rng.standard_normal(12)
    y -= y.mean(axis=1, keepdims=True)
    taper = Taper.of(SPACE, [made.table(12)], 3000.0, 1.0)
    found = local_transform.weights(torch.tensor(y), torch.tensor(d), taper, inflation=1.2)
    for level, column in ((0, 0), (1, 40), (2, 127)):
        root = np.sqrt(taper.vertical[level] * taper.horizontal[column])
        expected = transform.weights(root[:, None] * y, root * d, 1.2)
        np.testing.assert_allclose(found.mean[level, column], expected.mean, atol=1e-12)
        np.testing.assert_allclose(found.perturbations[level, column], expected.perturbations, atol=1e-12)


def test_members_are_moved_by_the_weights_of_their_level_and_column():
    X = torch.randn(5, CHANNELS, SPACE.grid.size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    y, d = torch.randn(6, 5, dtype=torch.float64), torch.randn(6, dtype=torch.float64)
    taper = Taper.of(SPACE, [made.table(6)], 3000.0, 1.0)
    found = local_transform.weights(y - y.mean(1, keepdim=True), d, taper)
    moved, channel, column = found.applied(X), 4, 77
    level = taper.level[channel]
    W = found.perturbations[level, column] + found.mean[level, column][:, None]
    at = X[:, channel, column]
    torch.testing.assert_close(moved[:, channel, column], at.mean() + (at - at.mean()) @ W)
    pressures = sorted({channel.pressure for channel in SPACE.channels})
    assert pressures[level] == SPACE.channels[channel].pressure


def kalman(of: Prepared, begin: np.ndarray, term: Term) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and variance (n,) of H x, and H, of errors s q with q of the source, about M(x') of one analysis."""
    source = of.emulator.flow.source
    identity = torch.eye(source.rows * CHANNELS).view(-1, source.rows, CHANNELS)
    G = (of.emulator.size * source(identity)).flatten(1).numpy().astype(float).T
    H, R = made.matrix(term), np.diag(term.variance.numpy())
    (ahead,) = of.emulator.forecast.advance((torch.from_numpy(begin[:1].reshape(-1, *SPACE.shape)),), 0)
    zero = term.forward.apply(torch.zeros(CHANNELS, SPACE.grid.size, dtype=torch.float64)).numpy()
    HG, x = H @ G, H @ ahead.double().flatten().numpy() + zero
    K = HG @ HG.T @ np.linalg.inv(HG @ HG.T + R)
    return x + K @ (term.value.numpy() - x), np.diag(HG @ HG.T - K @ HG @ HG.T), H


@pytest.mark.parametrize("schedule", [(1.0,), (0.2, 0.8)], ids=["at the end", "late"])
def test_of_a_linear_gaussian_problem_it_is_the_kalman_filter_within_sampling_error(schedule):
    """All members begin as one state, so that their errors, draws of the source, are all that differs."""
    count = 100
    begin = np.repeat(made.ensemble(1), count, axis=0)
    of = method(schedule=schedule, **FAR)
    term = near(of, begin)
    _, found = analysed(of, begin, term)
    mean, variance, _ = kalman(of, begin, term)
    Hx = term.forward.apply(torch.from_numpy(found).double()).numpy()
    assert np.sqrt(np.square(Hx.mean(axis=0) - mean).mean() / variance.mean()) < 2 * np.sqrt(len(term) / count)
    np.testing.assert_allclose(Hx.var(axis=0, ddof=1).mean() / variance.mean(), 1, atol=0.2)


def test_shares_of_early_angles_are_not_taken_in_whole():
    """There the estimates have little spread, and the analysis is left with too much of it."""
    begin = np.repeat(made.ensemble(1), 40, axis=0)
    spread = []
    for schedule in ((1.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)):
        of = method(schedule=schedule, **FAR)
        term = near(of, begin)
        Hx = term.forward.apply(torch.from_numpy(analysed(of, begin, term)[1]).double()).numpy()
        spread.append(Hx.std(axis=0).mean())
    assert spread[0] > 1.1 * spread[1]


def near(of: Prepared, begin: np.ndarray) -> Term:
    """Four observations as good as the background, which one of its members would give."""
    term = made.term(made.table(4))
    X = torch.from_numpy(grown(of, begin[:30], seed=9)).double()
    Hx = term.forward.apply(X)
    return Term(term.offset, term.table, term.row, term.forward, Hx[0], Hx.var(0))


def test_one_share_at_the_end_is_the_local_transform_of_the_background_whatever_the_flow():
    begin, term = made.ensemble(5), made.term(made.table(10))
    of = method(random=True, schedule=(1.0,))
    background, found = analysed(of, begin, term)
    X = torch.from_numpy(background).double()
    Y, sigma = term.forward.apply(X), term.variance.sqrt()
    taper = Taper.of(SPACE, [term.table], 800.0, 1.0)
    W = local_transform.weights(((Y - Y.mean(0)) / sigma).T, (term.value - Y.mean(0)) / sigma, taper)
    np.testing.assert_allclose(in_scales(found), in_scales(W.applied(X).numpy()), rtol=0, atol=2e-4)
    of = method(random=True, schedule=(0.2, 0.8))
    assert np.abs(in_scales(analysed(of, begin, term)[1] - found)).max() > 0.01


def test_without_observations_and_far_from_them_members_stay_as_they_are():
    begin, of = made.ensemble(4), method(random=True, schedule=(0.1, 0.2, 0.7))
    background, found = analysed(of, begin)
    np.testing.assert_array_equal(found, background)
    term = made.term(made.table(1, quantities=(Quantity.temperature,)))
    background, found = analysed(of, begin, term)
    taper = Taper.of(SPACE, [term.table], 800.0, 1.0)
    untouched = taper.vertical[taper.level] * taper.horizontal[:, 0] == 0  # (channel, column)
    away = np.abs(in_scales(found - background))
    assert untouched.any() and away[:, ~untouched].max() > 0.01
    # What the flow makes of a change spreads by its convolutions, a few points from one angle to the next.
    assert np.median(away[:, untouched]) < 1e-4


def test_a_member_has_the_same_bits_by_any_threads_and_alone():
    begin, term = made.ensemble(4), made.term(made.table(10))
    _, whole = analysed(method(random=True, schedule=(0.3, 0.7)), begin, term)
    _, other = analysed(method(random=True, schedule=(0.3, 0.7), threads=3), begin, term, members=[2])
    np.testing.assert_array_equal(other[0], whole[2])


def test_the_first_time_of_an_experiment_has_one_update():
    background, term = made.ensemble(5), made.term(made.table(10))
    found = [method(schedule=schedule).analyse(made.problem(background, term), made.draws(5)).members
             for schedule in ((1.0,), (0.5, 0.5))]
    np.testing.assert_array_equal(*found)
    assert not np.array_equal(found[0], background)


def test_relaxation_to_the_whole_prior_spread_leaves_the_spread_as_it_was():
    background, found = analysed(method(schedule=(1.0,), alpha=1.0), made.ensemble(5), made.term(made.table(10)))
    np.testing.assert_allclose(found.std(axis=0), background.std(axis=0), rtol=2e-2)


def test_a_schedule_that_is_no_whole_observation_is_refused():
    with pytest.raises(ValueError, match="schedule must have a sum of 1, the information of one observation, got 0.9"):
        FlowFilter(schedule=(0.4, 0.5))


def test_more_shares_than_steps_are_refused(monkeypatch):
    monkeypatch.setattr(flow_filter.emulator, "read", lambda *_: method().emulator)
    monkeypatch.setattr(flow_filter.cards, "read", lambda *_: type("Seen", (), {"seen": ()}))
    experiment = made_experiment()
    with pytest.raises(UserError, match="schedule of 5 shares: the flow has 4 steps"):
        flow_filter.prepared(FlowFilter(schedule=(0.2,) * 5), experiment, SPACE)
    assert flow_filter.prepared(FlowFilter(), experiment, SPACE).emulator.steps == 4


class Settings(config.Section, frozen=True):
    experiment: config.Experiment


def made_experiment():
    return config.decode(builders.experiment("flow", members=4), Settings, "e.toml").experiment
