"""The patches of a latent as the regions of a local analysis: which of them is where on the globe.

Every column of the globe lies in exactly one patch of each patch grid, and so does what is observed there.  The numbers
of a latent vector that belong to one patch stand side by side, so that a region is a slice of it.
"""

from dataclasses import dataclass

import numpy as np

from networks.latent.operator import Operator, PatchGrid


@dataclass(frozen=True)
class Regions:
    """`bounds` (region + 1,) where the numbers of each region begin in a latent vector, and where the last one ends;
    `home` (grid, column), of each patch grid the region that a column lies in."""

    bounds: np.ndarray
    home: np.ndarray

    @classmethod
    def globe(cls, latent: Operator, columns: int) -> "Regions":
        """All of the latent is one region, and every column lies in it."""
        return cls(np.array([0, latent.size]), np.zeros((1, columns), int))

    @classmethod
    def patches(cls, latent: Operator, columns: int) -> "Regions":
        """Each patch of each grid is one."""
        modes = [np.concatenate(_modes(grid)) for grid in latent.grids]
        first = np.concatenate([[0], np.cumsum([len(of_grid) for of_grid in modes])])
        home = [start + _home(grid, columns) for grid, start in zip(latent.grids, first, strict=False)]
        return cls(np.concatenate([[0], np.cumsum(np.concatenate(modes))]), np.stack(home))

    @property
    def count(self) -> int:
        return self.bounds.size - 1

    def parts(self) -> list[slice]:
        """Of a latent vector, region by region."""
        return [slice(*ends) for ends in zip(self.bounds, self.bounds[1:], strict=False)]

    def seen(self, home: np.ndarray) -> list[np.ndarray]:
        """Of each region which observations stand in it, ascending; `home` (grid, nobs) the regions of each."""
        region, observation = home.reshape(-1), np.tile(np.arange(home.shape[1]), len(home))
        order = np.argsort(region, kind="stable")
        return np.split(observation[order], np.searchsorted(region[order], np.arange(1, self.count)))


def _modes(grid: PatchGrid) -> list[np.ndarray]:
    """Of each band how many numbers stand for each of its patches, in the order of a latent vector."""
    return [np.full(halves * patches, k) for halves, patches, k in grid.shapes]


def _home(grid: PatchGrid, columns: int) -> np.ndarray:
    """(column,) number of the patch that it lies in."""
    home, first = np.empty(columns, int), 0
    for entry in grid.entry:
        halves, patches, n = entry.shape
        number = first + np.arange(halves * patches)
        home[entry.reshape(-1, n).cpu().numpy() % columns] = number[:, None]
        first += halves * patches
    return home
