"""Windows of patches that attend to themselves, in place of all patches to all.

With windows of h x w patches a block forms L h w products of queries and keys instead of L².  The first block cuts the
grid from its south-west corner, the next one half a window further in rows and columns, and so on by turns: what a
window has learned goes on into its neighbours (Liu et al. 2021, Swin Transformer, arXiv 2103.14030).  Columns go round
the globe.  Rows do not go over the poles: the half windows that are left there are joined into one cap around each
pole, where the meridians meet.

         4 x 8 patches in windows of 2 x 4        and half a window further

              2 2 2 2 3 3 3 3                          3 3 3 3 3 3 3 3      cap
              2 2 2 2 3 3 3 3                          1 1 0 0 0 0 1 1
              0 0 0 0 1 1 1 1                          1 1 0 0 0 0 1 1
              0 0 0 0 1 1 1 1                          2 2 2 2 2 2 2 2      cap

Patches of a window are brought together before they attend, so that nothing has to be masked.  A window as large as the
grid is one window, whichever the block.
"""

from itertools import groupby

import numpy as np
import torch
from torch import Tensor, nn

Pair = tuple[int, int]  # rows and columns of patches


class Windows(nn.Module):
    """The windows of a block: from all places to those of each window, and back."""

    order: Tensor  # (L,) places, window by window
    back: Tensor  # (L,) its inverse

    def __init__(self, grid: Pair, window: Pair, shifted: bool):
        super().__init__()
        number = numbers(grid, window, shifted).ravel()
        order = number.argsort(kind="stable")
        # On the CPU also where a network without memory is made (`stepping.build`): these are no weights to be loaded.
        self.register_buffer("order", torch.tensor(order, device="cpu"), persistent=False)
        self.register_buffer("back", torch.tensor(order.argsort(), device="cpu"), persistent=False)
        places = np.bincount(number).tolist()
        self.runs = [(size, len(list(alike))) for size, alike in groupby(places)]  # places of a window, windows

    def split(self, x: Tensor) -> list[Tensor]:
        """(B, L, D) -> (B windows, places, D) of all windows of a size, for each size"""
        parts = x[:, self.order].split([size * count for size, count in self.runs], dim=1)
        return [part.reshape(-1, size, x.shape[-1]) for part, (size, _) in zip(parts, self.runs, strict=True)]

    def joined(self, parts: list[Tensor]) -> Tensor:
        """The inverse of `split`."""
        width = parts[0].shape[-1]
        rows = [part.reshape(-1, size * count, width) for part, (size, count) in zip(parts, self.runs, strict=True)]
        return torch.cat(rows, dim=1)[:, self.back]


def numbers(grid: Pair, window: Pair, shifted: bool) -> np.ndarray:
    """(rows, columns) of the grid: the number of the window that each patch is in, from 0, caps last."""
    down, along = (size // 2 if shifted and size < whole else 0 for size, whole in zip(window, grid, strict=True))
    row = (np.arange(grid[0]) - down) // window[0]
    column = (np.arange(grid[1]) - along) % grid[1] // window[1]
    each = row[:, None] * (grid[1] // window[1]) + column
    if down:
        caps = (grid[0] // window[0] - 1) * (grid[1] // window[1])
        each[:down], each[-down:] = caps, caps + 1
    return each


def refuse_misfit(grid: Pair, window: Pair) -> None:
    """Raises ValueError where the windows do not tile the grid, or have no half to shift them by."""
    for size, whole in zip(window, grid, strict=True):
        if whole % size or (size % 2 and size != whole):
            raise ValueError(f"window {window[0]} x {window[1]} on {grid[0]} x {grid[1]} patches: expected even "
                             "numbers that divide these, or all of them")
