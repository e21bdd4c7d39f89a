"""Where states to train on come from: all sources look the same, and all of them go into shards."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

import numpy as np

from contracts import state, static
from contracts.errors import UserError
from contracts.nature import NatureFolder
from contracts.state import StateSpace
from contracts.static import Static


class Source(Protocol):
    """States of one space at many times."""

    @property
    def space(self) -> StateSpace: ...

    def static(self) -> Static:
        """Orography and land-sea mask on the grid."""
        ...

    def read(self, times: Sequence[datetime]) -> np.ndarray:
        """float32 (time, channel, lat, lon) in SI units, finite; raises UserError that names what is missing."""
        ...


@dataclass(frozen=True)
class NatureSource:
    """The states of nature runs of different times, as `model_server nature` writes them."""

    space: StateSpace
    folders: tuple[NatureFolder, ...]

    def static(self) -> Static:
        return static.read(self.folders[0].static, self.space.grid)

    def read(self, times: Sequence[datetime]) -> np.ndarray:
        return np.stack([state.read(self._path(time), self.space, time).data for time in times])

    def missing(self, times: Sequence[datetime]) -> list[Path]:
        """Files of the states at these times that are not there."""
        return [path for path in map(self._path, times) if not path.exists()]

    def _path(self, time: datetime) -> Path:
        """In the first folder that holds it; where none does, the reader names the file that is missing."""
        paths = [folder.state(time) for folder in self.folders]
        return next((path for path in paths if path.exists()), paths[0])


def of(name: str, space: StateSpace, natures: Sequence[Path], data: str) -> Source | None:
    """The source `name` of [training]; None where the shards are all there is.

    `natures` are the folders of nature runs, `data` is the folder or store of "weatherbench"; raises UserError where
    neither is there.
    """
    if name == "nature":
        return NatureSource(space, tuple(map(NatureFolder, natures)))
    if name == "weatherbench":
        from networks.data import weatherbench

        if not data:
            raise UserError("[training] source = 'weatherbench' needs data, the folder of its files or a zarr store")
        return weatherbench.of(data, space)
    return None
