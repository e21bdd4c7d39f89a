r"""Observations on the grid of the state, whatever they measure: the one definition for training and analysis.

An observation sees the state through its row of R^-1/2 H' (`footprints`), in units of its error.  In units of the
state's scale t, and with d the departures from the climate in units of the errors,

    A = R^-1/2 H' t           g = A^T d           W = |A|^T |A| 1

g is the negative gradient of J_o at the climate, W the sum of absolute values of each row of its second derivative:
where one observation stands on a point of the grid, W is its precision and g / W what it says.  The network sees

    value = g / (W + w)       density = ln(1 + W)                    w = 0.1, so that a distant station says little

of each number of the state, both 0 where nothing is observed: the mask is where the density is not.  An observation
between points, between levels or of a quantity that the state does not carry needs no rule of its own.
"""

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor
from torch.nn.functional import avg_pool2d

FAINT = 0.1  # w: a precision that counts for half


def in_scales(rows: csr_array, scale: np.ndarray) -> csr_array:
    """A (n, size) of R^-1/2 H' `rows` (n, size) and the `scale` t (size,)."""
    return csr_array((rows.data * scale[rows.indices], rows.indices, rows.indptr), rows.shape)


def gridded(A: csr_array, departure: np.ndarray, used: np.ndarray | None = None) -> np.ndarray:
    """g and W, float32 (2, size), of `A` (n, size) and `departure` (n,); of those `used` (n,) alone where that is
    given."""
    kept = np.ones(A.shape[0]) if used is None else used.astype(np.float64)
    absolute = abs(A)
    precision = absolute.T @ (kept * (absolute @ np.ones(A.shape[1])))
    return np.stack([A.T @ (kept * departure), precision]).astype(np.float32)


def inputs(gathered: Tensor) -> Tensor:
    """g and W (B, 2, channel, lat, lon) -> values and densities (B, 2 channel, lat, lon)."""
    g, W = gathered.unbind(1)
    return torch.cat([g / (W + FAINT), torch.log1p(W)], dim=1)


def coarser(gathered: Tensor) -> Tensor:
    """g and W on a grid of half as many rows and columns, whose points have what their four points had."""
    return 4 * avg_pool2d(gathered.flatten(0, 1), 2).unflatten(0, gathered.shape[:2])
