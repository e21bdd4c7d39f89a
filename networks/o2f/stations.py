"""What stations see, on tensors: departures of observations to the grid, and fields to what is observed of them.

    A = R^-1/2 H' s              (n, size), in errors of the observations and scales s of the channels that are known
    g = Aᵀ d        W = |A|ᵀ |A| 1        as in `networks.o2l.gridding`, differentiable by d

A channel is known where enough of the stations see it; an observation that sees another one too is left out.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from networks.o2l.footprints import Footprints


@dataclass(frozen=True)
class Known:
    """Of a state's channels those that are `known`, their numbers (c,) ascending, and of observations what they see of
    them: `rows` (n, c * column), R^-1/2 H', of the observations numbered `kept` (n,), with their `station` (n,)."""

    channels: np.ndarray
    rows: csr_array
    kept: np.ndarray
    station: np.ndarray

    @classmethod
    def of(cls, seen: Footprints, channels: int, share: float) -> "Known":
        """Of states of so many channels, those that a `share` of the stations see."""
        by_station = _seen_by_station(seen, channels)
        return cls.among(seen, channels, np.flatnonzero(by_station.mean(axis=0) >= share))

    @classmethod
    def among(cls, seen: Footprints, channels: int, known: np.ndarray) -> "Known":
        """The same where the `known` channels (c,) are given."""
        column = seen.rows.shape[1] // channels
        unknown = np.setdiff1d(np.arange(channels), known)
        by_channel = abs(seen.rows) @ np.kron(np.eye(channels), np.ones((column, 1)))
        kept = np.flatnonzero((by_channel[:, unknown] == 0).all(axis=1) & (by_channel > 0).any(axis=1))
        columns = (known[:, None] * column + np.arange(column)).ravel()
        return cls(known, csr_array(seen.rows[kept][:, columns]), kept, seen.station[kept])

    def select(self, chosen: np.ndarray) -> "Known":
        """The `chosen` (m,) of the observations."""
        return Known(self.channels, csr_array(self.rows[chosen]), self.kept[chosen], self.station[chosen])

    @property
    def channel(self) -> np.ndarray:
        """(n,) which of the known channels, from 0, each observation sees most of, beside what others see of it: a
        geopotential where stations see it by their pressure alone."""
        return (self.reach / self.reach.max(axis=0)).argmax(axis=1)

    @property
    def reach(self) -> np.ndarray:
        """(n, channel) sum of absolute values of each row, of each of the known channels."""
        count = len(self.channels)
        return np.asarray(abs(self.rows) @ np.kron(np.eye(count), np.ones((self.rows.shape[1] // count, 1))))


def _seen_by_station(seen: Footprints, channels: int) -> np.ndarray:
    """(station, channel) bool."""
    row, entry = seen.rows.nonzero()
    found = np.zeros((seen.station.max(initial=-1) + 1, channels), bool)
    found[seen.station[row], entry // (seen.rows.shape[1] // channels)] = True
    return found[found.any(axis=1)]


def withheld(stations: np.ndarray, share: float, seed: int) -> np.ndarray:
    """(n,) bool: whose stations (n,), numbers, are withheld; the same ones whoever asks."""
    chosen = np.random.default_rng((seed, 1)).random(int(stations.max(initial=-1)) + 1) < share
    return chosen[stations]


@dataclass(frozen=True)
class Stations:
    """A (n, size) as its numbers: of each the `row`, the `entry` and the `coefficient`."""

    row: Tensor
    entry: Tensor
    coefficient: Tensor
    shape: tuple[int, int]

    @classmethod
    def of(cls, rows: csr_array, scale: np.ndarray, device: torch.device | str = "cpu",
           dtype: torch.dtype = torch.float32) -> "Stations":
        """`rows` R^-1/2 H' of the known channels, `scale` s (channel,) of each."""
        row = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
        every = np.repeat(scale, rows.shape[1] // len(scale))
        return cls(torch.as_tensor(row, device=device), torch.as_tensor(rows.indices.astype(np.int64), device=device),
                   torch.as_tensor(rows.data * every[rows.indices], dtype=dtype, device=device), rows.shape)

    def observe(self, xi: Tensor) -> Tensor:
        """A ξ (B, n) of fields (B, channel, lat, lon) in scales."""
        taken = xi.flatten(1).index_select(1, self.entry) * self.coefficient
        return taken.new_zeros(len(xi), self.shape[0]).index_add(1, self.row, taken)

    def gathered(self, departure: Tensor, used: Tensor, shape: tuple[int, int, int]) -> Tensor:
        """g and W (B, 2, channel, lat, lon) of departures (B, n) in errors, of the observations that are `used`
        (B, n), 1 or 0."""
        absolute = self.coefficient.abs()
        reach = absolute.new_zeros(self.shape[0]).index_add(0, self.row, absolute)
        g = self._back(departure * used, self.coefficient)
        W = self._back(reach * used, absolute)
        return torch.stack([g, W], dim=1).unflatten(-1, shape)

    def _back(self, values: Tensor, coefficient: Tensor) -> Tensor:
        """(B, n) -> (B, size)"""
        taken = values.index_select(1, self.row) * coefficient
        return taken.new_zeros(len(values), self.shape[1]).index_add(1, self.entry, taken)
