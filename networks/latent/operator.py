"""A latent's maps on tensors, each linear and with its adjoint, for any number of states side by side.

    project  z = P f            spread  D z = P^T z, put back            <D z, x> = <z, project x>

A latent of S overlapping patch grids is the sum over them (`grids`): projections on all of them stand side by side, D
of a latent vector is S^(-1/2) times the sum.  So an increment of independent zeta has the mean of the grids' variances,
and R, which puts back what was projected, is S^(-1/2) D, the mean.
"""

from dataclasses import dataclass
from itertools import islice
from math import prod, sqrt

import numpy as np
import torch
from torch import Tensor

from networks.latent.eof import Eof
from networks.latent.patches import Band


@dataclass(frozen=True)
class PatchGrid:
    """One cut of the state into patches: of each band `entry` (half, patch, n), `sign` (half, 1, n) and basis `P` (k,
    n); `place` (channel * column,) where each number of the state stands among those of all patches."""

    entry: tuple[Tensor, ...]
    sign: tuple[Tensor, ...]
    basis: tuple[Tensor, ...]
    place: Tensor

    @classmethod
    def of(cls, bands: tuple[Band, ...], basis: tuple[np.ndarray, ...], device: torch.device | str,
           dtype: torch.dtype) -> "PatchGrid":
        place = np.argsort(np.concatenate([band.entry.reshape(-1) for band in bands]))
        return cls(tuple(torch.tensor(band.entry, device=device) for band in bands),
                   tuple(torch.tensor(band.sign[:, None], device=device, dtype=dtype) for band in bands),
                   tuple(torch.tensor(P, device=device, dtype=dtype) for P in basis),
                   torch.tensor(place, device=device))

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """(half, patch, k) of each band's part of a latent vector."""
        return [(*entry.shape[:2], P.shape[0]) for entry, P in zip(self.entry, self.basis, strict=True)]

    @property
    def size(self) -> int:
        """Numbers in this grid's part of a latent vector."""
        return sum(map(prod, self.shapes))

    def rows(self, z: Tensor) -> list[Tensor]:
        """z (..., size) as (..., patch, k) of each row of patches, from the south pole to the north pole."""
        parts = z.split(list(map(prod, self.shapes)), dim=-1)
        bands = [part.unflatten(-1, shape).unbind(-3) for part, shape in zip(parts, self.shapes, strict=True)]
        return [south for south, *north in bands[::-1] if north] + [band[-1] for band in bands]

    def of_rows(self, rows: list[Tensor]) -> Tensor:
        """The reverse of `rows`."""
        south, north = rows[: -len(self.shapes)][::-1], rows[-len(self.shapes) :]
        astride = len(north) - len(south)
        pairs = [[row] for row in north[:astride]] + [[*pair] for pair in zip(south, north[astride:], strict=True)]
        return torch.cat([row.flatten(-2) for pair in pairs for row in pair], dim=-1)

    def over_patches(self, z: Tensor) -> Tensor:
        """z (size,) with the mean over the patches of its band and half in the place of each number."""
        parts = z.split(list(map(prod, self.shapes)))
        means = [part.unflatten(0, shape).mean(1, keepdim=True).expand(shape)
                 for part, shape in zip(parts, self.shapes, strict=True)]
        return torch.cat([mean.flatten() for mean in means])

    def project(self, xi: Tensor) -> Tensor:
        """`xi` (..., channel * column), dimensionless -> z (..., size)."""
        parts = [((xi[..., entry] * sign) @ P.T).flatten(-3)
                 for entry, sign, P in zip(self.entry, self.sign, self.basis, strict=True)]
        return torch.cat(parts, dim=-1)

    def spread(self, z: Tensor) -> Tensor:
        """z (..., size) -> D z (..., channel * column), dimensionless."""
        parts = z.split(list(map(prod, self.shapes)), dim=-1)
        pieces = [((part.unflatten(-1, shape) @ P) * sign).flatten(-3)
                  for part, shape, P, sign in zip(parts, self.shapes, self.basis, self.sign, strict=True)]
        return torch.cat(pieces, dim=-1)[..., self.place]


@dataclass(frozen=True)
class Operator:
    """The maps of a latent; states are (..., channel, column) in SI units."""

    grids: tuple[PatchGrid, ...]
    mean: Tensor  # (channel * column,)
    scale: Tensor  # (channel * column,)
    variance: Tensor  # (size,) b_clim

    @classmethod
    def of(cls, latent: Eof, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> "Operator":
        basis = iter(latent.basis)
        grids = [PatchGrid.of(bands, tuple(islice(basis, len(bands))), device, dtype) for bands in latent.grids()]
        variance = [np.repeat(b[:, None], band.entry.shape[1], axis=1).reshape(-1)
                    for b, band in zip(latent.variance, latent.bands(), strict=True)]
        mean, scale = latent.mean.reshape(-1), np.repeat(latent.scale, latent.space.grid.size)
        return cls(tuple(grids), *(torch.tensor(array, device=device, dtype=dtype)
                                   for array in (mean, scale, np.concatenate(variance))))

    @property
    def size(self) -> int:
        """Numbers in a latent vector."""
        return self.variance.numel()

    def encode(self, x: Tensor) -> Tensor:
        """x (..., channel, column) -> z (..., size)."""
        return self.project((x.flatten(-2) - self.mean) / self.scale)

    def reconstruct(self, z: Tensor, channels: int) -> Tensor:
        """R(z) as a state (..., channel, column): of overlapping grids the mean."""
        return (self.mean + self.scale * self.put_back(z)).unflatten(-1, (channels, -1))

    def put_back(self, z: Tensor) -> Tensor:
        """S^(-1/2) D z, (..., channel * column), dimensionless: of a projection what is left of what was projected."""
        return self.spread(z) / sqrt(len(self.grids))

    def project(self, xi: Tensor) -> Tensor:
        """The projections on all grids, one after the other."""
        return torch.cat([grid.project(xi) for grid in self.grids], dim=-1)

    def spread(self, z: Tensor) -> Tensor:
        """D z = S^(-1/2) sum over the S grids, (..., channel * column), dimensionless."""
        parts = z.split([grid.size for grid in self.grids], dim=-1)
        pieces = [grid.spread(part) for grid, part in zip(self.grids, parts, strict=True)]
        return torch.stack(pieces).sum(0) / sqrt(len(self.grids)) if len(pieces) > 1 else pieces[0]

    def increment(self, zeta: Tensor, deviation: Tensor) -> Tensor:
        """dx = t D(deviation zeta), (..., channel * column), of standard normal `zeta` (..., size); `deviation` (size,)
        is sqrt(b)."""
        return self.scale * self.spread(deviation * zeta)

    def adjoint(self, gradient: Tensor, deviation: Tensor) -> Tensor:
        """The adjoint of `increment`: gradient by the state (..., channel * column) -> by zeta (..., size)."""
        return deviation * self.project(self.scale * gradient) / sqrt(len(self.grids))

    def over_patches(self, z: Tensor) -> Tensor:
        """z (size,) with the mean over the patches of its grid, band and half in the place of each number."""
        parts = z.split([grid.size for grid in self.grids])
        return torch.cat([grid.over_patches(part) for grid, part in zip(self.grids, parts, strict=True)])

    def smoothed(self, variance: Tensor) -> Tensor:
        """`variance` (..., size) of a few members, half as it is and half the mean over the 3 x 3 patches around its
        own.

        A neighbour of another band has functions of its own, and counts by its variance in units of b_clim; beyond a
        pole there is none, nor of a mode that a patch with half the rows lacks.  So b_clim stays b_clim.
        """
        parts = (variance / self.variance).split([grid.size for grid in self.grids], dim=-1)
        near = [grid.of_rows(_near(grid.rows(part))) for grid, part in zip(self.grids, parts, strict=True)]
        return 0.5 * (variance + self.variance * torch.cat(near, dim=-1))


def _near(rows: list[Tensor]) -> list[Tensor]:
    """The mean over the 3 x 3 patches around each, of one (..., patch, k) for each row of patches."""
    along = [(row + row.roll(1, -2) + row.roll(-1, -2)) / 3 for row in rows]
    found = []
    for number, row in enumerate(along):
        total, count = torch.zeros_like(row), row.new_zeros(row.shape[-1])
        for other in along[max(number - 1, 0) : number + 2]:
            k = min(row.shape[-1], other.shape[-1])
            total[..., :k] += other[..., :k]
            count[:k] += 1
        found.append(total / count)
    return found
