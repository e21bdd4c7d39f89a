"""Random numbers belong to seed, time, member and row of the table, and perturb no mean."""

import numpy as np
import pytest

from neural_da.draws import Centred
from tests.neural_da import made


def test_perturbations_have_no_mean_and_the_variance_of_the_errors():
    eps = np.concatenate([made.draws(5, seed).observation_errors(2000) for seed in range(10)], axis=1)
    assert np.abs(eps.mean(axis=0)).max() < 1e-15
    assert (eps**2).mean() == pytest.approx(1.0, abs=0.02)


def test_draws_are_the_same_again_and_others_for_another_seed_member_or_stream():
    found = made.draws(4).normal(1, 2, 100)
    assert np.array_equal(found, made.draws(4).normal(1, 2, 100))
    others = [made.draws(4, seed=2).normal(1, 2, 100), made.draws(4).normal(1, 3, 100), made.draws(4).normal(2, 2, 100)]
    assert all(np.abs(found - other).max() > 1 for other in others)


def test_draws_of_a_row_do_not_depend_on_the_rows_behind_it():
    assert np.array_equal(made.draws(3).observation_errors(50)[:, :20], made.draws(3).observation_errors(20))


def test_centred_one_by_one_they_are_those_of_all_together():
    draws = made.draws(6)
    one_by_one = Centred.of(draws, 7, 40)
    np.testing.assert_allclose(np.stack([one_by_one.member(number) for number in range(6)]), draws.centred(7, 40),
                               rtol=0, atol=1e-14)
