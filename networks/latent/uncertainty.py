"""What variances of a latent, independent of one another, mean for the state.

    var x = t^2 1/S sum over the S patch grids of diag(D_s diag(p_s) D_s^T)
"""

from math import prod

import torch
from torch import Tensor

from networks.latent.operator import Operator, PatchGrid


def deviation(latent: Operator, variance: Tensor) -> Tensor:
    """Standard deviation (channel * column,) of increments t D(sqrt(p) eps), in SI units, of `variance` p (size,)."""
    parts = variance.split([grid.size for grid in latent.grids])
    squares = [_put_back(grid, part) for grid, part in zip(latent.grids, parts, strict=True)]
    return latent.scale * (torch.stack(squares).sum(0) / len(squares)).sqrt()


def _put_back(grid: PatchGrid, variance: Tensor) -> Tensor:
    """diag(D diag(p) D^T) (channel * column,)"""
    parts = variance.split(list(map(prod, grid.shapes)))
    pieces = [(part.unflatten(0, shape) @ P.to(variance.dtype).square()).flatten()
              for part, shape, P in zip(parts, grid.shapes, grid.basis, strict=True)]
    return torch.cat(pieces)[grid.place]
