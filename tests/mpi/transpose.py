"""MPI program of test_layouts: exchange there and back for many shapes; prints how many were exact."""

import numpy as np

from letkf_mpi.parallel import Layouts, World, guarded

SHAPES = [(1, 1, 1), (2, 3, 5), (5, 4, 3), (7, 2, 40), (20, 3, 17), (3, 38, 2), (4, 5, 64)]


def check(world: World, shape: tuple[int, int, int], seed: int, group_bytes: int) -> None:
    """Columns go to ranks at random, some ranks may get none; every element must arrive in its place."""
    members, _, columns = shape
    whole = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    owner = np.random.default_rng(seed + 1).integers(0, world.size, columns)
    by_rank = tuple(np.flatnonzero(owner == rank) for rank in range(world.size))
    owned = world.members(members)
    layouts = Layouts(world, owned, by_rank, group_bytes)
    mine = whole[owned[world.rank]]

    by_column = layouts.to_columns(mine)
    assert np.array_equal(by_column, whole[:, :, by_rank[world.rank]])
    assert np.array_equal(layouts.to_members(by_column), mine)
    gathered = world.gather_columns(by_column, by_rank)
    assert (gathered is None) != world.is_root
    assert gathered is None or np.array_equal(gathered, whole)
    first = world.gather_members(mine[:, 0], owned)
    assert first is None or np.array_equal(first, whole[:, 0].T)


def main(world: World, arguments) -> None:
    for seed, shape in enumerate(SHAPES):
        for group_bytes in (1, 1000, 2**26):  # channel by channel, in groups, at once
            check(world, shape, seed, group_bytes)
    passed = world.comm.allreduce(1)
    if world.is_root:
        print(f"{len(SHAPES)} shapes exact on {passed} ranks")


if __name__ == "__main__":
    guarded(main, "transpose")
