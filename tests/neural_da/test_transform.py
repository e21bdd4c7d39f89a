"""The ensemble transform equals that of the LETKF, which is other code, and leaves alone what nobody observes."""

import numpy as np
import pytest

from letkf_mpi.solvers import Letkf
from neural_da import transform
from tests.letkf_mpi.problems import close, problem


@pytest.mark.parametrize("p", [0, 1, 7, 40])
@pytest.mark.parametrize("inflation", [1.0, 1.3])
def test_weights_are_those_of_the_letkf(p, inflation):
    of = problem(p, inflation=inflation, seed=p)
    root = np.sqrt(of.rinv)
    close(transform.weights(root[:, None] * of.Y, root * of.d, inflation), Letkf().solve(of))
    expected = Letkf().solve(of).signal
    assert transform.weights(root[:, None] * of.Y, root * of.d, inflation).signal == pytest.approx(expected, abs=1e-12)


def test_each_part_has_the_weights_of_its_region_and_one_that_sees_nothing_keeps_its_bits():
    of, Z = problem(9, seed=4), np.random.default_rng(5).standard_normal((5, 12)).astype(np.float32)
    found = transform.of_regions(of.Y, of.d, [np.array([0, 3, 5]), np.array([], int)], 1.0)
    parts = [slice(0, 7), slice(7, 12)]
    mean, Za = transform.transformed(Z, found, parts)
    alone = transform.weights(of.Y[[0, 3, 5]], of.d[[0, 3, 5]], 1.0)
    assert np.allclose(mean[:7], alone.mean @ Z[:, :7], rtol=1e-6)
    assert np.allclose(Za[:, :7], alone.perturbations.T @ Z[:, :7], rtol=1e-5)
    assert np.array_equal(Za[:, 7:], Z[:, 7:]) and not mean[7:].any()


def test_perturbations_keep_zero_mean():
    of = problem(20, k=6, inflation=1.2)
    W = transform.weights(of.Y, of.d, 1.2).perturbations
    assert np.allclose(W.sum(axis=0), np.sqrt(1.2)) and np.allclose(W.sum(axis=1), np.sqrt(1.2))
