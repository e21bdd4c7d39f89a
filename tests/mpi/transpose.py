"""MPI program of test_layouts: exchange there and back for many shapes, memory shared by a node; prints how many
shapes were exact."""

from dataclasses import fields
from functools import cached_property

import numpy as np

from letkf_mpi.ranks.exchange import to_root
from letkf_mpi.ranks.layouts import Layouts, Members, brought, teams, writers
from letkf_mpi.ranks.node_memory import NodeMemory
from letkf_mpi.ranks.observing import Observing, rows_of
from letkf_mpi.ranks.parallel import World, guarded
from obsoperator import Forward
from tests import builders

SHAPES = [(1, 1, 1), (2, 3, 5), (5, 4, 3), (7, 2, 40), (20, 3, 17), (3, 38, 2), (4, 5, 64)]


class OnTwoComputers(World):
    """The ranks of this computer as if every other one were on another, which has one less where they are odd."""

    @cached_property
    def node(self):
        return self.comm.Split(self.rank % 2, self.rank)


def check(world: World, shape: tuple[int, int, int], seed: int, group_bytes: int) -> None:
    """Columns go to ranks at random, some ranks may get none; every element must arrive in its place."""
    members, channels, columns = shape
    whole = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    owner = np.random.default_rng(seed + 1).integers(0, world.size, columns)
    by_rank = tuple(np.flatnonzero(owner == rank) for rank in range(world.size))
    owned = Members(world, members)
    layouts = Layouts(world, owned.shares, channels, by_rank, group_bytes)
    share = owned.mine
    mine = whole[share.members, share.of(channels)]
    by_column = layouts.to_columns(mine)
    assert np.array_equal(by_column, whole[:, :, by_rank[world.rank]])
    assert np.array_equal(layouts.to_members(by_column), mine)
    by_name = {str(number): part for number, part in enumerate(by_column)}
    behind = brought(world, by_name, by_rank, writers(members, world.size, 3))
    assert [int(name) for name in behind] == [n for n in range(members) if (n + 3) % world.size == world.rank]
    assert all(np.array_equal(data, whole[int(name)]) for name, data in behind.items())
    if world.size > 1:
        check_teams(world, by_rank, by_column, whole, group_bytes)
    check_where(world.is_root, to_root(world, by_column), whole[:, :, np.concatenate(by_rank)])
    check_observing(world, owned, by_rank, mine, by_column, whole, 300 * group_bytes)


def check_teams(world: World, by_rank, by_column, whole, group_bytes: int) -> None:
    """Of the last two of as many members as there are ranks beside the first, or of fewer, each channel on one rank."""
    channels, of = whole.shape[1], min(len(whole), world.size - 1)
    some, cuts = range(max(0, of - 2), of), [0, *range(1, channels, 2), channels]
    for most in (1, 3, 100):
        shares = teams(some, of, world.size, cuts, most)
        mine, there = shares[world.rank], whole[some.start : some.stop]
        found = Layouts(world, shares, channels, by_rank, group_bytes).to_members(by_column[some.start : some.stop])
        assert np.array_equal(found, there[mine.members, mine.of(channels)])
        for number in range(len(some)):
            parts = [share.of(channels) for share in shares if number in share.members]
            assert len(parts) <= most and sorted({part.start for part in parts} | {channels}) == sorted(
                {part.stop for part in parts} | {0})
            assert {part.start for part in parts} <= set(cuts)
        assert not shares[0].members.size


def check_observing(world: World, owned: Members, by_rank, mine, by_column, whole, group_bytes: int) -> None:
    """Any numbers of a state, others for each rank and perhaps none, of all members, from either layout."""
    members, channels, columns = whole.shape
    random = np.random.default_rng(world.rank)
    entry = np.flatnonzero(random.random(channels * columns) < random.choice([0.0, 0.5, 1.0]))
    H = Forward(columns, np.empty(0, np.int8), ())
    seen = Observing(world, slice(0, 0), channels, entry, H, group_bytes)
    expected = whole.reshape(members, 1, -1)[..., entry]
    assert np.array_equal(seen.in_members(owned, mine), expected)
    assert np.array_equal(seen.in_columns(by_rank, by_column), expected)


def check_rows(world: World) -> None:
    """Every row on one rank, none alone; what ranks have of a table stands whole on all of them, text too."""
    for nobs in (0, 1, 2, 17, 33, 1000):
        pieces = [rows_of(nobs, rank, world.size) for rank in range(world.size)]
        assert np.array_equal(np.concatenate([np.arange(nobs)[rows] for rows in pieces]), np.arange(nobs))
        assert all(rows.stop - rows.start != 1 or nobs == 1 for rows in pieces)
        random, here = np.random.default_rng(nobs), pieces[world.rank]
        table = random.random((nobs, 3)), random.integers(0, 99, nobs).astype("S8"), random.random(nobs) < 0.5
        for least_bytes in (0, 2**40):
            with NodeMemory(world, least_bytes) as node:
                for whole, part in zip(table, node.joined([column[here] for column in table]), strict=True):
                    assert part.dtype == whole.dtype and np.array_equal(part, whole)
                    assert world.size == 1 or not part.flags.writeable
                del part
                numbers = node.by_shares(nobs, lambda part: [np.arange(part.start, part.stop) * np.ones((2, 1))])
                assert np.array_equal(numbers[0], np.arange(nobs) * np.ones((2, 1)))
                del numbers


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
    for ranks in (world, OnTwoComputers()):
        check_node_memory(ranks)
        check_rows(ranks)
    passed = world.comm.allreduce(1)
    if world.is_root:
        print(f"{len(SHAPES)} shapes exact on {passed} ranks")


if __name__ == "__main__":
    guarded(main, "transpose")
