"""The ensemble transform of the LETKF at every level and column, by observations that count the less the farther off.

    A = (k−1)/β · I + Σ ρ y yᵀ,    w̄ = A⁻¹ Σ ρ y d,    W = [(k−1) A⁻¹]^½         (`transform`, for many points at once)
    ρ = h(distance / L_h) h(|ln p_obs / p| / L_v)                                 h of `contracts.tapers`

in double precision.  The weights are those of the members, so that whatever belongs to a member can be transformed
with them: its state, and what its state grows out of.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from contracts.observations import Observations
from contracts.sphere import great_circle_km, unit_vectors
from contracts.state import StateSpace
from contracts.tapers import gaspari_cohn

CHUNK = 512  # columns at once


@dataclass(frozen=True)
class Taper:
    """ρ of n observations: `horizontal` (column, n) times `vertical` (level, n); `level` (channel,) the number of a
    channel's level."""

    horizontal: np.ndarray
    vertical: np.ndarray
    level: np.ndarray

    @classmethod
    def of(cls, space: StateSpace, tables: Sequence[Observations], horizontal_km: float,
           vertical_ln_p: float) -> "Taper":
        """Lengths L as those of the LETKF; observations without a pressure stand at the lowest level."""
        columns = unit_vectors(space.grid.column_lat, space.grid.column_lon)
        at = unit_vectors(np.concatenate([table.lat for table in tables]),
                          np.concatenate([table.lon for table in tables]))
        apart = great_circle_km(columns[:, None], at[None])
        pressure, level = np.unique(space.pressure, return_inverse=True)
        height = np.concatenate([table.pressure for table in tables])
        height = np.where(np.isnan(height), pressure.max(), height)
        steps = np.abs(np.log(pressure[:, None] / height))
        return cls(gaspari_cohn(apart / horizontal_km), gaspari_cohn(steps / vertical_ln_p), level)


@dataclass(frozen=True)
class Weights:
    """w̄ (level, column, k) and W (level, column, k, k), the last but one axis that of the members that are summed."""

    mean: Tensor
    perturbations: Tensor
    level: np.ndarray

    def applied(self, X: Tensor) -> Tensor:
        """Members `X` (k, channel, column) after the transform."""
        middle, found = X.mean(0), torch.empty_like(X)
        for channel, level in enumerate(self.level):
            departures = (X[:, channel] - middle[channel]).T  # (column, k)
            both = self.perturbations[level] + self.mean[level][..., None]
            found[:, channel] = middle[channel] + torch.einsum("cj,cji->ic", departures, both)
        return found


def weights(y: Tensor, d: Tensor, taper: Taper, inflation: float = 1.0) -> Weights:
    """Of `y` (n, k), rows of zero mean, and `d` (n,) in units of the observations' errors; β."""
    k = y.shape[1]
    products, sums = (y[:, :, None] * y[:, None]).flatten(1), y * d[:, None]
    mean, perturbations = [], []
    for vertical in torch.from_numpy(taper.vertical):
        pieces = [_of_points(rho * vertical, products, sums, k, inflation)
                  for rho in torch.from_numpy(taper.horizontal).split(CHUNK)]
        mean.append(torch.cat([w for w, _ in pieces]))
        perturbations.append(torch.cat([W for _, W in pieces]))
    return Weights(torch.stack(mean), torch.stack(perturbations), taper.level)


def _of_points(rho: Tensor, products: Tensor, sums: Tensor, k: int, inflation: float) -> tuple[Tensor, Tensor]:
    """w̄ (point, k) and W (point, k, k) of `rho` (point, n)."""
    A = (rho @ products).unflatten(1, (k, k)) + (k - 1) / inflation * torch.eye(k, dtype=rho.dtype)
    values, V = torch.linalg.eigh(A)
    mean = torch.einsum("pij,pj->pi", V, torch.einsum("pij,pi->pj", V, rho @ sums) / values)
    return mean, torch.einsum("pij,pj,pkj->pik", V, ((k - 1) / values).sqrt(), V)
