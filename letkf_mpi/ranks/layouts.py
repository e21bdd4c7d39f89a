"""Who holds what of the ensemble, and the ways between.

    by member    rank r has members r, r + P, …, whole                           (my members, my channels, column)
                 with more ranks than members, ranks r, r + k, … share member r:
                 each reads a part of its channels and makes H(x) of a part of the observations
    by column    rank r has all members of its tiles' columns                    (member, channel, my columns)

An all-to-all exchange joins the two, by groups of channels so that memory stays flat.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from letkf_mpi.ranks.parallel import World, nothing


@dataclass(frozen=True)
class Share:
    """`members` (numbers from 0) of one rank, and which of the equal `parts` of each it takes."""

    members: np.ndarray
    part: int
    parts: int

    def of(self, count: int) -> slice:
        """This rank's part of `count` channels or observations; the parts lie side by side."""
        return part_of(slice(0, count), self.part, self.parts)

    @property
    def writes(self) -> bool:
        """Whether this rank writes the files of its members."""
        return self.part == 0


def part_of(whole: slice, part: int, parts: int) -> slice:
    """The `part`-th of `parts` nearly equal pieces of a slice; a piece may be empty."""
    count = whole.stop - whole.start
    return slice(whole.start + count * part // parts, whole.start + count * (part + 1) // parts)


def shares(members: int, ranks: int) -> tuple[Share, ...]:
    """The share of each rank."""
    if ranks <= members:
        return tuple(Share(np.arange(rank, members, ranks), 0, 1) for rank in range(ranks))
    sharing = [len(range(member, ranks, members)) for member in range(members)]
    return tuple(Share(np.array([rank % members]), rank // members, sharing[rank % members]) for rank in range(ranks))


@dataclass(frozen=True)
class Members:
    """The layout by member of an ensemble of `count` members."""

    world: World
    count: int

    @cached_property
    def shares(self) -> tuple[Share, ...]:
        """Of each rank."""
        return shares(self.count, self.world.size)

    @property
    def mine(self) -> Share:
        return self.shares[self.world.rank]

    @cached_property
    def _team(self):
        """The ranks that share my members."""
        return self.world.comm.Split(self.world.rank % self.count, self.world.rank)

    def whole(self, mine: np.ndarray) -> np.ndarray:
        """(my members, my part, …) -> (my members, all parts, …), on every rank that shares them."""
        if self.world.size <= self.count:
            return mine
        widths = self._team.allgather(mine.shape[1])
        joined = np.empty((mine.shape[0], sum(widths), *mine.shape[2:]), mine.dtype)
        row = int(np.prod(mine.shape[2:]))
        self._team.Allgatherv(np.ascontiguousarray(mine), [joined, [width * row for width in widths]])
        return joined

    def gather(self, mine: np.ndarray, count: int) -> np.ndarray:
        """(my members, my part of `count`) of each rank -> (count, member) on rank 0, None elsewhere."""
        if not self.world.is_root:
            self.world.comm.Send(np.ascontiguousarray(mine), dest=0)
            return nothing()
        gathered = np.empty((self.count, count), mine.dtype)
        for rank, share in enumerate(self.shares):
            rows = share.of(count)
            shape = (share.members.size, rows.stop - rows.start)
            gathered[share.members, rows] = mine if rank == 0 else _received(self.world, rank, shape, mine)
        return gathered.T


@dataclass(frozen=True)
class Layouts:
    """Both layouts at one time: `columns` of each rank, of a state of `channels`."""

    members: Members
    channels: int
    columns: tuple[np.ndarray, ...]
    group_bytes: int = 64 * 2**20  # of one exchange on one rank, so that counts stay below 2^31 too

    @property
    def world(self) -> World:
        return self.members.world

    def to_columns(self, by_member: np.ndarray) -> np.ndarray:
        """(my members, my channels, column) -> (member, channel, my columns)."""
        mine, width = self.members.mine.of(self.channels), self.columns[self.world.rank].size
        by_column = np.empty((self.members.count, self.channels, width), by_member.dtype)
        for groups in self._rounds(by_member.itemsize):
            group = groups[self.world.rank]
            local = by_member[:, group.start - mine.start : group.stop - mine.start]
            sent = [local[:, :, columns] for columns in self.columns]
            shapes = [(share.members.size, other.stop - other.start, width)
                      for share, other in zip(self.members.shares, groups, strict=True)]
            received = self._exchange(sent, shapes)
            for share, other, piece in zip(self.members.shares, groups, received, strict=True):
                by_column[share.members, other] = piece
        return by_column

    def to_members(self, by_column: np.ndarray) -> np.ndarray:
        """(member, channel, my columns) -> (my members, my channels, column)."""
        share = self.members.mine
        mine = share.of(self.channels)
        by_member = np.empty((share.members.size, mine.stop - mine.start, sum(c.size for c in self.columns)),
                             by_column.dtype)
        for groups in self._rounds(by_column.itemsize):
            group = groups[self.world.rank]
            sent = [by_column[other.members, theirs] for other, theirs in zip(self.members.shares, groups, strict=True)]
            shapes = [(share.members.size, group.stop - group.start, columns.size) for columns in self.columns]
            local = by_member[:, group.start - mine.start : group.stop - mine.start]
            for columns, piece in zip(self.columns, self._exchange(sent, shapes), strict=True):
                local[:, :, columns] = piece
        return by_member

    def gather(self, mine: np.ndarray) -> np.ndarray:
        """(…, my columns) of each rank -> (…, column) on the last rank, None elsewhere."""
        world = self.world
        if world.rank != world.last:
            world.comm.Send(np.ascontiguousarray(mine), dest=world.last)
            return nothing()
        gathered = np.empty((*mine.shape[:-1], sum(columns.size for columns in self.columns)), mine.dtype)
        for rank, columns in enumerate(self.columns):
            shape = (*mine.shape[:-1], columns.size)
            gathered[..., columns] = mine if rank == world.last else _received(world, rank, shape, mine)
        return gathered

    def _rounds(self, itemsize: int) -> list[list[slice]]:
        """For each exchange the channels that each rank brings or takes; every rank knows those of all."""
        by_member = max(share.members.size for share in self.members.shares) * sum(c.size for c in self.columns)
        by_column = self.members.count * max(columns.size for columns in self.columns)
        rounds = max(1, -(-self.channels * itemsize * max(by_member, by_column) // self.group_bytes))
        rounds = min(rounds, self.channels)
        return [[part_of(share.of(self.channels), number, rounds) for share in self.members.shares]
                for number in range(rounds)]

    def _exchange(self, sent: list[np.ndarray], shapes: Sequence[tuple[int, ...]]) -> list[np.ndarray]:
        """Give piece r to rank r; what comes from rank r has the r-th of `shapes`."""
        send_counts = [piece.size for piece in sent]
        receive_counts = [int(np.prod(shape)) for shape in shapes]
        outgoing = np.concatenate([piece.reshape(-1) for piece in sent])
        incoming = np.empty(sum(receive_counts), dtype=outgoing.dtype)
        self.world.comm.Alltoallv([outgoing, send_counts], [incoming, receive_counts])
        pieces = np.split(incoming, np.cumsum(receive_counts)[:-1])
        return [piece.reshape(shape) for piece, shape in zip(pieces, shapes, strict=True)]


def _received(world: World, rank: int, shape: tuple[int, ...], like: np.ndarray) -> np.ndarray:
    piece = np.empty(shape, like.dtype)
    world.comm.Recv(piece, source=rank)
    return piece
