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
MEMBERS, ENTRIES = 20, 8  # bilinear in the horizontal and linear in the vertical
GROUP = f"H(x), {NOBS} observations on levels, 64 x 32 x 7"
FLOPS = NOBS * (2 * ENTRIES - 1)


def soundings():
    rng = np.random.default_rng(0)
    quantity = rng.choice([Quantity.temperature, Quantity.u_component_of_wind, Quantity.v_component_of_wind], NOBS)
    return builders.observations(np.zeros(NOBS), quantity, rng.uniform(-90, 90, NOBS), rng.uniform(0, 360, NOBS),
                                 np.exp(rng.uniform(np.log(5_000), np.log(92_500), NOBS)))


def test_one_member(benchmark):
    benchmark.group = GROUP
    H = Forward.of(soundings(), SPACE, builders.flat_static(SPACE.grid), 300.0)
    x = builders.random_state(SPACE).data.reshape(len(SPACE.channels), -1).astype(np.float64)
    benchmark.extra_info["float64 flops"] = FLOPS
    assert np.isfinite(benchmark(H.apply, x)).all()


def test_many_members(benchmark):
    """As files have them, in single precision."""
    benchmark.group = f"{GROUP}, {MEMBERS} members"
    H = Forward.of(soundings(), SPACE, builders.flat_static(SPACE.grid), 300.0)
    X = np.stack([builders.random_state(SPACE, seed).data for seed in range(MEMBERS)])
    benchmark.extra_info["float64 flops"] = MEMBERS * FLOPS
    assert np.isfinite(benchmark(H.apply, X.reshape(MEMBERS, len(SPACE.channels), -1))).all()


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


def sparse() -> csr_array:
    """The same numbers as a matrix."""
    H = Forward.of(soundings(), SPACE, builders.flat_static(SPACE.grid), 300.0)
    row = np.concatenate([np.repeat(part.rows, ENTRIES) for part in H.parts])
    entry, weight = (np.concatenate([array.T.reshape(-1) for array in arrays]) for arrays in
                     zip(*((part.entry, part.formula.weight) for part in H.parts), strict=True))
    return csr_array((weight, (row, entry)), shape=(NOBS, len(SPACE.channels) * SPACE.grid.size))


def test_plain_sparse_product(benchmark):
    benchmark.group = GROUP
    x, matrix = builders.random_state(SPACE).data.astype(np.float64).reshape(-1), sparse()
    found = benchmark(lambda: matrix @ x)
    H = Forward.of(soundings(), SPACE, builders.flat_static(SPACE.grid), 300.0)
    np.testing.assert_allclose(H.apply(x.reshape(len(SPACE.channels), -1)), found, rtol=1e-12)


def test_plain_sparse_product_of_many(benchmark):
    """From members as files have them, one after the other, to H(x) likewise."""
    benchmark.group = f"{GROUP}, {MEMBERS} members"
    X = np.stack([builders.random_state(SPACE, seed).data.reshape(-1) for seed in range(MEMBERS)])
    matrix = sparse()
    benchmark(lambda: np.ascontiguousarray((matrix @ np.ascontiguousarray(X.T, np.float64)).T))
