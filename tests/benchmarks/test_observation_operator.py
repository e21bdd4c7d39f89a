"""H(x) of a whole table, in NumPy and in torch, beside the sparse matrix products that it consists of."""

import numpy as np
import torch
from scipy.sparse import csr_array

from contracts.grid import Grid
from contracts.state import StateSpace
from contracts.variables import Quantity
from obsoperator import Forward, tensors
from tests import builders

LEVELS = (5_000.0, 25_000.0, 50_000.0, 60_000.0, 70_000.0, 85_000.0, 92_500.0)
SPACE = StateSpace.of(Grid.regular(32, 64), LEVELS, builders.ON_LEVELS, builders.AT_SURFACE)
NOBS = 60_000
GROUP = f"H(x), {NOBS} observations on levels, 64 x 32 x 7"


def soundings():
    rng = np.random.default_rng(0)
    quantity = rng.choice([Quantity.temperature, Quantity.u_component_of_wind, Quantity.v_component_of_wind], NOBS)
    return builders.observations(np.zeros(NOBS), quantity, rng.uniform(-90, 90, NOBS), rng.uniform(0, 360, NOBS),
                                 np.exp(rng.uniform(np.log(5_000), np.log(92_500), NOBS)))


def test_one_member(benchmark):
    benchmark.group = GROUP
    H = Forward.of(soundings(), SPACE, builders.flat_static(SPACE.grid), 300.0)
    x = builders.random_state(SPACE).data.reshape(len(SPACE.channels), -1).astype(np.float64)
    assert np.isfinite(benchmark(H.apply, x)).all()


def test_one_member_in_torch(benchmark):
    benchmark.group = GROUP
    H = tensors.on(Forward.of(soundings(), SPACE, builders.flat_static(SPACE.grid), 300.0))
    x = torch.tensor(builders.random_state(SPACE).data.reshape(len(SPACE.channels), -1), dtype=torch.float64)
    assert torch.isfinite(benchmark(H.apply, x)).all()


def test_the_gradient_of_one_member(benchmark):
    """H(x) and H'(x)ᵀ of a vector."""
    benchmark.group = GROUP
    H = tensors.on(Forward.of(soundings(), SPACE, builders.flat_static(SPACE.grid), 300.0))
    x = torch.tensor(builders.random_state(SPACE).data.reshape(len(SPACE.channels), -1), dtype=torch.float64,
                     requires_grad=True)
    assert torch.isfinite(benchmark(lambda: torch.autograd.grad(H.apply(x).sum(), x)[0])).all()


def test_set_up(benchmark):
    benchmark.group = GROUP
    table, static = soundings(), builders.flat_static(SPACE.grid)
    benchmark(Forward.of, table, SPACE, static, 300.0)


def test_plain_sparse_product(benchmark):
    """As many entries as bilinear in the horizontal and linear in the vertical need: 8 a row."""
    benchmark.group = GROUP
    rng = np.random.default_rng(0)
    size = len(SPACE.channels) * SPACE.grid.size
    column = np.sort(rng.integers(0, size, (NOBS, 8)), axis=1)
    matrix = csr_array((rng.uniform(size=NOBS * 8), column.reshape(-1), np.arange(NOBS + 1) * 8), shape=(NOBS, size))
    x = rng.standard_normal(size)
    benchmark(lambda: matrix @ x)
