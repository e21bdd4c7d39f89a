"""The states of the static set (`static_set`) on the ranks: laid out, observed and exchanged as members are.

They are read once and serve all times of an experiment; what is observed of them changes with the observations.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from contracts.state import StateSpace
from letkf_mpi.config import Settings
from letkf_mpi.ranks.layouts import Layouts, Members
from letkf_mpi.ranks.observing import Observing
from letkf_mpi.ranks.parallel import World
from letkf_mpi.static.static_set import StaticColumns, StaticSet


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

    def observed(self, seen: Observing) -> np.ndarray:
        """Y_s (my rows, m)."""
        return self.chosen.perturbations(seen.H.apply(seen.in_members(self.layout, self.X)).T, axis=1)

    def at(self, columns: Sequence[np.ndarray]) -> StaticColumns:
        """X_s at my columns, of the `columns` of each rank."""
        X = Layouts(self.layout.world, self.layout.shares, len(self.space.channels), tuple(columns)).to_columns(self.X)
        mine = columns[self.layout.world.rank]
        return StaticColumns.of(self.chosen.perturbations(X, axis=0), mine, self.space)
