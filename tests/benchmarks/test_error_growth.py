"""Growth rates against systems whose rates are known."""

import numpy as np
import pytest
import torch

from tests.benchmarks import error_growth


def test_the_exponent_of_the_map_of_henon_is_the_known_one():
    """0.419 (Feit 1978, Commun. Math. Phys. 61, 249)."""
    def henon(x: torch.Tensor) -> torch.Tensor:
        return torch.stack([1 - 1.4 * x[0] ** 2 + x[1], 0.3 * x[0]])

    x, v = torch.zeros(2, dtype=torch.float64), torch.eye(2, dtype=torch.float64)[0]
    grown, _ = error_growth.leading_exponent(henon, x, v, 2000, torch.linalg.norm)
    assert grown[100:].mean() == pytest.approx(0.419, abs=0.02)


def test_of_a_linear_map_it_is_the_largest_eigenvalue_whatever_the_first_vector():
    A = torch.tensor([[1.2, 0.3], [0.0, 0.7]], dtype=torch.float64)
    x, v = torch.zeros(2, dtype=torch.float64), torch.tensor([0.1, 1.0], dtype=torch.float64)
    grown, end = error_growth.leading_exponent(lambda x: A @ x, x, v, 60, torch.linalg.norm)
    assert grown[-1] == pytest.approx(np.log(1.2))
    np.testing.assert_allclose(end, [1.0, 0.0], atol=1e-12)


def test_an_amplitude_that_doubles_in_two_days_says_so():
    days = np.arange(0, 7.25, 0.25)
    amplitude = np.where(days < 1, 5.0, 2.0 ** (days / 2))  # what comes before does not count
    found = error_growth.rates(np.stack([amplitude, amplitude**2], axis=1), days, 1, 4)
    np.testing.assert_allclose(found, [np.log(2) / 2, np.log(2)])
    assert error_growth.doubling(np.full(5, found[0])) == "2.0 (2.0 to 2.0)"
    assert error_growth.doubling(np.array([-1.0, -1.0])) == "never (never to never)"


def test_differences_are_to_the_first_member():
    fields = np.array([[1.0], [1.5], [3.0]])
    found = error_growth.followed(lambda x: 2 * x, fields, 2)
    np.testing.assert_array_equal([each.ravel() for each in found], [[0.5, 2.0], [1.0, 4.0], [2.0, 8.0]])
