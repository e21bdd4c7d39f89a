"""Shards: the states to train on in a few HDF5 files, small, quick to read and made once.

A shard holds `days` days of states, those of the days numbered n·days … (n+1)·days - 1 since 1970:

    fields  float16 or float32 (time, channel, lat, lon)    x = offset + scale · fields
    offset  float32 (channel, lat, lon)                     mean over the shard's times at each place
    scale   float32 (channel,)                              largest absolute anomaly over the channel, / 8

float16 has eleven bits.  Spent on the anomaly from the local mean rather than on the whole value they leave an error
below 1/2000 of that anomaly, a hundredth of what changes in six hours, and geopotential does not overflow.  Shards
appear by rename; a finished one that has the times asked for is not made again.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from contracts import hdf5, netcdf, paths, progress, static, times
from contracts.constants import HOUR
from contracts.errors import UserError, brief
from contracts.state import StateSpace
from contracts.static import Static
from networks.data.sources import Source

log = logging.getLogger("networks.shards")
CONTRACT = "shard/1"
DAY = 24 * HOUR
FURTHEST = 7.3e9  # s from 1970, about 230 years
SPAN = 8.0  # stored anomalies lie within ±8: float16 has its full precision there


@dataclass(frozen=True)
class ShardFolder:
    """Where the shards of one space live."""

    folder: Path

    def shard(self, number: int, days: int) -> Path:
        """By the first day it may hold."""
        return self.folder / f"{times.from_seconds(number * days * DAY):%Y%m%d}.h5"

    def shards(self) -> list[Path]:
        return sorted(self.folder.glob("[0-9]*.h5"))

    @property
    def static(self) -> Path:
        return self.folder / "static.nc"


def write(source: Source, folder: ShardFolder, wanted: Sequence[datetime], days: int, storage: str) -> None:
    """Write the shards of `wanted` that are not there yet; raises UserError where the source lacks a time."""
    groups: dict[int, list[datetime]] = {}
    for time in wanted:
        groups.setdefault(times.to_seconds(time) // (days * DAY), []).append(time)
    todo = {number: group for number, group in groups.items()
            if not _is_there(folder.shard(number, days), group, source.space)}
    if not folder.static.exists():
        static.write(folder.static, source.static())
    for number in progress.reported(list(todo), "shards", log):
        _write_one(folder.shard(number, days), source.space, todo[number], source.read(todo[number]), storage)
    log.info("%s: %d shards, %d new", folder.folder, len(groups), len(todo))


def _write_one(path: Path, space: StateSpace, when: Sequence[datetime], fields: np.ndarray, storage: str) -> None:
    with paths.writing(path) as partial, h5py.File(partial, "w") as file:
        fill(file, space, when, fields, storage)


def fill(file: h5py.File, space: StateSpace, when: Sequence[datetime], fields: np.ndarray, storage: str,
         **compression: Any) -> None:
    """Write `fields` (time, channel, lat, lon) at the times `when` into an open file, as a shard holds them."""
    offset = fields.mean(axis=0, dtype=np.float64).astype(np.float32)
    anomaly = fields - offset
    largest = np.abs(anomaly).max(axis=(0, 2, 3))
    scale = np.where(largest > 0, largest / SPAN, 1).astype(np.float32)
    stored = (anomaly / scale[:, None, None]).astype(storage)
    file.create_dataset("fields", data=stored, chunks=(1, *space.shape), fletcher32=True, **compression)
    file["offset"], file["scale"] = offset, scale
    file["time"] = np.array([times.to_seconds(time) for time in when], np.int64)
    file["lat"], file["lon"] = space.grid.lat, space.grid.lon
    file.attrs["channels"] = [channel.name for channel in space.channels]
    file.attrs["contract"], file.attrs["source"] = CONTRACT, netcdf.version()


def _is_there(path: Path, when: Sequence[datetime], space: StateSpace) -> bool:
    if not path.exists():
        return False
    with opened(path, space) as file:
        found = set(file["time"][:].tolist())
    return {times.to_seconds(time) for time in when} <= found


def opened(path: Path, space: StateSpace) -> h5py.File:
    """A shard of `space`; raises UserError where it is damaged, points elsewhere or is of another space."""
    try:
        hdf5.refuse_elsewhere(path)
        file = h5py.File(path, "r")
    except hdf5.Unreadable as error:
        raise UserError(f"{error}; remove it and make it again") from None
    except OSError as error:
        raise UserError(f"{path}: is no readable HDF5 file ({error}); remove it and make it again") from None
    try:
        _refuse_other(path, file, space)
    except netcdf.WHAT_FILES_DO as error:
        raise UserError(f"{path}: is damaged ({brief(error)}); remove it and make it again") from None
    return file


def _refuse_other(path: Path, file: h5py.File, space: StateSpace) -> None:
    names = [str(name) for name in file.attrs.get("channels", [])]
    if file.attrs.get("contract") != CONTRACT or names != [channel.name for channel in space.channels]:
        raise UserError(
            f"{path}: expected a {CONTRACT} file of {len(space.channels)} channels as in [state], got "
            f"{', '.join(names) or 'no channels'}; name another file or folder in the experiment file"
        )
    if not (np.array_equal(file["lat"][:], space.grid.lat) and np.array_equal(file["lon"][:], space.grid.lon)):
        raise UserError(f"{path}: is on another grid than the {space.grid}; check [grid]")
    seconds = file["time"][:]
    expected = {"fields": (*seconds.shape, *space.shape), "offset": space.shape, "scale": space.shape[:1]}
    for name, shape in expected.items():
        if file[name].shape != shape or file[name].dtype.kind != "f":
            raise UserError(f"{path}: expected {name} as floating point of shape {shape}, got {file[name].dtype} of "
                            f"shape {file[name].shape}; remove it and make it again")
    in_time = seconds.ndim == 1 and seconds.dtype.kind == "i" and (np.abs(seconds) < FURTHEST).all()
    if not in_time or not all(np.isfinite(file[name][:]).all() for name in ("offset", "scale")):
        raise UserError(f"{path}: has times, offsets or scales that are no numbers of weather; remove it and make it "
                        "again")


def rows(path: Path, stored: Any, which: slice | int) -> np.ndarray:
    """Some times of the dataset `fields` of a shard; raises UserError where its checksums do not fit."""
    try:
        return stored[which]
    except OSError as error:
        raise UserError(f"{path}: is damaged ({brief(error)}); remove it and make it again") from None


class Series:
    """All shards of a folder as one series in time; reading is safe from several threads."""

    def __init__(self, folder: ShardFolder, space: StateSpace, memory_bytes: float):
        self.space, self.folder = space, folder
        files = [opened(path, space) for path in folder.shards()]
        if not files:
            raise UserError(f"{folder.folder}: holds no shards; python -m networks train EXPERIMENT makes them")
        hold = sum(file["fields"].nbytes for file in files) <= memory_bytes
        stamps = [file["time"][:] for file in files]
        order = np.argsort(np.concatenate(stamps), kind="stable")
        self.seconds = np.concatenate(stamps)[order]  # (time,)
        if (np.diff(self.seconds) == 0).any():
            raise UserError(f"{folder.folder}: holds a time twice; its shards were made with different days_per_shard")
        self._shard = np.repeat(np.arange(len(files)), [len(stamp) for stamp in stamps])[order]
        self._row = np.concatenate([np.arange(len(stamp)) for stamp in stamps])[order]
        self._offset = [file["offset"][:] for file in files]
        self._scale = [file["scale"][:][:, None, None] for file in files]
        stored: list[Any] = [file["fields"] for file in files]
        self._paths = folder.shards()
        if hold:
            numbers = progress.reported(range(len(stored)), "reading shards", log)
            stored = [rows(self._paths[number], stored[number], slice(None)) for number in numbers]
        self._fields = stored

    def fields(self, index: Iterable[int]) -> np.ndarray:
        """float32 (n, channel, lat, lon) of the times numbered `index`."""
        index = np.asarray(index)
        result = np.empty((index.size, *self.space.shape), np.float32)
        for place, number in enumerate(index):
            shard = self._shard[number]
            stored = rows(self._paths[shard], self._fields[shard], self._row[number])
            np.multiply(stored, self._scale[shard], out=result[place], dtype=np.float32)
            result[place] += self._offset[shard]
        return result

    @property
    def span(self) -> str:
        """First and last time, in words."""
        return " to ".join(times.name(times.from_seconds(self.seconds[end])) for end in (0, -1))

    def static(self) -> Static:
        return static.read(self.folder.static, self.space.grid)

    def starts(self, first: datetime, last: datetime, step: int, steps: int) -> np.ndarray:
        """Numbers i with times i, i + `step` seconds, … i + `steps`·`step` all there and within first … last.

        Returned (n, steps + 1): the numbers of all those times.
        """
        wanted = self.seconds[:, None] + step * np.arange(steps + 1)
        index = np.searchsorted(self.seconds, wanted)
        there = self.seconds[np.minimum(index, len(self.seconds) - 1)] == wanted
        inside = (wanted >= times.to_seconds(first)) & (wanted <= times.to_seconds(last))
        return index[(there & inside).all(axis=1)]
