"""H(x) by rows: every rank has some rows of the table and evaluates H there for all members.

    by row    rank r has the r-th of nearly equal pieces of the table, of whole blocks of 16 rows    (my rows, member)

A rank asks those that hold the states, by member or by column, for the numbers that its rows read and no others.  So
the cost of H(x), fates, draws and Y goes down with the number of ranks, also where there are more of them than members.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from contracts.observations import Observations
from letkf_mpi.ranks.exchange import exchange, lengths
from letkf_mpi.ranks.layouts import GROUP_BYTES, Members, part_of
from letkf_mpi.ranks.parallel import World
from obsoperator import Forward

_BLOCK = 16  # rows; a sum over the members of a single row would be in another order than that of several


def rows_of(nobs: int, rank: int, ranks: int) -> slice:
    """The rows of a rank: none, all, or at least a block; the last one of some has the rest beside it."""
    blocks = max(1, nobs // _BLOCK)
    mine = part_of(slice(0, blocks), rank, ranks)
    start, stop = (nobs if block == blocks else block * _BLOCK for block in (mine.start, mine.stop))
    return slice(start, stop)


@dataclass(frozen=True)
class Observing:
    """What this rank observes: its `rows` of a table; the numbers `entry` (n,) of a state of `channels` that they read,
    channel * column in ascending order; `H` of states that hold those only, (…, 1, n)."""

    world: World
    rows: slice
    channels: int
    entry: np.ndarray
    H: Forward
    group_bytes: int = GROUP_BYTES  # of one exchange on one rank, about

    @classmethod
    def of(cls, world: World, table: Observations, channels: int,
           operator: Callable[[Observations], Forward]) -> "Observing":
        """My rows of `table`; `operator` makes H of some rows of states of so many `channels`."""
        rows = rows_of(len(table), world.rank, world.size)
        H = operator(table.select(rows))
        return cls(world, rows, channels, *H.gathered(channels * H.columns))

    def in_members(self, members: Members, by_member: np.ndarray) -> np.ndarray:
        """(member, 1, n) of states (my members, my channels, column)."""
        columns = by_member.shape[-1]
        parts = [share.of(self.channels) for share in members.shares]
        start = parts[self.world.rank].start * columns
        states = by_member.reshape(by_member.shape[0], -1)
        return self._asked(
            lambda entry: [slice(*np.searchsorted(entry, (part.start * columns, part.stop * columns)))
                           for part in parts],
            lambda entry: states.take(entry - start, axis=1), [share.members for share in members.shares], states.dtype)

    def in_columns(self, columns: Sequence[np.ndarray], by_column: np.ndarray) -> np.ndarray:
        """(member, 1, n) of states (member, channel, my columns); `columns` of each rank."""
        size = sum(mine.size for mine in columns)
        owner = np.empty(size, np.min_scalar_type(self.world.size))  # the narrower, the faster are they put in order
        place = np.empty(size, np.intp)
        for rank, mine in enumerate(columns):
            owner[mine], place[mine] = rank, np.arange(mine.size)
        states, width = by_column.reshape(by_column.shape[0], -1), by_column.shape[-1]
        every = np.arange(by_column.shape[0])

        def holders(entry: np.ndarray) -> list[np.ndarray]:
            of_rank = owner[entry % size]
            ends = np.cumsum(np.bincount(of_rank, minlength=len(columns)))
            return np.split(np.argsort(of_rank, kind="stable"), ends[:-1])

        return self._asked(holders, lambda entry: states.take(entry // size * width + place[entry % size], axis=1),
                           [every] * len(columns), states.dtype)

    def _asked(self, holders: Callable[[np.ndarray], list], found: Callable[[np.ndarray], np.ndarray],
               members: Sequence[np.ndarray], dtype: np.dtype) -> np.ndarray:
        """`holders(entry)`: which of the entries each rank holds, of its `members`; `found(entry)`: (my members, n)."""
        k = 1 + max(int(of_rank.max(initial=-1)) for of_rank in members)
        X = np.empty((k, 1, self.entry.size), dtype)
        rounds = -(-int(self.world.largest(np.array(self.entry.size))) * k * dtype.itemsize // self.group_bytes)
        for number in range(rounds):
            here = part_of(slice(0, self.entry.size), number, rounds)
            entry = self.entry[here]
            asked = holders(entry)
            wanted = [entry[which] for which in asked]
            told = [found(entries) for entries in exchange(self.world, wanted, lengths(self.world, wanted))]
            shapes = [(of_rank.size, entries.size) for of_rank, entries in zip(members, wanted, strict=True)]
            for of_rank, which, piece in zip(members, asked, exchange(self.world, told, shapes), strict=True):
                X[of_rank[:, None], 0, here.start + np.arange(entry.size)[which]] = piece
        return X
