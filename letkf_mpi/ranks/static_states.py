"""The states of the static set (`static_set`) on the ranks: laid out, observed and exchanged as members are.

They are read once and serve all times of an experiment; what is observed of them changes with the observations.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from contracts.observations import Observations
from contracts.state import StateSpace
from contracts.static import Static
from letkf_mpi.config import Settings
from letkf_mpi.ranks.layouts import Layouts, Members
from letkf_mpi.ranks.parallel import World
from letkf_mpi.static.static_set import StaticColumns, StaticSet
from obsoperator import Forward


@dataclass(frozen=True)
class StaticStates:
    """The set `chosen`; every method is for all ranks at once."""

    chosen: StaticSet
    settings: Settings
    space: StateSpace
    layout: Members

    @classmethod
    def of(cls, settings: Settings, space: StateSpace, world: World) -> "StaticStates | None":
        """Where the settings have a static set."""
        chosen = settings.analysis.static
        return cls(chosen, settings, space, Members(world, chosen.size)) if chosen else None

    @cached_property
    def X(self) -> np.ndarray:
        """(my states, my channels, column) float32."""
        mine, channels = self.layout.mine, self.space.channels
        part = StateSpace(self.space.grid, channels[mine.of(len(channels))])
        return self.layout.world.together(
            lambda: self.chosen.find(self.settings.experiment).read(mine.members, part))

    def observed(self, table: Observations, static: Static) -> np.ndarray:
        """Y_s (nobs, m) on rank 0, None elsewhere."""
        H = Forward.of(table.select(self.layout.mine.of(len(table))), self.space, static,
                       self.settings.analysis.max_height_difference_m)
        hx = self.layout.gather(H.apply(self.layout.whole(self.X)), len(table))
        return self.layout.world.at_root(self.chosen.perturbations, hx, axis=1)

    def at(self, columns: Sequence[np.ndarray]) -> StaticColumns:
        """X_s at my columns, of the `columns` of each rank."""
        X = Layouts(self.layout, len(self.space.channels), tuple(columns)).to_columns(self.X)
        mine = columns[self.layout.world.rank]
        return StaticColumns.of(self.chosen.perturbations(X, axis=0), mine, self.space)
