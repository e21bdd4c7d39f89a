"""Tiles cover the grid once, whoever computes them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from contracts.grid import Grid
from letkf_mpi.local import tiles


@given(st.integers(2, 13), st.integers(4, 17), st.integers(1, 6), st.integers(1, 40))
def test_every_column_has_one_tile_and_every_tile_one_rank(nlat, nlon, side, ranks):
    blocks = tiles.blocks(Grid.regular(nlat, nlon), side)
    assert sorted(np.concatenate(blocks).tolist()) == list(range(nlat * nlon))
    shares = tiles.share(np.arange(len(blocks), dtype=float), ranks)
    assert len(shares) == ranks
    assert sorted(tile for mine in shares for tile in mine) == list(range(len(blocks)))


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=60), st.integers(1, 8))
def test_no_rank_has_more_than_its_share_and_one_tile(costs, ranks):
    """The bound of greedy scheduling: at most the mean load plus the largest job."""
    costs = np.array(costs)
    loads = [costs[list(mine)].sum() for mine in tiles.share(costs, ranks)]
    assert max(loads) <= costs.sum() / ranks + costs.max() + 1e-9


def test_work_grows_with_observations():
    blocks = tiles.blocks(Grid.regular(8, 8), 4)
    cost = tiles.work(blocks, np.array([0, 10, 1000, 0]), 20)
    assert cost[0] == cost[3] < cost[1] < cost[2]


def test_a_tile_costs_what_its_batches_of_columns_cost():
    cost = tiles.work([np.arange(1), np.arange(16), np.arange(17)], np.full(3, 100), 20)
    assert cost[0] == cost[1] == cost[2] / 2
