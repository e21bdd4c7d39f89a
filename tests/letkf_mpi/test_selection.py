"""The nearest of each kind, against a loop."""

import numpy as np
import pytest

from letkf_mpi.selection import nearest


def some(p: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.choice([1, 3, 8], p), rng.choice(np.linspace(0.1, 1.0, 12), p)  # tapers with ties


@pytest.mark.parametrize("limit", [1, 4, 17])
def test_it_keeps_the_nearest_of_each_kind_and_of_equals_the_first(limit):
    kind, taper = some()
    expected = np.zeros(kind.size, bool)
    for one in np.unique(kind):
        of_it = sorted(np.flatnonzero(kind == one), key=lambda i: (-taper[i], i))
        expected[of_it[:limit]] = True
    assert np.array_equal(nearest(kind, taper, limit), expected)


def test_a_limit_that_is_not_reached_keeps_all():
    assert nearest(*some(), 60).all()


def test_no_observations():
    assert nearest(np.empty(0, int), np.empty(0), 3).shape == (0,)
