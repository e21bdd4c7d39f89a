"""What stations see of a state (`footprints/1`): the rows of R^-1/2 H' of the observations of one time, without values.

    start (obs + 1,)            row i holds the numbers start[i] … start[i+1] - 1 of
    entry, coefficient (number,)   the place in channel * column and d H_i / d x there, in errors of the observation
    station (obs,)              observations of one station are kept or left out together

From it a training makes observations of any state, each an H of its own error, without knowing of quantities and
operators; who has operators writes it (`neural_da.footprints`).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from contracts import netcdf
from contracts.errors import ContractError
from contracts.state import StateSpace

CONTRACT = "footprints/1"


@dataclass(frozen=True)
class Footprints:
    """`rows` (n, channel * column), R^-1/2 H' of n observations; `station` (n,) the number of each one's."""

    rows: csr_array
    station: np.ndarray

    def __len__(self) -> int:
        return self.rows.shape[0]

    def some(self, random: np.random.Generator, dropped: float) -> np.ndarray:
        """(n,) bool: which are left when each station is left out with the probability `dropped`."""
        return (random.random(self.station.max(initial=-1) + 1) >= dropped)[self.station]


def write(path: Path, of: Footprints, space: StateSpace, origin: str) -> None:
    """Write a file by rename; `origin` says whose observations they are."""
    names = " ".join(channel.name for channel in space.channels)
    with netcdf.create(path, CONTRACT, {"channels": names, "origin": origin}) as dataset:
        netcdf.add_horizontal_axes(dataset, space.grid.lat, space.grid.lon)
        for dimension, size in (("obs", len(of)), ("edge", len(of) + 1), ("number", of.rows.nnz)):
            dataset.add_dimension(dimension, size)
        netcdf.add(dataset, "start", ("edge",), of.rows.indptr.astype(np.int64))
        netcdf.add(dataset, "entry", ("number",), of.rows.indices.astype(np.int32))
        netcdf.add(dataset, "coefficient", ("number",), of.rows.data.astype(np.float32))
        netcdf.add(dataset, "station", ("obs",), of.station.astype(np.int32))


def read(path: Path, space: StateSpace) -> Footprints:
    """Raises ContractError where the file is not there, damaged or of other states than those of `space`."""
    with netcdf.open_to_read(path, CONTRACT) as dataset:
        wanted = " ".join(channel.name for channel in space.channels)
        if dataset.channels != wanted or not (np.array_equal(dataset["lat"][:], space.grid.lat)
                                              and np.array_equal(dataset["lon"][:], space.grid.lon)):
            raise ContractError(f"{path}: was made for other states than those of [state] and [grid], {space}; make it "
                                "for these: python -m neural_da.footprints")
        start, entry, coefficient, station = (dataset[name][:] for name in ("start", "entry", "coefficient", "station"))
    size = int(np.prod(space.shape))
    return Footprints(csr_array((coefficient.astype(np.float64), entry, start), (start.size - 1, size)), station)
