"""States that stand for a climate: the files of a nature run, or any other states of the same space.

They need not be of the time of the analysis, nor of one another's: only their differences are used.
A pattern such as `"nature_t31/*.nc"` names them; files count in the order of their names.
"""

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from contracts import state
from contracts.config import Experiment
from contracts.errors import UserError
from contracts.nature import NatureFolder
from contracts.state import StateSpace


@dataclass(frozen=True)
class Climatology:
    """The files of the states, in order."""

    paths: tuple[Path, ...]

    @classmethod
    def find(cls, experiment: Experiment, pattern: str, least: int, setting: str) -> "Climatology":
        """The states that `pattern` names in the work folder, without the fixed fields that lie beside them; raises
        UserError where fewer than `least`."""
        place = experiment.file(pattern, experiment.start)
        found = tuple(path for path in map(Path, sorted(glob.glob(str(place))))
                      if path != NatureFolder(path.parent).static)
        if len(found) < least:
            raise UserError(f"{setting}: expected at least {least} state files like {place}, found {len(found)}; make "
                            "them with python -m model_server nature, or name others")
        return cls(found)

    def __len__(self) -> int:
        return len(self.paths)

    def spread_out(self, size: int) -> "Climatology":
        """`size` of the files at equal steps from the first to the last."""
        return Climatology(tuple(self.paths[i] for i in np.linspace(0, len(self) - 1, size).round().astype(int)))

    def read(self, numbers: Sequence[int] | np.ndarray, space: StateSpace) -> np.ndarray:
        """(numbers, channel, column) float32; raises ContractError where a file does not fit the space."""
        columns = (len(space.channels), space.grid.size)
        states = [state.read(self.paths[i], space).data.reshape(columns) for i in numbers]
        return np.stack(states) if states else np.empty((0, *columns), np.float32)
