"""MPI: the one place that knows of ranks.

A step run `together` that fails with a UserError fails on all ranks: its sentence is told once and all end with
status 1.  An exception that one rank has alone, Ctrl-C too, is printed with the rank and aborts the job, because the
other ranks would wait for ever.
"""

import fcntl
import logging
import os
import stat
import sys
import termios
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, ParamSpec, TypeVar

import numpy as np
from mpi4py import MPI

from contracts import launcher, program
from contracts.errors import UserError, of_memory
from contracts.follow import IN_A_HURRY, Stopped

T = TypeVar("T")
P = ParamSpec("P")
_LAUNCHER_COUNTS = (*launcher.COUNTS, "SLURM_NTASKS")
_ASKED_FOR = "LETKF_RANKS"  # what run/lib.sh tells
_SHORT_SLEEP, _LONG_SLEEP = 0.005, 0.05  # s between two looks of a rank that waits: less than 1 % of a core
_STDERR = 2
_LAST_WORDS = 10.0  # s that a busy launcher has to read what a rank says before it aborts


class Agreed(UserError):
    """A fault that all ranks know of."""


@dataclass(frozen=True)
class World:
    """All ranks of the job.

    A step is a function with its arguments, which are made on all ranks.
    """

    comm: MPI.Intracomm = field(default_factory=lambda: MPI.COMM_WORLD)

    @property
    def rank(self) -> int:
        return self.comm.rank

    @property
    def size(self) -> int:
        return self.comm.size

    @property
    def is_root(self) -> bool:
        return self.rank == 0

    @cached_property
    def node(self) -> MPI.Comm:
        """The ranks of this computer, which can share memory."""
        return self.comm.Split_type(MPI.COMM_TYPE_SHARED, self.rank)

    @property
    def alone(self) -> MPI.Comm:
        """This rank by itself."""
        return MPI.COMM_SELF

    @cached_property
    def leaders(self) -> MPI.Comm:
        """The first rank of each computer; for the others MPI's null communicator, which is false."""
        return self.comm.Split(0 if self.node.rank == 0 else MPI.UNDEFINED, self.rank)

    @cached_property
    def peers(self) -> MPI.Comm:
        """The ranks that have the same number on their computers; on the larger ones some have two."""
        return self.comm.Split(self.node.rank % self.comm.allreduce(self.node.size, MPI.MIN), self.rank)

    @cached_property
    def largest_node(self) -> int:
        """Ranks on the computer that has most."""
        return self.comm.allreduce(self.node.size, MPI.MAX)

    def at_root(self, step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `step` on rank 0 only; a UserError is raised on all ranks.

        What other ranks get is None; the type is that of rank 0, the only one to use it.
        """
        return self.together(partial(step, *args, **kwargs) if self.is_root else nothing)

    def shared(self, step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `step` on rank 0 and give its result to all."""
        return self.comm.bcast(self.at_root(step, *args, **kwargs))

    def together(self, step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `step` on every rank; if any raises UserError or Stopped, or SystemExit as argparse does, all raise the
        first."""
        error: BaseException | None = None
        try:
            result = step(*args, **kwargs)
        except (UserError, Stopped, SystemExit) as raised:
            error = raised
        told = [e for e in self.comm.allgather(error) if e is not None]
        if told:
            raise Agreed(str(told[0])) if isinstance(told[0], UserError) else told[0]
        return result

    def patiently(self, step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`shared` for a step that may take hours: the others sleep, where MPI's own waiting keeps a core busy."""

        def first() -> T:
            try:
                return step(*args, **kwargs)
            finally:
                for rank in range(1, self.size):
                    self.comm.send(None, dest=rank)

        return self.comm.bcast(self.together(first if self.is_root else self._sleep_until_told))

    def _sleep_until_told(self) -> Any:
        began, told = time.monotonic(), self.comm.irecv(source=0)
        while not told.test()[0]:
            time.sleep(_SHORT_SLEEP if time.monotonic() - began < IN_A_HURRY else _LONG_SLEEP)

    def of_each_rank(self, value: T) -> list[T]:
        """What every rank has, in order, on all of them."""
        return self.comm.allgather(value)

    def total(self, whole_numbers: np.ndarray) -> np.ndarray:
        """The sum over all ranks of arrays of one shape, which has one value in whatever order they are added."""
        return self._combined(whole_numbers, MPI.SUM)

    def largest(self, mine: np.ndarray) -> np.ndarray:
        """The largest of all ranks, element by element."""
        return self._combined(mine, MPI.MAX)

    def _combined(self, mine: np.ndarray, how: MPI.Op) -> np.ndarray:
        combined = np.empty_like(mine)
        self.comm.Allreduce(np.ascontiguousarray(mine), combined, how)
        return combined

    def shared_window(self, bytes_of_node: int) -> MPI.Win:
        """A window of memory that all ranks of this computer see; its first rank brings it."""
        return MPI.Win.Allocate_shared(bytes_of_node if self.node.rank == 0 else 0, comm=MPI.Intracomm(self.node))


def nothing() -> Any:
    return None


def check_launcher(size: int, environment: dict[str, str] | os._Environ = os.environ) -> None:
    """Refuse to run where the launcher started more processes than found one another."""
    for name in _LAUNCHER_COUNTS:
        if name in environment:
            if environment[name] != str(size) and size == 1 and name == "SLURM_NTASKS":
                raise UserError(f"this is one process without a launcher inside a Slurm allocation of "
                                f"{environment[name]} tasks; start it with srun or mpirun, or unset SLURM_NTASKS")
            if environment[name] != str(size):
                raise UserError(f"the launcher says {name}={environment[name]}, but MPI sees {size} process(es): the "
                                f"launcher belongs to another MPI than mpi4py ({_library()}); use the mpiexec of that "
                                "one, such as the one beside this python")
            break
    asked = environment.get(_ASKED_FOR, "1")
    if size == 1 and (name := launcher.is_another(environment)):
        raise UserError(f"the launcher says {name}={environment[name]}, so there are others, but MPI sees 1 process: "
                        f"it belongs to another MPI than mpi4py ({_library()})")
    if size == 1 and asked != "1":  # a launcher that leaves no count
        raise UserError(f"run/cycle.sh asked its launcher for {asked} processes, but MPI sees 1: set MPIEXEC or [run] "
                        "machine to the launcher of this MPI, or [run] ranks (RANKS) to 1")


def _library() -> str:
    return " ".join(MPI.Get_library_version().split("\n")[0].split())


def guarded(main: Callable[[World, Sequence[str]], None], name: str) -> None:
    """Run `main(world, arguments)` on all ranks and end the process with its exit status."""
    world = World()
    program.log_to_terminal(logging.INFO if world.is_root else logging.ERROR)
    program.end_without_search()
    try:
        world.together(check_launcher, world.size)
        main(world, sys.argv[1:])
    except Stopped as reason:
        logging.getLogger(name).info("%s", reason)
    except Agreed as error:
        if world.is_root:
            logging.getLogger(name).error("%s", error)
        sys.exit(program.FAILED)
    except KeyboardInterrupt:
        _abort(world, name, "interrupted; run the same command again to resume", program.INTERRUPTED)
    except MemoryError as error:
        _abort(world, name, of_memory(error), program.FAILED)
    except Exception as error:
        story = str(error) if isinstance(error, UserError) else "\n" + traceback.format_exc()
        _abort(world, name, story, program.FAILED)


def _abort(world: World, name: str, story: str, status: int) -> None:
    """End all ranks, once the launcher has read what this one says: one that hears of the abort first drops it."""
    logging.getLogger(name).error("rank %d of %d: %s", world.rank, world.size, story)
    until = time.monotonic() + _LAST_WORDS
    try:
        while _unread_errors() and time.monotonic() < until:
            time.sleep(_SHORT_SLEEP)
    finally:  # a second Ctrl-C waits for nothing
        world.comm.Abort(status)


def _unread_errors() -> int:
    """Bytes of standard error that its reader has not taken yet, where it is a pipe; 0 elsewhere."""
    with suppress(OSError):  # closed
        if stat.S_ISFIFO(os.fstat(_STDERR).st_mode):
            return int.from_bytes(fcntl.ioctl(_STDERR, termios.FIONREAD, bytes(4)), sys.byteorder)
    return 0
