"""Negative humidities become zero, and the rest of the level gives what that adds."""

import numpy as np

from contracts import humidity
from tests import builders

SPACE = builders.space()
HUMID = humidity.humid(SPACE)
WEIGHTS = SPACE.grid.area_weights.ravel()


def test_the_mean_of_each_humidity_stays_and_nothing_else_changes():
    X = np.random.default_rng(1).standard_normal((3, len(SPACE.channels), WEIGHTS.size)) + 0.5
    X[1] = -1.0  # no water at all
    found, count = humidity.kept_on_the_globe(X, HUMID, WEIGHTS)
    assert HUMID.any() and not HUMID.all() and (found[:, HUMID] >= 0).all()
    np.testing.assert_array_equal(found[:, ~HUMID], X[:, ~HUMID])
    means = [(WEIGHTS * of[:, HUMID]).mean(axis=-1) for of in (found, X)]
    np.testing.assert_allclose(means[0], np.maximum(means[1], 0), rtol=1e-12)
    clipped, same = humidity.not_negative(X, HUMID)
    np.testing.assert_array_equal(count, same)
    np.testing.assert_array_equal(found[0] > 0, clipped[0] > 0)


def test_humidity_that_is_nowhere_negative_stays_as_it_is():
    X = np.random.default_rng(1).random((1, len(SPACE.channels), WEIGHTS.size), np.float32)
    found, count = humidity.kept_on_the_globe(X, HUMID, WEIGHTS.astype(np.float32))
    np.testing.assert_allclose(found, X, rtol=1e-6)
    assert found.dtype == X.dtype and not count.any()
