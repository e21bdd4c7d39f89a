"""Covariances of the members, localised along circles of latitude, of many states at once.

    rho o P x = sum_j c_j x'_j o C (x'_j o x),     C = C_h C_v,  each the function of Gaspari & Cohn of `localized`

On a grid whose circles have the same longitudes C_h is the same all along each of them, so that waves make it a block
of latitudes for each wavenumber (networks.climate.gaussian has C alike).  What is kept of it is what `localized` keeps:
the leading eigenvectors, the two of a wave together, rows then of length one.

Left out of its own, with k members and d their departures, P is that of the others, about their mean:

    P_-i = 1/(k - 2) sum_j d_j d_j^T - k/((k - 1)(k - 2)) d_i d_i^T                                (as in `hybrid`)
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from contracts.grid import Grid
from contracts.sphere import great_circle_km, unit_vectors
from contracts.state import StateSpace
from contracts.tapers import gaspari_cohn
from neural_da.localized import KEPT, vertical_root


@dataclass(frozen=True)
class Circles:
    """C: `waves` (p, lon) orthonormal, `blocks` (p, lat, lat) that of each, and a root of the `vertical` (channel,
    q)."""

    waves: Tensor
    blocks: Tensor
    vertical: Tensor

    @classmethod
    def of(cls, space: StateSpace, horizontal_km: float, vertical_ln_p: float, dtype: torch.dtype) -> "Circles":
        """Lengths L as those of the LETKF."""
        parts = *horizontal(space.grid, horizontal_km), vertical_root(space, vertical_ln_p)
        return cls(*(torch.tensor(part, dtype=dtype) for part in parts))

    def along(self, T: Tensor) -> Tensor:
        """C_h of `T` (lat, lon, n)."""
        by_wave = torch.matmul(self.waves, T).transpose(0, 1)  # (p, lat, n)
        return torch.matmul(self.waves.T, torch.bmm(self.blocks, by_wave).transpose(0, 1))


def horizontal(grid: Grid, length_km: float) -> tuple[np.ndarray, np.ndarray]:
    """Waves (p, lon) and blocks (p, lat, lat) of what is kept of C_h."""
    at = unit_vectors(grid.column_lat, grid.column_lon).reshape(*grid.shape, 3)
    from_first = gaspari_cohn(great_circle_km(at[:, None, None, 0], at[None]) / length_km)  # (lat, lat, lon)
    waves, number = _waves(grid.lon.size)
    blocks = np.fft.rfft(from_first).real.transpose(2, 0, 1)[number]
    power, vectors = np.linalg.eigh(blocks)
    sorted_power = np.sort(power.clip(min=0).ravel())[::-1]
    least = sorted_power[np.searchsorted(sorted_power.cumsum(), KEPT * sorted_power.sum())]
    kept = np.where(power >= least * (1 - 1e-9), power, 0)  # both of a wave, whose powers differ by rounding alone
    found = np.einsum("plr,pr,pmr->plm", vectors, kept, vectors)
    length = np.sqrt(np.einsum("pll->l", found) / grid.lon.size)
    some = kept.any(axis=1)
    return waves[some], found[some] / np.outer(length, length)


def _waves(nlon: int) -> tuple[np.ndarray, np.ndarray]:
    """Orthonormal waves (nlon, lon), cosines before sines, and the wavenumber (nlon,) of each."""
    number = np.arange(nlon // 2 + 1)
    sines = number[1:(nlon + 1) // 2]  # of the mean and the shortest wave there are none
    angle = 2 * np.pi / nlon * np.arange(nlon)
    found = np.concatenate([np.cos(np.outer(number, angle)), np.sin(np.outer(sines, angle))])
    return found / np.linalg.norm(found, axis=1, keepdims=True), np.concatenate([number, sines])


@dataclass(frozen=True)
class OfMembers:
    """rho o P of the k members, of whose `departures` (k, channel, column) one is left out of its own where
    `leave_one_out`."""

    circles: Circles
    departures: Tensor
    leave_one_out: bool

    @classmethod
    def of(cls, circles: Circles, background: np.ndarray, leave_one_out: bool) -> "OfMembers":
        """Of the `background` (k, channel, column)."""
        departures = background - background.mean(axis=0, dtype=np.float64)
        return cls(circles, torch.tensor(departures, dtype=circles.vertical.dtype), leave_one_out)

    @cached_property
    def weights(self) -> Tensor:
        """(k, k) c of each member's own product, in columns, in the covariances of each of them, in rows."""
        k = len(self.departures)
        if not self.leave_one_out:
            return self.departures.new_full((k, k), 1 / (k - 1))
        own = torch.eye(k, dtype=self.departures.dtype)
        return 1 / (k - 2) - k / ((k - 1) * (k - 2)) * own

    @cached_property
    def seen(self) -> Tensor:
        """(column, k * q, channel) departures times the vertical root."""
        by_column = self.departures.permute(2, 0, 1)[:, :, None] * self.circles.vertical.T  # (column, k, q, channel)
        return by_column.flatten(1, 2).contiguous()

    def of_all(self, X: Tensor) -> Tensor:
        """rho o P times each of `X` (m, channel, column), with none left out."""
        k = len(self.departures)
        return self.apply(X, self.departures.new_full((len(X), k), 1 / (k - 1)))

    def apply(self, X: Tensor, weights: Tensor) -> Tensor:
        """rho o P times each of `X` (m, channel, column), with rows of `weights` (m, k)."""
        (count, _, columns), k = X.shape, len(self.departures)
        lat, lon = self.circles.blocks.shape[1], self.circles.waves.shape[1]
        T = torch.bmm(self.seen, X.permute(2, 1, 0).contiguous())  # (column, k * q, m)
        T = self.circles.along(T.view(lat, lon, -1)).view(columns, k, -1, count) * weights.T[:, None]
        return torch.bmm(self.seen.mT, T.view(columns, -1, count)).permute(2, 1, 0)
