"""The ensemble transform in a latent: for linear H the Kalman filter with the members' covariance, and what must change
no bit."""

from datetime import timedelta

import numpy as np
import pytest
import torch

from contracts.relaxation import spread
from contracts.variables import Quantity
from networks.latent.operator import Operator
from neural_da import in_latent
from neural_da.latent_enkf import Prepared, regions
from neural_da.methods import LatentEnkf
from tests.neural_da import made

WHOLE, TRUNCATED, OVERLAPPING = made.latent(made.N), made.latent(), made.latent(overlap=True)
BACKGROUND = made.ensemble(6)
K = len(BACKGROUND)
ROUNDING = 2e-4  # of an analysis in single precision, in the scales of its channels
PLAIN = {"relaxation": "none", "precision": "float64"}
BOTH = pytest.mark.parametrize("localization", ["none", "patch"])
COLUMNS = made.SPACE.grid.size


def method(of=TRUNCATED, **settings) -> Prepared:
    chosen = LatentEnkf(**({"latent": "none"} | PLAIN | settings))
    latent = Operator.of(of, dtype=getattr(torch, chosen.precision))
    return Prepared(chosen, latent, regions(chosen.localization, latent, made.SPACE), K)


def analysed(*terms, background=BACKGROUND, of=TRUNCATED, members=None, at=None, **settings) -> np.ndarray:
    problem = made.problem(background, *terms, members=members, slots=at or {})
    return method(of, **settings).analyse(problem, made.draws(K)).members


def in_scales(x: np.ndarray) -> np.ndarray:
    return np.abs(x) / np.repeat(made.SCALE, COLUMNS)


def put_back(of, X: np.ndarray) -> np.ndarray:
    """R of perturbations (k, channel * column), from the definition of the latent."""
    latent, scale = Operator.of(of, dtype=torch.float64), np.repeat(made.SCALE, COLUMNS)
    z = latent.project(torch.tensor(X / scale))
    return scale * latent.spread(z).numpy() / len(latent.grids) ** 0.5


def kalman(X: np.ndarray, H: np.ndarray, variance: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Increment K d of the mean and (I - K H) P Hᵀ, of perturbations `X` (k, channel * column)."""
    PH = X.T @ (X @ H.T) / (len(X) - 1)
    gain = PH @ np.linalg.inv(H @ PH + np.diag(variance))
    return gain @ d, PH - gain @ (H @ PH)


@pytest.mark.parametrize("of", [WHOLE, TRUNCATED, OVERLAPPING])
def test_of_the_globe_it_is_the_kalman_filter_with_what_the_latent_holds_of_the_members(of):
    term, x = made.term(made.table()), made.flat(BACKGROUND)
    X, H = put_back(of, x - x.mean(axis=0)), made.matrix(term)
    increment, PH = kalman(X, H, term.variance.numpy(), term.value.numpy() - H @ x.mean(axis=0))
    found = made.flat(analysed(term, of=of, localization="none"))
    assert in_scales(increment).max() > 1
    assert in_scales(found.mean(axis=0) - x.mean(axis=0) - increment).max() < ROUNDING
    Xa = found - found.mean(axis=0) - (x - x.mean(axis=0) - X)  # what the latent loses stays in each member
    expected, sigma = PH / np.sqrt(np.diag(H @ PH)), np.sqrt(np.diag(H @ PH))
    assert in_scales((Xa.T @ (Xa @ H.T) / (K - 1) / sigma - expected).T).max() < 10 * ROUNDING


def test_a_latent_that_loses_nothing_puts_back_the_members_perturbations():
    x = made.flat(BACKGROUND)
    X = x - x.mean(axis=0)
    assert np.allclose(put_back(WHOLE, X), X, rtol=0, atol=1e-9 * np.abs(X).max())
    assert not np.allclose(put_back(TRUNCATED, X), X, rtol=0, atol=0.1 * np.abs(X).max())


def test_of_patches_each_is_the_kalman_filter_with_the_observations_that_stand_in_it():
    table, x = made.table(60), made.flat(BACKGROUND)
    table = table.select(np.flatnonzero(table.lat > -10))
    term, X = made.term(table), x - x.mean(axis=0)
    H, variance = made.matrix(term), term.variance.numpy()
    d = term.value.numpy() - H @ x.mean(axis=0)
    found, home = made.flat(analysed(term, of=WHOLE)), method(WHOLE).regions.home[0]
    stands = home[in_latent.columns(table, made.SPACE.grid)]
    for patch in np.unique(stands):
        own, seen = np.tile(home == patch, len(made.SPACE.channels)), stands == patch
        increment, _ = kalman(X, H[seen], variance[seen], d[seen])
        assert in_scales(found.mean(axis=0) - x.mean(axis=0) - increment)[own].max() < ROUNDING
    unseen = np.tile(~np.isin(home, stands), len(made.SPACE.channels))
    assert 0.3 < unseen.mean() < 0.7 and np.array_equal(found[:, unseen], x[:, unseen])


@BOTH
def test_slots_are_observed_where_and_when_they_are(localization):
    """A background that stands still: two halves of the observations at two times are all of them at one."""
    table, offset = made.table(40), timedelta(hours=-3)
    early, late = table.select(np.arange(20)), table.select(np.arange(20, 40))
    together = analysed(made.term(table), localization=localization)
    apart = analysed(made.term(early, offset), made.term(late, first=20), at={offset: BACKGROUND},
                     localization=localization)
    assert in_scales(made.flat(together - apart)).max() < ROUNDING


@BOTH
def test_sets_of_the_same_observations_are_one_with_errors_smaller_by_the_root_of_their_number(localization):
    table = made.table()
    thrice = analysed(*[made.term(table)] * 3, localization=localization)
    once = analysed(made.term(table.with_columns(error=table.error / np.sqrt(3))), localization=localization)
    assert in_scales(made.flat(thrice - once)).max() < ROUNDING


@BOTH
def test_without_observations_the_background_is_the_analysis_to_the_bit(localization):
    assert np.array_equal(analysed(localization=localization, relaxation="rtps", inflation=1.2), BACKGROUND)


@BOTH
def test_worthless_observations_leave_the_background(localization):
    change = analysed(made.term(made.table(error=1e6)), localization=localization) - BACKGROUND
    assert in_scales(made.flat(change)).max() < ROUNDING


@BOTH
@pytest.mark.parametrize("relaxation", ["none", "rtpp", "rtps"])
def test_perturbations_keep_zero_mean(localization, relaxation):
    """In the latent: the mean of all members moves by the increment of the mean alone."""
    of = method(localization=localization, relaxation=relaxation, inflation=1.1)
    mean, _, Za = of.perturbations(made.problem(BACKGROUND, made.term(made.table())))
    assert float(Za.mean(0).abs().max()) < 1e-12 * float(Za.abs().max()) and float(mean.abs().max()) > 0


@BOTH
def test_relaxation_of_one_restores_spread_and_perturbations(localization):
    problem = made.problem(BACKGROUND, made.term(made.table()))
    _, Zb, Za = method(localization=localization).perturbations(problem)
    assert spread(Za.numpy()).mean() < 0.99 * spread(Zb.numpy()).mean()
    _, Zb, Za = method(localization=localization, relaxation="rtps", alpha=1.0).perturbations(problem)
    assert np.allclose(spread(Za.numpy()), spread(Zb.numpy()), rtol=1e-12) and not torch.allclose(Za, Zb)
    _, Zb, Za = method(localization=localization, relaxation="rtpp", alpha=1.0).perturbations(problem)
    assert torch.equal(Za, Zb)


def test_the_covariance_of_the_background_is_inflated():
    """An analysis with β is that of members whose perturbations were multiplied by its root."""
    term, x = made.term(made.table()), made.flat(BACKGROUND)
    wide = (x.mean(axis=0) + np.sqrt(1.5) * (x - x.mean(axis=0))).reshape(BACKGROUND.shape)
    found = analysed(term, of=WHOLE, inflation=1.5)
    expected = analysed(term, of=WHOLE, background=wide.astype(np.float32))
    assert in_scales(made.flat(found - expected)).max() < 10 * ROUNDING


@BOTH
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_member_has_the_same_bits_whatever_it_is_analysed_with(localization, precision):
    term = made.term(made.table(40, (*made.LINEAR, Quantity.surface_pressure)))
    chosen = {"localization": localization, "precision": precision, "relaxation": "rtps"}
    whole = analysed(term, **chosen)
    for members in ([0], [3, 1], [2, 3, 0], []):
        assert np.array_equal(analysed(term, members=members, threads=2, **chosen), whole[members])


def test_it_draws_nothing():
    problem = made.problem(BACKGROUND, made.term(made.table()))
    first, other = (method().analyse(problem, made.draws(K, seed)).members for seed in (1, 2))
    assert np.array_equal(first, other)
