"""Between a fine grid and a coarse one: means of cells, and what they leave open.

    c = A y       means over the cells of the coarse grid, fine ones shared by area (`networks.data.regrid`)
    B c           bilinear, across the poles too, where components of a wind turn
    A+ c          the smallest field whose means are c: A A+ = 1

All three are products of one map of the rows and one of the columns, but B at the poles.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from contracts.grid import Grid
from contracts.state import StateSpace
from networks.data.regrid import Regridding


@dataclass(frozen=True)
class Scales:
    """`rows` and `columns` of A and, `up_rows` and `up_columns`, of A+; `entry` (point, 4) and `weight`
    (channel, point, 4) of B. Fields are (..., channel, lat, lon)."""

    coarse: Grid
    fine: Grid
    rows: Tensor
    columns: Tensor
    up_rows: Tensor
    up_columns: Tensor
    entry: Tensor
    weight: Tensor

    @classmethod
    def of(cls, coarse: Grid, space: StateSpace, signed: bool, device: torch.device | str = "cpu") -> "Scales":
        """Between `coarse` and the grid of `space`; with `signed` winds turn across a pole, else, as spreads, not.

        Raises ValueError where the coarse grid is no coarser."""
        fine = space.grid
        if coarse.lat.size >= fine.lat.size or coarse.lon.size >= fine.lon.size:
            raise ValueError(f"expected fewer rows and columns than the {fine}, got the {coarse}")
        cells, stencil = Regridding(fine, coarse), coarse.bilinear(fine.column_lat, fine.column_lon)
        turned = np.array([signed and channel.is_wind for channel in space.channels])[:, None, None] & stencil.turned
        weight = np.where(turned, -stencil.weight, stencil.weight)

        def held(array: np.ndarray) -> Tensor:
            return torch.tensor(array, dtype=torch.float32, device=device)

        return cls(coarse, fine, held(cells.rows), held(cells.columns), held(np.linalg.pinv(cells.rows)),
                   held(np.linalg.pinv(cells.columns)), torch.tensor(stencil.column, device=device), held(weight))

    def mean(self, fine: Tensor) -> Tensor:
        """A y"""
        return self.rows @ fine @ self.columns.T

    def smallest(self, coarse: Tensor) -> Tensor:
        """A+ c"""
        return self.up_rows @ coarse @ self.up_columns.T

    def bilinear(self, coarse: Tensor) -> Tensor:
        """B c"""
        found = (coarse.flatten(-2)[..., self.entry] * self.weight).sum(-1)
        return found.unflatten(-1, self.fine.shape)
