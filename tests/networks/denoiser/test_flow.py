"""The flow from noise to states, of numbers whose mean given noise is known."""

import numpy as np
import pytest

from networks.denoiser import flow
from networks.denoiser.flow import LAST, levels


def test_levels_go_down_to_nothing_each_the_same_part_of_the_one_before():
    found = np.array(levels(2.0, 16))
    assert len(found) == 17 and found[0] == 2.0 and found[-2] == pytest.approx(LAST) and found[-1] == 0
    np.testing.assert_allclose(found[1:-1] / found[:-2], (LAST / 2.0) ** (1 / 15))


@pytest.mark.parametrize("deviation", [0.3, 1.0, 3.0])
def test_a_gaussian_comes_out_as_wide_as_it_is(deviation):
    """z (a^2 / (a^2 + sigma^2))^(1/2): the flow only shrinks it."""
    z = np.array([-2.0, 0.5, 4.0])
    found = flow.carried(lambda z, sigma: z * deviation**2 / (deviation**2 + sigma**2), z, levels(2.0, 32))
    np.testing.assert_allclose(found, z * deviation / np.hypot(deviation, 2.0), rtol=0.01)


def test_one_of_two_values_comes_out_as_the_nearer_one():
    """z is -1 or 1: of no Gaussian, so that nothing but its denoiser tells."""
    z = np.array([-0.8, -0.1, 0.05, 1.7])
    found = flow.carried(lambda z, sigma: np.tanh(z / sigma**2), z, levels(1.0, 32))
    np.testing.assert_allclose(found, np.sign(z), atol=1e-6)
