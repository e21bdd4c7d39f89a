"""What ranks cost one another: bytes between two, and calls among many."""

import json
from collections.abc import Callable

import numpy as np

from contracts.grid import Grid
from letkf_mpi.local import tiles
from letkf_mpi.local.columns import Plan
from letkf_mpi.ranks.layouts import Layouts, Members
from letkf_mpi.ranks.observing import Observing
from letkf_mpi.ranks.parallel import World
from obsoperator import Forward
from tests.benchmarks.phases import Timed, TimedWorld
from tests.benchmarks.scaling.problem import Problem
from tests.benchmarks.seconds import seconds
from tests.mpi.launcher import mpirun

EXCHANGED = (20, 40, 128, 160)  # members, channels, rows and columns of the grid whose exchange is measured
MANY = 1024  # ranks among which one does what each call asks of it


def exchange_seconds() -> dict[str, float]:
    """Seconds a byte, each rank of two sending half of what it has to the other, or one all to itself."""
    itself, both = (json.loads(mpirun(ranks, "-m", "tests.benchmarks.scaling", "--exchange", timeout=900).stdout)
                    for ranks in (1, 2))
    return both | {"carry_alone": itself["carry"]}


def exchange(world: World, _: object) -> None:
    """The MPI side of `exchange_seconds`."""
    world = TimedWorld(Timed(world.comm))  # type: ignore[arg-type]
    members, channels, *shape = EXCHANGED
    blocks = tiles.blocks(Grid.regular(*shape), 4)
    plan = Plan.of(blocks, np.random.default_rng(0).random(len(blocks)), world.size)
    layouts = Layouts(world, Members(world, members).shares, channels, plan.columns)
    mine = np.ones((layouts.shares[world.rank].members.size, channels, shape[0] * shape[1]), np.float32)
    by_column = layouts.to_columns(mine)
    ways: dict[str, Callable[[], object]] = {"to_columns": lambda: layouts.to_columns(mine),
                                             "to_members": lambda: layouts.to_members(by_column)}
    taken, carried = {}, []
    for name, way in ways.items():
        inside = Timed.seconds
        whole = seconds(way, 1)
        carried.append((Timed.seconds - inside) / mine.nbytes)
        taken[name] = whole / mine.nbytes - carried[-1]
    if world.is_root:
        print(json.dumps(taken | {"carry": float(np.mean(carried))}))


class Alone:
    """MPI as if this rank, the first, were one of many: all that it calls ends at once, and brings zeros."""

    rank = 0

    def __init__(self, size: int):
        self.size = size

    def Alltoall(self, sent: np.ndarray, found: np.ndarray) -> None:  # noqa: N802
        found[:] = sent

    def Alltoallv(self, sent: list, found: list) -> None:  # noqa: N802
        found[0][:] = 0

    def Allreduce(self, mine: np.ndarray, found: np.ndarray, how: object) -> None:  # noqa: N802
        found[...] = mine

    def allgather(self, mine: object) -> list:
        return [mine] * self.size


def call_seconds(problem: Problem, columns: tuple[np.ndarray, ...]) -> dict[str, float]:
    """Of a rank among `MANY`, whose columns these are, that exchanges one channel and asks for a number."""
    world, size = World(Alone(MANY)), problem.space.grid.size  # type: ignore[arg-type]
    layouts = Layouts(world, Members(world, problem.members).shares, 1, columns)
    by_column = np.zeros((problem.members, 1, columns[0].size), np.float32)
    there = seconds(lambda: layouts.to_columns(np.zeros((1, 1, size), np.float32)))
    back = seconds(lambda: Layouts(world, layouts.shares, 1, columns).to_members(by_column))
    seen = Observing(world, slice(0, 0), 1, np.array([int(columns[0][0])]), Forward(size, np.empty(0, np.int8), ()))
    asked = seconds(lambda: seen.in_columns(columns, by_column))
    return {"calls": (there + back) / 2 / MANY, "asked": max(0.0, asked - there - back)}
