"""What an analysis writes, each file by one rank: members, their mean and spread, fields.

A file has one writer: parallel HDF5, with which several could write one, is in no wheel.
"""

from dataclasses import dataclass

import numpy as np

from contracts.analysis import Writer
from contracts.paths import Disk
from letkf_mpi import files
from letkf_mpi.config import Settings
from letkf_mpi.local.update import Diagnostics
from letkf_mpi.ranks.layouts import Layouts, brought, writers
from letkf_mpi.ranks.parallel import World


@dataclass(frozen=True)
class Products:
    """What this rank writes: states `X` (n, channel, column) of the `members` (n,) with these numbers from 0; by name
    `statistics` (channel, column) float32 and `fields` (level, column)."""

    members: np.ndarray
    X: np.ndarray
    statistics: dict[str, np.ndarray]
    fields: dict[str, np.ndarray]

    @classmethod
    def of(cls, world: World, settings: Settings, columns: tuple[np.ndarray, ...], X: np.ndarray,
           told: Diagnostics) -> "Products":
        """From the analysis `X` (member, channel, my columns) and what is told of it; `columns` of each rank.

        Where there are ranks enough rank 0 gets none of them: it has departures to write meanwhile.
        """
        k, channels, _ = X.shape
        states = {name: getattr(told, name).astype(np.float32) for name in ("mean", "spread")}
        fields = files.fields(told, settings)
        first = int(world.size > k + len(states) + len(fields))
        owners = writers(k, world.size, first)
        return cls(owners[world.rank].members, Layouts(world, owners, channels, columns).to_members(X),
                   brought(world, states, columns, first + k),
                   brought(world, fields, columns, first + k + len(states)))

    def write(self, out: Writer, disk: Disk) -> None:
        """`disk` flushes them."""
        out.members(self.X, self.members, disk)
        for name, data in self.statistics.items():
            out.statistic(name, data, disk)
        for name, data in self.fields.items():
            out.field(name, data, disk)
