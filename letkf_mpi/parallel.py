"""MPI: the one place that knows of ranks.

Members and columns are laid out in two ways that an all-to-all exchange joins:

    by member    rank r holds whole members r, r + P, r + 2P, …    (my members, channel, column)
    by column    rank r holds all members of its tiles' columns    (member, channel, my columns)

A step run `together` that fails with a UserError fails on all ranks: its sentence is told once and all end with
status 1.  An exception that one rank has alone is printed with the rank and aborts the job, because the other ranks
would wait for ever.
"""

import logging
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from mpi4py import MPI

from contracts import program
from contracts.errors import UserError

T = TypeVar("T")
_LAUNCHER_COUNTS = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "PMIX_SIZE", "SLURM_NTASKS")


class Agreed(UserError):
    """A fault that all ranks know of."""


@dataclass(frozen=True)
class World:
    """All ranks of the job."""

    comm: MPI.Comm = field(default_factory=lambda: MPI.COMM_WORLD)

    @property
    def rank(self) -> int:
        return self.comm.rank

    @property
    def size(self) -> int:
        return self.comm.size

    @property
    def is_root(self) -> bool:
        return self.rank == 0

    def at_root(self, step: Callable[[], T]) -> T:
        """Run `step` on rank 0 only; a UserError is raised on all ranks.

        What other ranks get is None; the type is that of rank 0, the only one to use it.
        """
        return self.together(step if self.is_root else _nothing)

    def shared(self, step: Callable[[], T]) -> T:
        """Run `step` on rank 0 and give its result to all."""
        return self.comm.bcast(self.at_root(step))

    def together(self, step: Callable[[], T]) -> T:
        """Run `step` on every rank; if any raises a UserError, or SystemExit as argparse does, all raise the first."""
        error: BaseException | None = None
        try:
            result = step()
        except (UserError, SystemExit) as raised:
            error = raised
        told = [e for e in self.comm.allgather(error) if e is not None]
        if told:
            raise told[0] if isinstance(told[0], SystemExit) else Agreed(str(told[0]))
        return result

    def members(self, count: int) -> tuple[np.ndarray, ...]:
        """Member indices from 0 of each rank."""
        return tuple(np.arange(rank, count, self.size) for rank in range(self.size))

    def gather_members(self, mine: np.ndarray, owned: Sequence[np.ndarray]) -> np.ndarray:
        """(my members, n) of each rank -> (n, member) on rank 0, None elsewhere."""
        return self._gather(mine.T, owned)

    def gather_columns(self, mine: np.ndarray, owned: Sequence[np.ndarray]) -> np.ndarray:
        """(…, my columns) of each rank -> (…, column) on rank 0, None elsewhere."""
        return self._gather(mine, owned)

    def _gather(self, mine: np.ndarray, owned: Sequence[np.ndarray]) -> np.ndarray:
        pieces = self.comm.gather(np.ascontiguousarray(mine))
        if pieces is None:
            return _nothing()
        whole = np.empty((*mine.shape[:-1], sum(part.size for part in owned)), dtype=mine.dtype)
        for piece, part in zip(pieces, owned, strict=True):
            whole[..., part] = piece
        return whole


@dataclass(frozen=True)
class Layouts:
    """Who owns which members and which columns; the way from one layout to the other and back."""

    world: World
    members: tuple[np.ndarray, ...]  # of each rank
    columns: tuple[np.ndarray, ...]
    group_bytes: int = 64 * 2**20  # of one exchange, so that memory stays flat and counts below 2^31

    def to_columns(self, by_member: np.ndarray) -> np.ndarray:
        """(my members, channel, column) -> (member, channel, my columns)."""
        channels, rank = by_member.shape[1], self.world.rank
        shape = (_count(self.members), channels, self.columns[rank].size)
        by_column = np.empty(shape, dtype=by_member.dtype)
        for group in self._channel_groups(channels, by_member.itemsize):
            sent = [by_member[:, group][:, :, columns] for columns in self.columns]
            width = sent[0].shape[1]
            shapes = [(members.size, width, shape[2]) for members in self.members]
            for members, piece in zip(self.members, self._exchange(sent, shapes), strict=True):
                by_column[members, group] = piece
        return by_column

    def to_members(self, by_column: np.ndarray) -> np.ndarray:
        """(member, channel, my columns) -> (my members, channel, column)."""
        channels, rank = by_column.shape[1], self.world.rank
        shape = (self.members[rank].size, channels, _count(self.columns))
        by_member = np.empty(shape, dtype=by_column.dtype)
        for group in self._channel_groups(channels, by_column.itemsize):
            sent = [by_column[members, group] for members in self.members]
            width = sent[0].shape[1]
            shapes = [(shape[0], width, columns.size) for columns in self.columns]
            for columns, piece in zip(self.columns, self._exchange(sent, shapes), strict=True):
                by_member[:, group, columns] = piece
        return by_member

    def _channel_groups(self, channels: int, itemsize: int) -> list[slice]:
        """Slices of channels whose whole ensemble is about `group_bytes` per rank; the same on all ranks."""
        largest = max(_count(self.members) * max(part.size for part in self.columns),
                      max(part.size for part in self.members) * _count(self.columns))  # fmt: skip
        step = max(1, self.group_bytes // max(1, largest * itemsize))
        return [slice(first, min(first + step, channels)) for first in range(0, channels, step)]

    def _exchange(self, sent: list[np.ndarray], shapes: Sequence[tuple[int, ...]]) -> list[np.ndarray]:
        """Give piece r to rank r; what comes from rank r has the r-th of `shapes`."""
        send_counts = [piece.size for piece in sent]
        receive_counts = [int(np.prod(shape)) for shape in shapes]
        outgoing = np.concatenate([piece.reshape(-1) for piece in sent])
        incoming = np.empty(sum(receive_counts), dtype=outgoing.dtype)
        self.world.comm.Alltoallv([outgoing, send_counts], [incoming, receive_counts])
        pieces = np.split(incoming, np.cumsum(receive_counts)[:-1])
        return [piece.reshape(shape) for piece, shape in zip(pieces, shapes, strict=True)]


def _nothing() -> Any:
    return None


def _count(parts: Sequence[np.ndarray]) -> int:
    return sum(part.size for part in parts)


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
                                "one, such as the one beside this python")  # fmt: skip
            return


def _library() -> str:
    return " ".join(MPI.Get_library_version().split("\n")[0].split())


def guarded(main: Callable[[World, Sequence[str]], None], name: str) -> None:
    """Run `main(world, arguments)` on all ranks and end the process with its exit status."""
    world = World()
    program.log_to_terminal(logging.INFO if world.is_root else logging.ERROR)
    try:
        world.together(lambda: check_launcher(world.size))
        main(world, sys.argv[1:])
    except Agreed as error:
        if world.is_root:
            logging.getLogger(name).error("%s", error)
        sys.exit(program.FAILED)
    except Exception as error:
        story = str(error) if isinstance(error, UserError) else "\n" + traceback.format_exc()
        logging.getLogger(name).error("rank %d of %d: %s", world.rank, world.size, story)
        world.comm.Abort(program.FAILED)
