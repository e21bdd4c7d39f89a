"""Static perturbations: a climate that stands beside the ensemble for hybrid covariances.

    X_s = s (x_j − mean_j x_j),     Y_s = s (H(x_j) − mean_j H(x_j)),     j = 1 … m

The m states are files at equal steps among those that a pattern names, such as those of a nature run.  Their
deviations from the climate are larger than errors of a short forecast; s brings them down to that size.
"""

from dataclasses import dataclass
from typing import Annotated

import msgspec
import numpy as np

from contracts.config import Experiment, PositiveFloat, Section
from contracts.state import StateSpace
from letkf_mpi.static.climatology import Climatology


class StaticSet(Section, frozen=True):
    """[analysis.static]"""

    states: str  # pattern of state files in the work folder, such as "nature/*.nc"
    size: Annotated[int, msgspec.Meta(ge=2)] = 100  # m
    scale: PositiveFloat = 0.3  # s

    def find(self, experiment: Experiment) -> Climatology:
        """The m files; raises UserError where there are fewer."""
        found = Climatology.find(experiment, self.states, self.size, "[analysis.static] states")
        return found.spread_out(self.size)

    def perturbations(self, X: np.ndarray, axis: int) -> np.ndarray:
        """Scaled deviations, in double precision, from the mean over the states, which lie along `axis`."""
        whole = X.astype(np.float64)
        whole -= whole.mean(axis=axis, keepdims=True)  # in place: the set is often larger than the ensemble
        whole *= self.scale
        return whole


@dataclass(frozen=True)
class StaticColumns:
    """X_s (m, channel, my columns) on one rank, `place` (column,) tells where a column of the grid stands in it."""

    X: np.ndarray
    place: np.ndarray

    @classmethod
    def of(cls, X: np.ndarray, columns: np.ndarray, space: StateSpace) -> "StaticColumns":
        """From X_s of the `columns` (my columns,) of the grid."""
        place = np.full(space.grid.size, -1)
        place[columns] = np.arange(columns.size)
        return cls(X, place)

    def at(self, column: int, channels: np.ndarray) -> np.ndarray:
        """(channel, m) at one column of the grid."""
        return self.X[:, channels, self.place[column]].T
