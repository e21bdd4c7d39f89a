"""Covariances of the members themselves, localised, as further control variables of a variational analysis.

    B = (1 - w) G G^T + w rho o X' X'^T / (k - 1)                       o element by element; X' the members' departures
    dx = sqrt(1 - w) G zeta + sqrt(w / (k - 1)) sum_j x'_j o a_j,        a_j = C_h^(1/2) v_j C_v^(T/2),  v_j ~ N(0, I)
    rho = C_h(distance) C_v(ln p),  each the function of Gaspari & Cohn (1999; `contracts.tapers`)

(Lorenc 2003, QJRMS 129, 3183; Buehner 2005, QJRMS 131, 1013).  A root of C is that of its leading eigenvectors, which
hold `KEPT` of it, each of its rows then brought back to length one, so that the members' variance stays as it is.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from contracts.sphere import great_circle_km, unit_vectors
from contracts.state import StateSpace
from contracts.tapers import gaspari_cohn
from networks.latent.operator import Operator
from neural_da.methods import Latent3DVar
from neural_da.variational import Maps

KEPT = 0.99


class Sized(Maps, Protocol):
    """Maps that know the length of their control vectors."""

    @property
    def size(self) -> int: ...


@dataclass(frozen=True)
class Taper:
    """Roots of the localisation: `horizontal` (column, r), `vertical` (channel, q)."""

    horizontal: Tensor
    vertical: Tensor

    @classmethod
    def of(cls, space: StateSpace, horizontal_km: float, vertical_ln_p: float, dtype: torch.dtype) -> "Taper":
        """Lengths L as those of the LETKF: nothing beyond 2 (10/3)^(1/2) L."""
        at = unit_vectors(space.grid.column_lat, space.grid.column_lon)
        C_h = gaspari_cohn(great_circle_km(at[:, None], at[None]) / horizontal_km)
        parts = root(C_h), vertical_root(space, vertical_ln_p)
        return cls(*(torch.tensor(part, dtype=dtype) for part in parts))


def vertical_root(space: StateSpace, length_ln_p: float) -> np.ndarray:
    """(channel, q) root of C_v."""
    height = -np.log(space.pressure)
    return root(gaspari_cohn(np.abs(height[:, None] - height) / length_ln_p))


def root(C: np.ndarray) -> np.ndarray:
    """(n, r) of a correlation matrix (n, n), rows of length one."""
    power, vectors = np.linalg.eigh(C)
    power, vectors = power[::-1].clip(min=0), vectors[:, ::-1]
    r = int(np.searchsorted(power.cumsum(), KEPT * power.sum())) + 1
    found = vectors[:, :r] * np.sqrt(power[:r])
    return found / np.linalg.norm(found, axis=1, keepdims=True)


@dataclass(frozen=True)
class Share:
    """What the covariances of `members` members need to be a part of B, of `weight` w."""

    taper: Taper
    weight: float
    members: int

    @classmethod
    def of(cls, settings: Latent3DVar, space: StateSpace, dtype: torch.dtype, members: int) -> "Share | None":
        """None where the settings leave them no share."""
        if not settings.ensemble_share:
            return None
        taper = Taper.of(space, settings.localization_km, settings.localization_ln_p, dtype)
        return cls(taper, settings.ensemble_share, members)

    def beside(self, latent: Sized, background: np.ndarray, number: int | None) -> "Extended":
        """Of the `background` (k, channel, column), left out of which is member `number` where one is named."""
        if number is not None:
            background = np.delete(background, number, axis=0)
        departures = background - background.mean(axis=0, dtype=np.float64)
        scaled = departures / np.sqrt(len(background) - 1)
        return Extended(latent, self.taper, torch.tensor(scaled, dtype=self.taper.horizontal.dtype))


@dataclass(frozen=True)
class Extended:
    """A latent and the members' `departures` (k, channel, column), already divided by (k - 1)^(1/2), side by side: the
    same maps as an `Operator`, of control vectors and deviations that are longer."""

    latent: Sized
    taper: Taper
    departures: Tensor

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """(member, q, r) of a control vector's further part."""
        return len(self.departures), self.taper.vertical.shape[1], self.taper.horizontal.shape[1]

    def deviation(self, own: Tensor, share: float) -> Tensor:
        """`own` (size,), sqrt(b) of the latent, and those of the further part, where the members have the `share` w."""
        further = own.new_full((int(np.prod(self.shape)),), share**0.5)
        return torch.cat([(1 - share) ** 0.5 * own, further])

    def increment(self, zeta: Tensor, deviation: Tensor) -> Tensor:
        """dx (channel * column,) of a control vector (size + further,)."""
        size = self.latent.size
        v = (deviation[size:] * zeta[size:]).view(self.shape)
        a = self.taper.vertical @ (v @ self.taper.horizontal.T)  # (member, channel, column)
        return self.latent.increment(zeta[:size], deviation[:size]) + (self.departures * a).sum(0).flatten()

    def adjoint(self, gradient: Tensor, deviation: Tensor) -> Tensor:
        """Its adjoint: gradient by the state (channel * column,) -> by the control vector."""
        size = self.latent.size
        a = self.departures * gradient.view(self.departures.shape[1:])
        v = (self.taper.vertical.T @ a) @ self.taper.horizontal
        return torch.cat([self.latent.adjoint(gradient, deviation[:size]), deviation[size:] * v.flatten()])


def at_points(maps: Maps, deviation: Tensor) -> Tensor:
    """(channel * column,) standard deviations of increments: the roots of the diagonal of B."""
    if isinstance(maps, Extended):
        own = maps.departures.square().sum(0).flatten() * deviation[-1].square()
        return (at_points(maps.latent, deviation[: maps.latent.size]).square() + own).sqrt()
    assert isinstance(maps, Operator)
    squared = tuple(replace(grid, basis=tuple(P.square() for P in grid.basis),
                            sign=tuple(map(torch.ones_like, grid.sign))) for grid in maps.grids)
    return maps.scale * replace(maps, grids=squared).put_back(deviation.square()).sqrt()
