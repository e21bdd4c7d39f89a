"""Analyses to learn from, made once and kept: groups of states, each seen by stations of its own.

    GROUP.h5   seconds (row,), used (obs,) which observations there are, cycle (row,) of how many before it
               analysis float16 (row, channel, lat, lon)   z_a in scales s about the climate of the date
               left float16 (row, used)                    departures from it, in errors of the observations
               deviation float16 (cycle, channel, lat, lon)   as `deviation` has it, the same for all of the group

A row is a state; in a chain of analyses (`chains`) those after the first one are kept, each about a forecast. Files
appear by rename; one that is there is not made again, and one that was made from something else is refused.
"""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np
import torch
from scipy.sparse import csr_array

from contracts import hdf5, paths, progress
from contracts.errors import UserError
from networks import season
from networks.climate.gaussian import Climate
from networks.data.shards import Series
from networks.emulator import Emulator
from networks.o2a.chains import Chains
from networks.o2a.optimal import seen_covariance
from networks.o2l import gridding
from networks.o2l.footprints import Footprints

log = logging.getLogger("networks.train")
PIECE = 16  # states at once in a forecast
SEEN = "seen.npy"  # A C Aᵀ of all stations


@dataclass(frozen=True)
class Group:
    """States `numbers` (m, time) of a series, one analysis after the other, and the share of the stations that is left
    out; `name` tells its random numbers and its file from those of others."""

    name: str
    numbers: np.ndarray
    dropped: float

    def random(self, seed: int) -> np.random.Generator:
        return np.random.default_rng((seed, int.from_bytes(self.name.encode())))

    @property
    def kept(self) -> np.ndarray:
        """(m, row) the numbers of the states whose analyses are kept."""
        return self.numbers[:, 1:] if self.numbers.shape[1] > 1 else self.numbers


def chained(numbers: np.ndarray, cycles: int) -> list[np.ndarray]:
    """Of the states `numbers` (n, 2), pairs one step apart, chains (chain, time) of `cycles` steps and of what is left
    over at the ends of periods, so that each state but the first of a period is the second of one pair."""
    if not cycles:
        return [numbers[:, :1]]
    ends = np.flatnonzero(numbers[1:, 0] != numbers[:-1, 1]) + 1
    found: dict[int, list[np.ndarray]] = {}
    for period in np.split(numbers, ends):
        for first in range(0, len(period), cycles):
            pairs = period[first : first + cycles]
            found.setdefault(len(pairs), []).append(np.append(pairs[:, 0], pairs[-1, 1]))
    return [np.stack(found[length]) for length in sorted(found)]


def grouped(chains: list[np.ndarray], size: int, dropped: float, seed: int) -> list[Group]:
    """All `chains`, arrays (n, time), in any order, at most `size` to a group; from 0 to `dropped` of the stations left
    out."""
    groups: list[Group] = []
    for chain in chains:
        random = np.random.default_rng((seed, len(chain), chain.shape[1]))
        shuffled = random.permutation(chain)
        pieces = [shuffled[first : first + size] for first in range(0, len(shuffled), size)]
        groups += [Group(f"{len(groups) + number:06d}", piece[piece[:, 0].argsort()], dropped * random.random())
                   for number, piece in enumerate(pieces)]
    return groups


@dataclass(frozen=True)
class Making:
    """What all groups are made from; `origin` says of which files and settings, `emulator` carries chains on."""

    series: Series
    prior: Climate
    stations: Footprints
    draws: int
    seed: int
    folder: Path
    origin: str
    emulator: Emulator | None = None

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

    def fill(self, file: h5py.File, group: Group) -> None:
        random = group.random(self.seed)
        used = self.stations.some(random, group.dropped)
        kept = np.flatnonzero(used)
        chains = Chains(self.prior, self.A[kept], self.seen[np.ix_(kept, kept)], self.draws)
        seconds = self.series.seconds[group.numbers.T]
        truth = np.stack([self.dimensionless(self.series.fields(numbers), when)
                          for numbers, when in zip(group.numbers.T, seconds, strict=True)])
        found = list(chains.analysed(truth, seconds, self.forward, random))[-group.kept.shape[1] :]
        file["seconds"], file["used"] = self.series.seconds[group.kept.T].ravel(), used
        file["cycle"] = np.repeat(np.arange(len(found)), len(group.numbers))
        analysis = np.concatenate([one.analysis for one in found]).astype(np.float16)
        file.create_dataset("analysis", data=analysis, chunks=(1, *analysis.shape[1:]), fletcher32=True)
        file["left"] = np.concatenate([one.left for one in found]).astype(np.float16)
        file["deviation"] = np.stack([one.deviation for one in found]).astype(np.float16)
        file.attrs["key"] = self.key(group)

    @torch.no_grad()
    def forward(self, z: np.ndarray, seconds: np.ndarray) -> np.ndarray:
        """z_b (m, channel, lat, lon) one step after z at `seconds` (m,)."""
        assert self.emulator is not None
        found = np.empty_like(z)
        ahead = seconds + int(self.emulator.step.total_seconds())
        for first in range(0, len(z), PIECE):
            part = slice(first, first + PIECE)
            fields = self.mean(seconds[part]) + self.prior.scale * z[part]
            (after,) = self.emulator.advance((torch.from_numpy(fields.astype(np.float32)),), seconds[part])
            found[part] = self.dimensionless(after.numpy(), ahead[part])
        return found

    def path(self, group: Group) -> Path:
        return self.folder / f"{group.name}.h5"

    def dimensionless(self, fields: np.ndarray, seconds: np.ndarray) -> np.ndarray:
        """z float32 of `fields` (state, channel, lat, lon) at the times `seconds` (state,)."""
        away, scale = fields - self.mean(seconds), self.prior.scale
        return np.divide(away, scale, out=np.zeros_like(away), where=scale > 0).astype(np.float32)

    def mean(self, seconds: np.ndarray) -> np.ndarray:
        """m float64 (state, channel, lat, lon) of the climate, SI units."""
        return np.tensordot(season.basis(seconds, len(self.prior.seasons)), self.prior.seasons, axes=1)

    def key(self, group: Group) -> str:
        said = f"{self.origin} {self.draws} {self.seed} {group.dropped!r} {group.numbers.shape}".encode()
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
            yield (file["analysis"][row].astype(np.float32), file["deviation"][file["cycle"][row]].astype(np.float32),
                   gridding.gridded(self.A, left, used))

    @property
    def variance(self) -> np.ndarray:
        """(channel, lat, lon): mean square of the deviations, over all groups."""
        return np.mean([np.square(file["deviation"][:].astype(np.float64)).mean(axis=0) for file in self.files], axis=0)
