"""Processor seconds of an analysis by rank and phase, in MPI and outside of it.

    mpirun -n 8 python -m tests.benchmarks.phases EXPERIMENT.toml 1989010106        # a table; the analysis is made
    mpirun -n 8 python -m tests.benchmarks.phases EXPERIMENT.toml 1989010106 --json

Seconds of a processor count on a machine with more ranks than cores too, where those of the clock say nothing.  What a
rank spends inside of MPI is carrying and waiting; on ranks that wait for a core most of it is neither.
"""

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from mpi4py import MPI

from contracts import program
from letkf_mpi import analysis
from letkf_mpi.ranks.parallel import World


class Timed:
    """A communicator that adds up the seconds of all calls of it and of those made from it."""

    seconds = 0.0

    def __init__(self, comm: MPI.Comm):
        self.comm = comm

    def __bool__(self) -> bool:
        return bool(self.comm)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.comm, name)
        return self._timed(found) if callable(found) else found

    def _timed(self, call: Callable) -> Callable:
        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.process_time()
            try:
                given = call(*args, **kwargs)
            finally:
                Timed.seconds += time.process_time() - start
            return Timed(given) if isinstance(given, MPI.Comm) else given

        return timed


class TimedWorld(World):
    """The ranks, with every communicator timed but that of windows, which MPI takes as it is."""

    def shared_window(self, bytes_of_node: int) -> MPI.Win:
        mine = bytes_of_node if self.node.rank == 0 else 0
        return MPI.Win.Allocate_shared(mine, comm=MPI.Intracomm(self.node.comm))  # type: ignore[attr-defined]


class Phases:
    """In the place of `contracts.phases.Phases`: seconds (outside, inside) of MPI of each phase of this rank."""

    seconds: dict[str, np.ndarray] = {}

    def __init__(self) -> None:
        self._open: list[str] = []
        self._since = self._now()

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        self._close()
        self._open.append(name)
        yield
        self._close()
        self._open.pop()

    def line(self) -> str:
        return ""

    def _close(self) -> None:
        """What was spent since the last look belongs to the phase that is open."""
        spent, self._since = self._now() - self._since, self._now()
        if self._open:
            self.seconds[self._open[-1]] = self.seconds.get(self._open[-1], np.zeros(2)) + spent

    def _now(self) -> np.ndarray:
        return np.array([time.process_time() - Timed.seconds, Timed.seconds])


def main(arguments: Sequence[str]) -> None:
    world = TimedWorld(Timed(MPI.COMM_WORLD))  # type: ignore[arg-type]
    program.log_to_terminal(logging.ERROR)
    analysis.Phases = Phases  # type: ignore[misc, assignment]
    analysis.main(world, [argument for argument in arguments if argument != "--json"])
    of_ranks = MPI.COMM_WORLD.gather(Phases.seconds)
    if of_ranks is None:
        return
    found = {name: np.array([of_rank[name] for of_rank in of_ranks]) for name in of_ranks[0]}  # (rank, 2)
    if "--json" in arguments:
        print(json.dumps({name: seconds.tolist() for name, seconds in found.items()}))
        return
    print("| phase, s | rank 0 | mean | most | in MPI, mean |\n| --- | --- | --- | --- | --- |")
    for name, seconds in found.items():
        own, inside = seconds.T
        print(f"| {name} | {own[0]:.3f} | {own.mean():.3f} | {own.max():.3f} | {inside.mean():.3f} |")


if __name__ == "__main__":
    main(sys.argv[1:])
