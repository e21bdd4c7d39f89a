"""Ensembles of 3D-Var with a variance that the members share in: what three_d_var is a case of, and what each kind of
ensemble has for its law."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
import torch

from contracts.errors import UserError
from contracts.variables import Quantity
from neural_da import three_d_var
from neural_da.draws import STATES
from neural_da.hybrid import Variances
from neural_da.methods import Latent3DVar, ThreeDVar
from tests.neural_da import made
from tests.neural_da.test_three_d_var import ROUNDING, in_scales

LATENT = made.latent()
BACKGROUND = made.ensemble(6)
KINDS = ("perturbed", "recentred", "posterior")


def analysed(term, background=BACKGROUND, members=None, draws=None, of=LATENT, **settings) -> np.ndarray:
    problem = made.problem(background, *([term] if term else []), members=members)
    return made.method(of, **settings).analyse(problem, draws or made.draws(len(background))).members


def covariance(background=BACKGROUND, **settings) -> np.ndarray:
    """G Gᵀ of the mean's deviation, by unit vectors."""
    method = made.method(LATENT, **settings)
    of = method.covariances(made.problem(background)).of()
    units = torch.eye(of.deviation.numel(), dtype=torch.float64)
    G = torch.stack([of.maps.increment(unit, of.deviation) for unit in units]).numpy()
    return G.T @ G


def kalman_gain(B: np.ndarray, term) -> tuple[np.ndarray, np.ndarray]:
    """K = B Hᵀ (H B Hᵀ + R)⁻¹ and H, dense."""
    H = made.matrix(term)
    return B @ H.T @ np.linalg.inv(H @ B @ H.T + np.diag(term.variance.numpy())), H


def test_three_d_var_is_this_method_with_its_defaults():
    said = dict(latent="x", factor=3.0, tolerance=0.1, iterations=7, steps=2, precision="float64", threads=3)
    assert three_d_var.general(ThreeDVar(**said)) == Latent3DVar(**said)
    assert three_d_var.general(ThreeDVar()) == Latent3DVar()


def test_the_variance_is_that_of_the_formula():
    """Written out, member by member and patch by patch; 3 x 3 patches are asked of the latent's own test."""
    method = made.method(LATENT, alpha=0.3, factor=2.0)
    z = method.latent.project(torch.tensor(made.flat(BACKGROUND - BACKGROUND.mean(axis=0, dtype=np.float64)))
                              / method.latent.scale).numpy()
    of_members = torch.tensor((z**2).sum(axis=0) / (len(z) - 1))
    expected = 0.7 * 4.0 * method.latent.variance + 0.3 * method.latent.smoothed(of_members)
    found = method.covariances(made.problem(BACKGROUND)).of().deviation
    assert torch.allclose(found.square(), expected, rtol=1e-6)


def test_left_out_of_its_own_variance_a_member_has_that_of_the_others():
    method = made.method(LATENT, alpha=1.0, leave_one_out=True)
    own = method.covariances(made.problem(BACKGROUND))
    for number in (0, 4):
        others = made.problem(np.delete(BACKGROUND, number, axis=0))
        expected = made.method(LATENT, alpha=1.0).covariances(others).of().deviation
        assert torch.allclose(own.of(number).deviation, expected, rtol=1e-5)


def test_the_deviation_that_is_written_is_the_diagonal_of_the_covariance():
    term, method = made.term(made.table()), made.method(LATENT, alpha=0.5, write_deviation=True)
    found = method.analyse(made.problem(BACKGROUND, term, members=[1]), made.draws(6)).fields["background_deviation"]
    assert np.allclose(found.ravel(), np.sqrt(np.diag(covariance(alpha=0.5))), rtol=1e-5)
    assert not made.method(LATENT, alpha=0.5).analyse(made.problem(BACKGROUND, term), made.draws(6)).fields


@pytest.mark.parametrize("settings, words", [
    (dict(leave_one_out=True), "alpha or ensemble_share above 0"),
    (dict(leave_one_out=True, alpha=0.5, ensemble="posterior"), 'got 0.5, 0 and "posterior"'),
    (dict(alpha=1.5), "<= 1.0"),
])
def test_settings_that_contradict_one_another_are_refused(settings, words):
    with pytest.raises(msgspec.ValidationError, match=words):
        msgspec.convert(settings | {"method": "latent_3d_var"}, Latent3DVar)


def test_of_two_members_none_can_be_left_out():
    method = made.method(LATENT)
    with pytest.raises(UserError, match="at least 3 members, got 2"):
        Variances.of(method.latent, 2.0, 0.5, True, BACKGROUND[:2])


@pytest.mark.parametrize("parts", [dict(alpha=0.0), dict(alpha=0.5), dict(ensemble_share=0.5)])
@pytest.mark.parametrize("ensemble", KINDS)
def test_the_mean_of_the_members_is_the_kalman_analysis_of_their_mean(ensemble, parts):
    """Linear H, one B for all."""
    term, mean = made.term(made.table()), made.flat(BACKGROUND).mean(axis=0)
    K, H = kalman_gain(covariance(**parts), term)
    found = made.flat(analysed(term, ensemble=ensemble, **parts)).mean(axis=0)
    expected = mean + K @ (term.value.numpy() - H @ mean)
    assert in_scales(expected - mean).max() > 1 and in_scales(found - expected).max() < ROUNDING


def test_with_a_variance_of_its_own_for_each_member_the_mean_is_another_one(capsys):
    """By how much is measured: root mean square, in units of the increment's."""
    term, mean = made.term(made.table(200)), made.flat(BACKGROUND).mean(axis=0)
    shared, left_out = (made.flat(analysed(term, alpha=0.5, leave_one_out=chosen)).mean(axis=0)
                        for chosen in (False, True))
    difference = np.sqrt((in_scales(left_out - shared) ** 2).mean() / (in_scales(shared - mean) ** 2).mean())
    with capsys.disabled():
        print(f"\nleave-one-out moves the mean of {len(BACKGROUND)} members by {difference:.2g} of its increment")
    assert 1e-3 < difference < 1


def test_members_about_the_mean_keep_their_departures_but_for_half_of_the_gain():
    term, X = made.term(made.table()), made.flat(BACKGROUND)
    K, H = kalman_gain(covariance(alpha=0.5), term)
    own = X - X.mean(axis=0)
    found = made.flat(analysed(term, ensemble="recentred", alpha=0.5))
    assert in_scales(found - found.mean(axis=0) - (own - 0.5 * own @ H.T @ K.T)).max() < ROUNDING


def test_draws_about_the_mean_are_those_of_the_definition():
    """x_j = mean + G eta_j + K (y + sigma eps_j - H (mean + G eta_j))."""
    term, draws, mean = made.term(made.table()), made.draws(len(BACKGROUND)), made.flat(BACKGROUND).mean(axis=0)
    method = made.method(LATENT, ensemble="posterior")
    eta = torch.tensor(draws.centred(STATES, method.latent.size))
    moved = mean + method.latent.increment(eta, made.deviation(method)).numpy()
    (y,) = made.problem(BACKGROUND, term).perturbed(draws.observation_errors(len(term)))
    K, H = kalman_gain(made.covariance(LATENT, 2.0), term)
    found = made.flat(analysed(term, draws=draws, ensemble="posterior"))
    assert in_scales(found - (moved + (y - moved @ H.T) @ K.T)).max() < ROUNDING


def test_the_covariance_of_draws_about_the_mean_is_that_of_the_posterior():
    """(B⁻¹ + Hᵀ R⁻¹ H)⁻¹ = (I − K H) B, where it is observed, whatever the members were."""
    members, term = 300, made.term(made.table())
    background = np.repeat(BACKGROUND[:1], members, axis=0)
    K, H = kalman_gain(made.covariance(LATENT, 2.0), term)
    posterior = np.diag(H @ (made.covariance(LATENT, 2.0) - K @ H @ made.covariance(LATENT, 2.0)) @ H.T)
    found = made.flat(analysed(term, background, ensemble="posterior", tolerance=1e-4))
    ratio = (found @ H.T).var(axis=0, ddof=1) / posterior
    assert ratio.mean() == pytest.approx(1.0, abs=0.05) and ratio.min() > 0.75 and ratio.max() < 1.3


@pytest.mark.parametrize("form", ["increment", "decode"])
@pytest.mark.parametrize("ensemble", KINDS)
def test_without_observations_the_background_is_the_analysis_to_the_bit(ensemble, form):
    assert np.array_equal(analysed(None, ensemble=ensemble, form=form, alpha=0.5), BACKGROUND)


@pytest.mark.parametrize("settings", [
    dict(ensemble="perturbed", alpha=0.5, leave_one_out=True), dict(ensemble="recentred", alpha=0.5),
    dict(ensemble="posterior", alpha=0.5), dict(ensemble="perturbed", form="decode"), dict(ensemble_share=0.5)])
def test_a_member_has_the_same_bits_whatever_it_is_analysed_with(settings):
    term = made.term(made.table(40, (*made.LINEAR, Quantity.surface_pressure)))
    production = dict(precision="float32", tolerance=0.01, **settings)
    whole = analysed(term, **production)
    for members in ([0], [3, 1], [2, 5, 0]):
        assert np.array_equal(analysed(term, members=members, threads=2, **production), whole[members])


def test_the_course_of_a_minimisation_is_j_after_each_of_its_iterations():
    """Each as the end of a minimisation that stops there; H is linear, so that J is what conjugate gradients lower."""
    term, y = made.term(made.table()), made.table().value
    of = made.problem(BACKGROUND, term)

    def stopped(iterations: int, steps: int = 1):
        method = made.method(LATENT, iterations=iterations, steps=steps)
        window = method.variational(of, method.covariances(of).of(), BACKGROUND[0], [y])
        found = window.minimum(method.stops)
        return found.course, float(window.cost(found.zeta))

    whole, _ = stopped(8)
    assert whole[0] == stopped(1)[0][0] and len(whole) == 9 and (np.diff(whole) < 0).all()
    for count in (1, 3, 8):
        course, at_the_end = stopped(count)
        assert course[:-1] == whole[:count] and course[-1] == at_the_end == pytest.approx(whole[count], rel=1e-12)
    assert stopped(3, steps=2)[0][:4] == stopped(3)[0] and len(stopped(3, steps=2)[0]) == 7


@pytest.mark.parametrize("ensemble", KINDS)
def test_the_course_that_is_told_is_that_of_each_member_and_recentred_that_of_the_mean(ensemble):
    term = made.term(made.table())
    method = made.method(LATENT, ensemble=ensemble, tolerance=0.1)
    found = method.analyse(made.problem(BACKGROUND, term, members=[4, 1]), made.draws(6))
    whole = method.analyse(made.problem(BACKGROUND, term), made.draws(6))
    assert len(found.course) == 2 and len(whole.course) == 6
    assert all(np.array_equal(found.course[i], whole.course[number]) for i, number in enumerate((4, 1)))
    assert all(course[-1] < course[0] for course in whole.course)
    assert np.array_equal(whole.course[0], whole.course[1]) == (ensemble == "recentred")


def test_decoded_the_analysis_begins_with_what_the_latent_holds_of_the_background():
    term, x = made.term(made.table()), made.flat(BACKGROUND)
    of = replace(LATENT, mean=BACKGROUND[0].reshape(made.SPACE.shape).astype(float))
    scale = np.repeat(made.SCALE, made.SPACE.grid.size)
    maps = made.method(of).latent
    held = made.flat(BACKGROUND[0][None])[0] + scale * maps.put_back(
        maps.project(torch.tensor((x - made.flat(BACKGROUND[0][None])) / scale))).numpy()
    K, H = kalman_gain(made.covariance(LATENT, 2.0), term)
    (y,) = made.problem(BACKGROUND, term).perturbed(made.draws(6).observation_errors(len(term)))
    found = made.flat(analysed(term, of=of, form="decode"))
    assert in_scales(held - x).max() > 0.1
    assert in_scales(found - (held + (y - held @ H.T) @ K.T)).max() < ROUNDING


def test_decoded_by_a_latent_that_holds_everything_it_is_the_increment_added():
    term, of = made.term(made.table()), made.latent(modes=made.N)
    added, decoded = (made.flat(analysed(term, of=of, form=form)) for form in ("increment", "decode"))
    assert in_scales(decoded - added).max() < ROUNDING
