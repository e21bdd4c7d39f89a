"""One observation, linear in the state."""

from dataclasses import dataclass

import numpy as np

from contracts.balance import PHI, index_of
from contracts.constants import HECTOPASCAL
from contracts.state import StateSpace


@dataclass(frozen=True)
class Observed:
    """Of a `variable` at a `level` in Pa, at `lat` and, to the nearest column, `lon`."""

    variable: str
    level: float
    lat: float
    lon: float

    @property
    def name(self) -> str:
        letter = "Z" if self.variable == PHI else self.variable[0].upper()
        return f"{letter}{self.level / HECTOPASCAL:g} at {self.lat:g} N"

    def operator(self, space: StateSpace) -> np.ndarray:
        """h (channel, lat, lon), linear in latitude between two rows; ValueError where the state has no such level."""
        h, rows = np.zeros(space.shape), space.grid.lat
        south = int(np.clip(np.searchsorted(rows, self.lat, side="right") - 1, 0, len(rows) - 2))
        north = (self.lat - rows[south]) / (rows[south + 1] - rows[south])
        channel = index_of(space, self.variable, self.level)
        column = int(np.abs(space.grid.lon - self.lon).argmin())
        h[channel, south, column], h[channel, south + 1, column] = 1 - north, north
        return h
