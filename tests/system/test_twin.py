"""The maker of observations and the analysis agree: an observation without error is H of the truth."""

import numpy as np
import pytest

from contracts.static import Static
from contracts.variables import Flag
from obsoperator import Forward
from obsproc import synthetic
from obsproc.config import Synthetic
from tests import builders

EXACT = Synthetic(wind_error=1e-9, temperature_error=1e-9, humidity_error=1e-12, surface_pressure_error_hpa=1e-9)


@pytest.mark.parametrize("height", [0.0, 1500.0])
def test_an_observation_without_error_is_h_of_the_truth(height):
    space = builders.space(16, 32)
    truth = builders.random_state(space)
    mountains = height * np.random.default_rng(0).uniform(size=space.grid.shape)
    fields = Static(space.grid, mountains, np.ones(space.grid.shape))
    made = synthetic.draw(truth, fields, synthetic.network(EXACT, fields, 1), EXACT, 1)
    H = Forward.of(made, space, fields, 300.0)
    seen = (made.flag == Flag.passed) & (H.flag == Flag.passed)
    assert seen.mean() > 0.6 and np.unique(made.quantity[seen]).size == 5
    hx = H.apply(truth.data.reshape(len(space.channels), -1))
    np.testing.assert_allclose(hx[seen], made.value[seen], rtol=1e-6, atol=1e-6)
