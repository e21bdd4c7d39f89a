"""The network: round the globe and across the poles; what it says before it has learned anything."""

import numpy as np
import pytest
import torch

from networks.o2l import network
from networks.o2l.network import Observer, Shape
from networks.sphere import Block, padded
from tests.networks.climax_builders import randomise
from tests.networks.o2l import made
from tests.networks.o2l.made import SPACE

SHAPE = Shape(len(SPACE.channels), planes=6, widths=(8, 12), blocks=1, seasons=3)
SECONDS = np.array([0, 10**7])


def observer(still: np.ndarray | None = None) -> Observer:
    torch.manual_seed(0)
    fields = np.zeros((4, *SPACE.grid.shape)) if still is None else still
    return Observer(SHAPE, made.operator(torch.float32), SPACE.grid, fields)


def observed(seed: int = 0, count: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand((count, 2, *SPACE.shape), generator=generator)


def test_beyond_a_pole_lies_the_last_row_half_way_round():
    x = torch.arange(12.0).reshape(1, 1, 3, 4)
    around = padded(x)[0, 0]
    assert around.shape == (5, 6)
    assert torch.equal(around[0, 1:-1], x[0, 0, 0].roll(2)) and torch.equal(around[-1, 1:-1], x[0, 0, -1].roll(2))
    assert torch.equal(around[1:-1, 0], x[0, 0, :, -1]) and torch.equal(around[1:-1, -1], x[0, 0, :, 0])


def test_a_walk_over_the_pole_meets_no_edge():
    """Turned by half the globe and seen from the other side of the pole a convolution that is its own mirror image is
    the same."""
    block = Block(1)
    with torch.no_grad():
        for layer in (block.first, block.second):
            layer.weight.copy_(torch.tensor([[1.0, 2, 1], [2, -3, 2], [1, 2, 1]]).expand(1, 1, 3, 3))
            layer.bias.fill_(0.1)
        x = torch.rand((1, 1, 6, 8))
        beyond = torch.cat([x[..., :2, :].flip(-2).roll(4, -1), x], dim=-2)  # two rows more, as one sees them
        assert torch.allclose(block(beyond)[..., 2:, :], block(x), atol=1e-5)


def test_before_it_has_learned_it_says_the_climate():
    of = observer()
    of.season.copy_(torch.rand(of.season.shape))
    of.log_climate.copy_(torch.rand(of.log_climate.shape))
    found = of(observed(), SECONDS)
    assert torch.allclose(found.mean, of.latent.project(of.mean_of(SECONDS)), atol=1e-5)
    assert torch.equal(found.log_variance[0], of.climate)


def test_turned_round_the_globe_it_says_the_same_of_the_turned_observations():
    """By a patch, which is a whole number of points of every level, where no place is told from another."""
    of, columns = observer(), made.PATCH[1]
    randomise(of, size=0.1)
    of.season.zero_()
    here = of(observed(), SECONDS)
    there = of(observed().roll(columns, -1), SECONDS)
    state = [of.latent.put_back(found.mean).unflatten(-1, SPACE.shape) for found in (here, there)]
    assert state[0].std() > 0.05
    assert torch.allclose(state[0].roll(columns, -1), state[1], atol=1e-4)
    assert here.log_variance.std() > 0.01
    assert torch.allclose(here.log_variance.sort(-1).values, there.log_variance.sort(-1).values, atol=1e-4)


def test_the_climates_variance_is_that_of_each_mode_over_states_and_patches():
    latent = made.operator()
    anomalies = [torch.tensor(np.random.default_rng(n).standard_normal(latent.size)) for n in range(5)]
    found, first = network.climate_variance(latent, anomalies), 0
    half, patches, k = network.shapes(latent)[0]
    squares = np.square([anomaly[: half * patches * k].numpy() for anomaly in anomalies]).reshape(5, half, patches, k)
    assert np.allclose(found[first : half * k], squares.mean(axis=(0, 2)).ravel())


@pytest.mark.parametrize("count", [1, 3])
def test_states_side_by_side_are_as_one_by_one(count):
    of = observer()
    randomise(of, size=0.1)
    together = of(observed(count=count), np.arange(count))
    alone = [of(observed(count=count)[i : i + 1], np.arange(count)[i : i + 1]) for i in range(count)]
    assert torch.allclose(together.mean, torch.cat([one.mean for one in alone]), atol=1e-4)
