"""What a likelihood, a posterior and a background come to, by the formulas and by a network's own loss."""

import numpy as np
import pytest
import torch

from networks.o2l.estimate import Information, combined

RNG = np.random.default_rng(4)


def tensor(values) -> torch.Tensor:
    return torch.as_tensor(values, dtype=torch.float64)


def kalman(mean, variance, y, sigma2):
    """The Kalman filter of independent numbers, each observed."""
    gain = variance / (variance + sigma2)
    return mean + gain * (y - mean), (1 - gain) * variance


def test_with_a_likelihood_it_is_the_kalman_filter_of_independent_numbers():
    mean, y = tensor(RNG.standard_normal((2, 50)))
    variance, sigma2 = tensor(RNG.uniform(0.1, 3, (2, 50)))
    found = combined(mean, variance, Information(1 / sigma2, y / sigma2))
    for one, other in zip(found, kalman(mean, variance, y, sigma2), strict=True):
        assert torch.allclose(one, other, rtol=1e-12)


def test_it_is_the_kalman_filter_in_matrices_too():
    n = 12
    mean, y = RNG.standard_normal((2, n))
    B, R = np.diag(RNG.uniform(0.1, 3, n)), np.diag(RNG.uniform(0.1, 3, n))
    gain = B @ np.linalg.inv(B + R)
    observed = Information(tensor(1 / np.diag(R)), tensor(y / np.diag(R)))
    analysis, p = combined(tensor(mean), tensor(np.diag(B).copy()), observed)
    assert np.allclose(analysis, mean + gain @ (y - mean)) and np.allclose(np.diag(p), (np.eye(n) - gain) @ B)


def test_estimates_with_the_same_error_say_together_what_one_of_them_says():
    mean, variance = tensor(RNG.standard_normal(50)), tensor(RNG.uniform(0.1, 3, 50))
    one = Information(1 / variance.flip(0), mean.flip(0) / variance.flip(0))
    analysis, p = mean, variance
    for _ in range(4):
        analysis, p = combined(analysis, p, one.of_each(4))
    expected = combined(mean, variance, one)
    assert torch.allclose(analysis, expected[0]) and torch.allclose(p, expected[1])


def test_observations_that_say_nothing_leave_the_background_to_the_bit():
    mean, variance = tensor(RNG.standard_normal(50)), tensor(RNG.uniform(0.1, 3, 50))
    analysis, p = combined(mean, variance, Information(torch.zeros(50).double(), torch.zeros(50).double()))
    assert torch.equal(analysis, mean) and torch.allclose(p, variance, rtol=1e-15)


def test_what_is_learned_beside_the_climate_is_the_likelihood_again_without_it():
    """The prior removed from the posterior is the likelihood; what says no more than the prior says nothing."""
    m, c, y, sigma2 = 0.7, 2.0, tensor(RNG.standard_normal(20)), tensor(RNG.uniform(0.1, 5, 20))
    mu, r = kalman(m, c, y, sigma2)
    found = Information(1 / r, mu / r).without(tensor(m), tensor(c))
    assert torch.allclose(found.precision, 1 / sigma2) and torch.allclose(found.weighted, y / sigma2)
    nothing = Information(tensor([1 / c, 0.5 / c]), tensor([m / c, 9.0])).without(tensor(m), tensor(c))
    assert not nothing.precision.any() and not nothing.weighted.any()


@pytest.fixture(scope="module")
def learned():
    """mu = a y + d and r by the network's loss from pairs of states x ~ N(m, c) and y = x + e, and what made them."""
    m, c, sigma2 = 1.5, 2.0, 0.8
    generator = torch.Generator().manual_seed(0)
    x = m + c**0.5 * torch.randn(200_000, generator=generator, dtype=torch.float64)
    y = x + sigma2**0.5 * torch.randn(x.shape, generator=generator, dtype=torch.float64)
    a, d, log_r = (torch.zeros((), dtype=torch.float64, requires_grad=True) for _ in range(3))
    optimiser = torch.optim.LBFGS([a, d, log_r], max_iter=100, tolerance_grad=1e-10)

    def loss():
        optimiser.zero_grad()
        value = (0.5 * ((x - a * y - d) ** 2 / log_r.exp() + log_r)).mean()
        value.backward()
        return value

    optimiser.step(loss)
    return m, c, sigma2, a.detach(), d.detach(), log_r.detach().exp()


@pytest.mark.parametrize(("removed", "close"), [(True, True), (False, False)])
def test_with_the_networks_loss_it_is_kalman_only_after_the_prior_is_removed(learned, removed, close):
    m, c, sigma2, a, d, r = learned
    y, background, b = tensor(np.linspace(-3, 5, 30)), tensor(np.linspace(4, 0, 30)), tensor(0.6)
    told = Information((1 / r).expand(30), (a * y + d) / r)
    analysis, p = combined(background, b, told.without(tensor(m), tensor(c)) if removed else told)
    expected, variance = kalman(background, b, y, tensor(sigma2))
    assert torch.allclose(analysis, expected, atol=0.03) == close
    assert torch.allclose(p, variance.expand(30), rtol=0.02) == close
