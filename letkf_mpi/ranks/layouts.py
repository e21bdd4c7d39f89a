"""Who holds what of the ensemble, and the ways between.

    by member    rank r has members r, r + P, …, whole                           (my members, my channels, column)
                 with more ranks than members, ranks r, r + k, … share member r: each has a part of its channels
    by column    rank r has all members of its tiles' columns                    (member, channel, my columns)
    by writer    as by member, but with each whole on the rank that writes its file; what is written beside the members,
                 such as their mean, stands behind them as further members.  With more ranks than all these a team of
                 ranks has each, cut where its file may be (`contracts.rooms`); rank 0 is in none

An all-to-all exchange joins them, by groups of channels so that memory stays flat.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from letkf_mpi.ranks.exchange import exchange, exchange_laid, room
from letkf_mpi.ranks.parallel import World

GROUP_BYTES = 64 * 2**20  # of one exchange on one rank, so that counts stay below 2^31 too


@dataclass(frozen=True)
class Share:
    """`members` (numbers from 0) of one rank, and which of the equal `parts` of each it takes; where there are `cuts`,
    channel numbers from 0 to all, nearly equal ones between some of these."""

    members: np.ndarray
    part: int = 0
    parts: int = 1
    cuts: tuple[int, ...] = ()

    def of(self, count: int) -> slice:
        """This rank's part of `count` channels; the parts lie side by side."""
        if not self.cuts:
            return part_of(slice(0, count), self.part, self.parts)
        pieces = part_of(slice(0, len(self.cuts) - 1), self.part, self.parts)
        return slice(self.cuts[pieces.start], self.cuts[pieces.stop])


def part_of(whole: slice, part: int, parts: int) -> slice:
    """The `part`-th of `parts` nearly equal pieces of a slice; a piece may be empty."""
    count = whole.stop - whole.start
    return slice(whole.start + count * part // parts, whole.start + count * (part + 1) // parts)


def shares(members: int, ranks: int) -> tuple[Share, ...]:
    """The share of each rank, by member."""
    if ranks <= members:
        return writers(members, ranks)
    sharing = [len(range(member, ranks, members)) for member in range(members)]
    return tuple(Share(np.array([rank % members]), rank // members, sharing[rank % members]) for rank in range(ranks))


def writers(members: int, ranks: int, first: int = 0) -> tuple[Share, ...]:
    """The share of each rank, by writer, in turn from rank `first` on: those that stand behind so many others."""
    return tuple(Share(np.arange((rank - first) % ranks, members, ranks)) for rank in range(ranks))


def teams(some: range, of: int, ranks: int, cuts: Sequence[int], most: int) -> tuple[Share, ...]:
    """The share of each rank of `some` among all the members and what stands behind them, `of` so many, which are less
    than the ranks: all but rank 0 are in a team of one of them, of which `most` take a part."""
    found = [Share(np.arange(0))] * ranks
    for number, one in enumerate(some):
        team = part_of(slice(1, ranks), one, of)
        parts = min(team.stop - team.start, most, len(cuts) - 1)
        for part in range(parts):
            found[team.start + part] = Share(np.array([number]), part, parts, tuple(cuts))
    return tuple(found)


def brought(world: World, parts: Mapping[str, np.ndarray], columns: tuple[np.ndarray, ...],
            shares: tuple[Share, ...]) -> dict[str, np.ndarray]:
    """`parts` (row, my columns), all of one shape, to those that write them by their `shares`, (my rows, column);
    `columns` of each rank."""
    names, stacked = list(parts), np.stack(list(parts.values()))
    found = Layouts(world, shares, stacked.shape[1], columns).to_members(stacked)
    return {names[number]: data for number, data in zip(shares[world.rank].members, found, strict=True)}


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


@dataclass(frozen=True)
class Layouts:
    """Two layouts at one time, by the `shares` and the `columns` of each rank, of `count` states of `channels`."""

    world: World
    shares: tuple[Share, ...]
    channels: int
    columns: tuple[np.ndarray, ...]
    group_bytes: int = GROUP_BYTES

    @cached_property
    def count(self) -> int:
        return 1 + max(int(member) for share in self.shares for member in share.members)

    def to_columns(self, by_member: np.ndarray) -> np.ndarray:
        """(my members, my channels, column) -> (member, channel, my columns)."""
        mine, width = self.shares[self.world.rank].of(self.channels), self.columns[self.world.rank].size
        by_column = np.empty((self.count, self.channels, width), by_member.dtype)
        for groups in self._rounds(by_member.itemsize):
            group = groups[self.world.rank]
            local = by_member[:, group.start - mine.start : group.stop - mine.start]
            outgoing, sent = room([(*local.shape[:2], columns.size) for columns in self.columns], local.dtype)
            for piece, columns in zip(sent, self.columns, strict=True):
                _take(local, columns, piece)
            shapes = [(share.members.size, other.stop - other.start, width)
                      for share, other in zip(self.shares, groups, strict=True)]
            found = exchange_laid(self.world, outgoing, sent, shapes)
            for share, other, piece in zip(self.shares, groups, found, strict=True):
                by_column[share.members, other] = piece
        return by_column

    def to_members(self, by_column: np.ndarray) -> np.ndarray:
        """(member, channel, my columns) -> (my members, my channels, column)."""
        share = self.shares[self.world.rank]
        mine = share.of(self.channels)
        by_member = np.empty((share.members.size, mine.stop - mine.start, sum(c.size for c in self.columns)),
                             by_column.dtype)
        for groups in self._rounds(by_column.itemsize):
            group = groups[self.world.rank]
            sent = [by_column[other.members, theirs] for other, theirs in zip(self.shares, groups, strict=True)]
            shapes = [(share.members.size, group.stop - group.start, columns.size) for columns in self.columns]
            by_rank = np.concatenate(exchange(self.world, sent, shapes), axis=2)
            _take(by_rank, self._place, by_member[:, group.start - mine.start : group.stop - mine.start])
        return by_member

    @cached_property
    def _place(self) -> np.ndarray:
        """(column,) where each stands among those of all ranks one after the other."""
        return np.argsort(np.concatenate(self.columns))

    def _rounds(self, itemsize: int) -> list[list[slice]]:
        """For each exchange the channels that each rank brings or takes; every rank knows those of all."""
        parts = [share.of(self.channels) for share in self.shares]
        by_member = max(share.members.size * (part.stop - part.start)
                        for share, part in zip(self.shares, parts, strict=True)) * sum(c.size for c in self.columns)
        by_column = self.count * self.channels * max(columns.size for columns in self.columns)
        rounds = min(self.channels, max(1, -(-itemsize * max(by_member, by_column) // self.group_bytes)))
        return [[part_of(part, number, rounds) for part in parts] for number in range(rounds)]


def _take(states: np.ndarray, columns: np.ndarray, out: np.ndarray) -> None:
    """states[:, :, columns] in a sixth of the time: no index is looked at twice."""
    np.take(states, columns, axis=2, out=out, mode="clip")
