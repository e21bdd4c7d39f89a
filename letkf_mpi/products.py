"""What an analysis writes: members, their mean and spread, fields; each file by one rank, or by a team of several where
there are more ranks than files.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from contracts.analysis import Product, Writer
from contracts.paths import Disk, Withheld
from letkf_mpi import files
from letkf_mpi.config import Settings
from letkf_mpi.local.update import Diagnostics
from letkf_mpi.ranks.layouts import Layouts, Share, brought, teams, writers
from letkf_mpi.ranks.parallel import World

_WORTH_A_PART = 2**22  # bytes of a file; a smaller one a rank writes sooner than it tells others where


@dataclass(frozen=True)
class Products:
    """What this rank writes: states `X` (n, my channels, column) of the `members` (n,) with these numbers from 0; by
    name `statistics` (my channels, column) float32 and `fields` (my levels, column).

    Of a file that a team writes, which is the only one then, its `part` is not all; `in_teams` says whether any rank's
    is.
    """

    members: np.ndarray
    X: np.ndarray
    statistics: dict[str, np.ndarray]
    fields: dict[str, np.ndarray]
    part: Share | None = None
    in_teams: bool = False

    @classmethod
    def of(cls, world: World, out: Writer, settings: Settings, columns: tuple[np.ndarray, ...], X: np.ndarray,
           told: Diagnostics) -> "Products":
        """From the analysis `X` (member, channel, my columns) and what is told of it; `columns` of each rank."""
        k, channels, _ = X.shape
        states = {name: getattr(told, name).astype(np.float32) for name in ("mean", "spread")}
        fields = files.fields(told, settings)
        of_members, of_states, of_fields = shares = _shares(world, out, k, list(states), list(fields))
        mine = [of_kind[world.rank] for of_kind in shares]
        part = next((share for share in mine if share.parts > 1), None)
        return cls(mine[0].members, Layouts(world, of_members, channels, columns).to_members(X),
                   brought(world, states, columns, of_states), brought(world, fields, columns, of_fields), part,
                   any(share.parts > 1 for of_kind in shares for share in of_kind))

    @cached_property
    def mine(self) -> dict[Product, np.ndarray]:
        """Everything, by what it is of."""
        members = dict(zip(self.members.tolist(), self.X, strict=True))
        return {**members, **self.statistics, **self.fields}

    def write(self, world: World, out: Writer, disk: Disk, kept: Withheld) -> None:
        """`disk` flushes them; what teams write is `kept` until all have written.  For all ranks at once."""
        laid = world.together(self._write_or_lay_down, out, disk, kept)
        if not self.in_teams:
            return
        where = {product: rooms for of_rank in world.of_each_rank(laid) for product, rooms in of_rank.items()}
        world.together(self._fill, out, where, disk)

    def _write_or_lay_down(self, out: Writer, disk: Disk, kept: Withheld) -> dict[Product, np.ndarray]:
        if self.part is not None:
            return {product: out.lay_down(product, kept) for product in self.mine if self.part.part == 0}
        out.members(self.X, self.members, disk)
        for name, data in self.statistics.items():
            out.statistic(name, data, disk)
        for name, data in self.fields.items():
            out.field(name, data, disk)
        return {}

    def _fill(self, out: Writer, where: dict[Product, np.ndarray], disk: Disk) -> None:
        if self.part is not None:
            for product, data in self.mine.items():
                out.fill(product, where[product], self.part.of(0).start, data, disk)


def _shares(world: World, out: Writer, members: int, states: Sequence[str],
            fields: Sequence[str]) -> list[tuple[Share, ...]]:
    """Of each rank, of members, of states and of fields."""
    counts = [members, len(states), len(fields)]
    ends, kinds = np.cumsum(counts).tolist(), list[tuple[Product, int]]([(0, 4), (states[0], 4), (fields[0], 8)])
    if world.size <= ends[-1]:
        return [writers(count, world.size, end - count) for count, end in zip(counts, ends, strict=True)]
    found = []
    for end, count, (one, itemsize) in zip(ends, counts, kinds, strict=True):
        cuts = out.cuts(one) if out.one_file_of is None else [0, out.cuts(one)[-1]]
        most = -(-itemsize * cuts[-1] * out.space.grid.size // _WORTH_A_PART)
        found.append(teams(range(end - count, end), ends[-1], world.size, cuts, most))
    return found
