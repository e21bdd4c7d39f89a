"""Fields to learn from: the shards' logarithms of spread, or anomalies of members read from where they were kept."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from contracts import ensemble, state, times
from contracts.paths import EnsembleFolder, ExperimentFolder
from contracts.state import StateSpace
from networks import normalization
from networks.data.shards import Series
from networks.normalization import Accumulator, Moments

PIECE = 16  # fields at once
SPREAD_OUT = 8  # members of a time that a fit takes


class Samples(Protocol):
    """y of either kind."""

    def drawn(self, fields: np.ndarray, seconds: np.ndarray, random: np.random.Generator) -> Tensor:
        """y (n B, channel, lat, lon) of the states `fields` of the shards at `seconds` (B,): n of each, one after the
        other."""
        ...

    def fitted(self, series: Series, numbers: np.ndarray) -> Iterator[Tensor]:
        """y of the times with these `numbers`, in pieces."""
        ...


@dataclass(frozen=True)
class Spreads:
    """y = l - `mean` (channel, 1, 1)."""

    mean: np.ndarray

    def drawn(self, fields: np.ndarray, seconds: np.ndarray, random: np.random.Generator) -> Tensor:
        return torch.from_numpy(fields - self.mean)

    def fitted(self, series: Series, numbers: np.ndarray) -> Iterator[Tensor]:
        for first in range(0, len(numbers), PIECE):
            yield torch.from_numpy(series.fields(numbers[first : first + PIECE]) - self.mean)


@dataclass(frozen=True)
class Members:
    """y = (x - mean of the members) / `unit` (channel, 1, 1) of `count` members of the backgrounds in `folder`,
    `each` of them of each time."""

    folder: ExperimentFolder
    space: StateSpace
    count: int
    each: int
    unit: np.ndarray

    def drawn(self, fields: np.ndarray, seconds: np.ndarray, random: np.random.Generator) -> Tensor:
        of_times = [self.of(times.from_seconds(int(one)), random.choice(self.count, self.each, replace=False).tolist())
                    for one in seconds]
        return torch.from_numpy(np.concatenate(of_times))

    def fitted(self, series: Series, numbers: np.ndarray) -> Iterator[Tensor]:
        for number in numbers:
            time = times.from_seconds(int(series.seconds[number]))
            yield torch.from_numpy(self.of(time, evenly(self.count, SPREAD_OUT)))

    def of(self, time: datetime, members: Sequence[int]) -> np.ndarray:
        """float32 (member, channel, lat, lon): y of those numbered from 0; ContractError where one is missing."""
        return anomalies(self.folder.at(time).background, self.space, time, members) / self.unit


def anomalies(folder: EnsembleFolder, space: StateSpace, time: datetime, members: Sequence[int]) -> np.ndarray:
    """float32 (member, channel, lat, lon) in SI units."""
    mean = state.read(folder.mean, space, time).data
    return ensemble.read_members(folder, members, space, time).reshape(-1, *space.shape) - mean


def evenly(count: int, wanted: int) -> list[int]:
    """At most `wanted` of 0 … `count` - 1."""
    return sorted(set(np.linspace(0, count - 1, min(wanted, count)).round().astype(int).tolist()))


def of_spread(moments: dict[str, Moments], space: StateSpace) -> tuple[Spreads, dict[str, Moments]]:
    """And what the card says of their normalisation."""
    names = [channel.name for channel in space.channels]
    mean, _ = normalization.columns(moments, names)
    return Spreads(mean), moments | {name: Moments(moments[name].mean, 1.0) for name in names}


def of_members(plain: Members, series: Series, numbers: np.ndarray,
               moments: dict[str, Moments]) -> tuple[Members, dict[str, Moments]]:
    """`plain`, whose unit is one, in its own units, those of the members of the times `numbers`; and what the card says
    of their normalisation."""
    space = plain.space
    sums = Accumulator(space.grid.area_weights)
    for fields in plain.fitted(series, numbers):
        sums.add(fields.numpy())
    _, deviation = sums.result()
    names = [channel.name for channel in space.channels]
    found = {name: Moments(0.0, float(one) or 1.0) for name, one in zip(names, deviation, strict=True)}
    unit = np.array([found[name].std for name in names], np.float32)[:, None, None]
    return replace(plain, unit=unit), moments | found
