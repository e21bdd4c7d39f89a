"""MPI program of test_layouts: exchange there and back for many shapes, memory shared by a node; prints how many
shapes were exact."""

from dataclasses import fields

import numpy as np

from letkf_mpi.ranks.layouts import Layouts, Members
from letkf_mpi.ranks.node_memory import NodeMemory
from letkf_mpi.ranks.parallel import World, guarded
from tests import builders

SHAPES = [(1, 1, 1), (2, 3, 5), (5, 4, 3), (7, 2, 40), (20, 3, 17), (3, 38, 2), (4, 5, 64)]


def check(world: World, shape: tuple[int, int, int], seed: int, group_bytes: int) -> None:
    """Columns go to ranks at random, some ranks may get none; every element must arrive in its place."""
    members, channels, columns = shape
    whole = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    owner = np.random.default_rng(seed + 1).integers(0, world.size, columns)
    by_rank = tuple(np.flatnonzero(owner == rank) for rank in range(world.size))
    owned = Members(world, members)
    layouts = Layouts(owned, channels, by_rank, group_bytes)
    share = owned.mine
    mine = whole[share.members, share.of(channels)]
    assert np.array_equal(owned.whole(mine), whole[share.members])

    by_column = layouts.to_columns(mine)
    assert np.array_equal(by_column, whole[:, :, by_rank[world.rank]])
    assert np.array_equal(layouts.to_members(by_column), mine)
    check_where(world.rank == world.last, layouts.gather(by_column), whole)
    check_where(world.is_root, owned.gather(mine[:, :, 0], channels), whole[:, :, 0].T)


def check_where(here: bool, gathered: np.ndarray | None, expected: np.ndarray) -> None:
    assert (gathered is None) != here
    assert gathered is None or np.array_equal(gathered, expected)


def check_node_memory(world: World) -> None:
    """What rank 0 has stands on every rank, read-only, also without shared memory, in pieces and without any array."""
    rng = np.random.default_rng(0)
    table = builders.observations(rng.standard_normal(1001), station=b"ABC", report=np.arange(1001))
    matrix = rng.standard_normal((7, 100)).T
    for least_bytes, most_at_once in ((0, 2**30), (2**40, 2**30), (2**40, 1000)):
        with NodeMemory(world, least_bytes, most_at_once) as node:
            assert node.shared(lambda: {"no": "array"} if world.is_root else None) == {"no": "array"}
            found, view, nothing = node.shared(lambda: (table, matrix, np.empty(0)))
            for column in fields(table):
                assert getattr(found, column.name).tobytes() == getattr(table, column.name).tobytes()
            assert np.array_equal(view, matrix) and nothing.size == 0
            assert world.size == 1 or not found.value.flags.writeable
            del found, view, nothing


def main(world: World, arguments) -> None:
    for seed, shape in enumerate(SHAPES):
        for group_bytes in (1, 1000, 2**26):  # channel by channel, in groups, at once
            check(world, shape, seed, group_bytes)
    check_node_memory(world)
    passed = world.comm.allreduce(1)
    if world.is_root:
        print(f"{len(SHAPES)} shapes exact on {passed} ranks")


if __name__ == "__main__":
    guarded(main, "transpose")
