"""Analyses to learn from, made once and kept: groups of states, each seen by stations of its own.

    GROUP.h5   seconds (state,), used (obs,) which observations there are,
               analysis float16 (state, channel, lat, lon)   z_a in scales s about the climate of the date
               left float16 (state, used)                    departures from it, in errors of the observations
               deviation float16 (channel, lat, lon)         as `deviation` has it, the same for all of the group

Files appear by rename; one that is there is not made again, and one that was made from something else is refused.
"""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np
from scipy.sparse import csr_array

from contracts import hdf5, paths, progress
from contracts.errors import UserError
from networks import season
from networks.climate.gaussian import Climate
from networks.data.shards import Series
from networks.o2a import deviation
from networks.o2a.optimal import Optimal, seen_covariance
from networks.o2l import gridding
from networks.o2l.footprints import Footprints

log = logging.getLogger("networks.train")
SEEN = "seen.npy"  # A C Aᵀ of all stations


@dataclass(frozen=True)
class Group:
    """States `numbers` (m,) of a series, and the share of the stations that is left out; `name` tells its random
    numbers and its file from those of others."""

    name: str
    numbers: np.ndarray
    dropped: float

    def random(self, seed: int) -> np.random.Generator:
        return np.random.default_rng((seed, int.from_bytes(self.name.encode())))


def grouped(numbers: np.ndarray, size: int, dropped: float, seed: int) -> list[Group]:
    """All of `numbers` (n,) in any order, at most `size` to a group; from 0 to `dropped` of the stations left out."""
    random = np.random.default_rng((seed, len(numbers)))
    shuffled = random.permutation(numbers)
    return [Group(f"{first:06d}", np.sort(shuffled[first : first + size]), dropped * random.random())
            for first in range(0, len(shuffled), size)]


@dataclass(frozen=True)
class Making:
    """What all groups are made from; `origin` says of which files and settings."""

    series: Series
    prior: Climate
    stations: Footprints
    draws: int
    seed: int
    folder: Path
    origin: str

    @cached_property
    def A(self) -> csr_array:
        """(obs, size) in scales s and errors of the observations."""
        return gridding.in_scales(self.stations.rows, self.prior.scale.ravel().astype(np.float64))

    @cached_property
    def seen(self) -> np.ndarray:
        """A C Aᵀ (obs, obs), from its file where it is there."""
        path = self.folder / SEEN
        if not path.exists():
            found = seen_covariance(self.prior.correlation, self.A)
            with paths.writing(path) as partial, open(partial, "wb") as stream:
                np.save(stream, found)
        return np.load(path, mmap_mode="r")

    def write(self, groups: Sequence[Group]) -> None:
        """Those that are not there yet."""
        todo = [group for group in groups if not self.path(group).exists()]
        for group in progress.reported(todo, "analyses to learn from", log):
            with paths.writing(self.path(group)) as partial, h5py.File(partial, "w") as file:
                self.fill(file, group)

    def path(self, group: Group) -> Path:
        return self.folder / f"{group.name}.h5"

    def fill(self, file: h5py.File, group: Group) -> None:
        random = group.random(self.seed)
        used = self.stations.some(random, group.dropped)
        kept = np.flatnonzero(used)
        optimal = Optimal.of(self.prior.correlation, self.prior.space.shape, self.A[kept],
                             self.seen[np.ix_(kept, kept)])
        z = self.dimensionless(self.series.fields(group.numbers), self.series.seconds[group.numbers])
        departure = observed(optimal.A, z, random)
        analysis = optimal.analyses(departure)
        white = random.standard_normal((self.draws, *z.shape[1:])).astype(z.dtype)
        drawn = self.prior.correlation.apply(np.sqrt, white)
        left = drawn - optimal.analyses(observed(optimal.A, drawn, random))
        file["seconds"], file["used"] = self.series.seconds[group.numbers], used
        file.create_dataset("analysis", data=analysis.astype(np.float16), chunks=(1, *z.shape[1:]), fletcher32=True)
        file["left"] = (departure - seen_by(optimal.A, analysis)).astype(np.float16)
        file["deviation"] = deviation.of(left).astype(np.float16)
        file.attrs["key"] = self.key(group)

    def dimensionless(self, fields: np.ndarray, seconds: np.ndarray) -> np.ndarray:
        """z float32 of `fields` (state, channel, lat, lon) at the times `seconds` (state,)."""
        away, scale = fields - self.mean(seconds), self.prior.scale
        return np.divide(away, scale, out=np.zeros_like(away), where=scale > 0).astype(np.float32)

    def mean(self, seconds: np.ndarray) -> np.ndarray:
        """m float64 (state, channel, lat, lon) of the climate, SI units."""
        return np.tensordot(season.basis(seconds, len(self.prior.seasons)), self.prior.seasons, axes=1)

    def key(self, group: Group) -> str:
        said = f"{self.origin} {self.draws} {self.seed} {group.dropped!r}".encode()
        return hashlib.sha256(said + self.series.seconds[group.numbers].tobytes()).hexdigest()

    def read(self, groups: Sequence[Group]) -> "Analyses":
        """Raises UserError where a file is damaged or of another training."""
        return Analyses(self.A, tuple(self.opened(group) for group in groups))

    def opened(self, group: Group) -> h5py.File:
        path = self.path(group)
        try:
            hdf5.refuse_elsewhere(path)
            file = h5py.File(path, "r")
            key = file.attrs.get("key")
        except (OSError, hdf5.Unreadable) as error:
            raise UserError(f"{path}: is no readable HDF5 file ({error}); remove it and make it again") from None
        if key != self.key(group):
            raise UserError(f"{path}: holds analyses of other states, stations, prior or settings than those asked "
                            "for; remove its folder, or give the experiment another name")
        return file


def observed(A: csr_array, z: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """d = A z + e (m, n), in errors of the observations."""
    seen = seen_by(A, z)
    return seen + random.standard_normal(seen.shape)


def seen_by(A: csr_array, z: np.ndarray) -> np.ndarray:
    """A z (m, n), of `z` (m, channel, lat, lon)."""
    return (A @ z.reshape(len(z), -1).T.astype(np.float64)).T


@dataclass(frozen=True)
class Analyses:
    """Groups of analyses, open to be read; `A` (obs, size)."""

    A: csr_array
    files: tuple[h5py.File, ...]

    @cached_property
    def place(self) -> dict[int, tuple[int, int]]:
        """Group and row of each time, in seconds since 1970."""
        return {int(second): (number, row) for number, file in enumerate(self.files)
                for row, second in enumerate(file["seconds"][:])}

    def of(self, seconds: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The analyses float32 (B, channel, lat, lon) of these times, their deviations, and g and W
        (B, 2, channel, lat, lon) of the departures that they leave."""
        found = list(self._each(seconds))
        analysis, deviations, left = (np.stack(arrays) for arrays in zip(*found, strict=True))
        return analysis, deviations, left.reshape(len(left), 2, *analysis.shape[1:])

    def _each(self, seconds: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        for second in seconds:
            number, row = self.place[int(second)]
            file = self.files[number]
            used = file["used"][:]
            left = np.zeros(used.size)
            left[used] = file["left"][row]
            yield (file["analysis"][row].astype(np.float32), file["deviation"][:].astype(np.float32),
                   gridding.gridded(self.A, left, used))

    @property
    def variance(self) -> np.ndarray:
        """(channel, lat, lon): mean square of the deviations, over all groups."""
        return np.mean([np.square(file["deviation"][:].astype(np.float64)) for file in self.files], axis=0)
