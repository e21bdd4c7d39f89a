"""A global state cut into patches: what lies in each, and in which order, so that all of a band are alike.

    f in R^n,  n = rows x columns x channels            one patch; every number of a state lies in exactly one

Bands run from the equator to the pole, one and the same for both hemispheres: the southern one is mirrored, rows
reversed and northward wind with its sign changed, so that the Coriolis parameter is positive in every patch and what is
learned of one hemisphere serves the other.  A mirrored state is then the same patches with the halves exchanged.

The rows and columns are the grid's own.  A grid that patches do not divide is refused.
"""

from dataclasses import dataclass

import numpy as np

from contracts.grid import Grid
from contracts.state import StateSpace
from contracts.variables import VARIABLES

NORTHWARD = "northward_wind"  # changes sign in a mirror that lies along the equator


@dataclass(frozen=True)
class Band:
    """The patches of one band of latitude, of both halves (0 the southern, 1 the northern).

    `entry` (half, patch, n) into channel * column; `sign` (half, n) by which a number is multiplied when it is taken.
    """

    entry: np.ndarray
    sign: np.ndarray

    @property
    def n(self) -> int:
        """Numbers in a patch."""
        return self.entry.shape[-1]


def cut(space: StateSpace, patch: tuple[int, int]) -> tuple[Band, ...]:
    """Bands from the equator to the pole, of patches of so many (rows, columns); ValueError where they do not fit."""
    rows, columns = patch
    refuse(space.grid, patch)
    nlat, nlon = space.grid.shape
    number = np.arange(len(space.channels) * nlat * nlon).reshape(space.shape)
    halves = np.stack([number[:, : nlat // 2][:, ::-1], number[:, nlat // 2 :]])  # (half, channel, row, col)
    shape = (2, len(space.channels), nlat // 2 // rows, rows, nlon // columns, columns)
    entry = halves.reshape(shape).transpose(2, 0, 4, 1, 3, 5)  # (band, half, patch, channel, row, col)
    sign = np.repeat(mirror_sign(space), rows * columns)
    signs = np.stack([sign, np.ones_like(sign)])
    return tuple(Band(of_band.reshape(2, nlon // columns, -1), signs) for of_band in entry)


def mirror_sign(space: StateSpace) -> np.ndarray:
    """(channel,) -1 where a field changes its sign in a mirror along the equator, else 1."""
    northward = [VARIABLES[channel.variable].standard_name == NORTHWARD for channel in space.channels]
    return np.where(northward, -1.0, 1.0)


def mirrored(fields: np.ndarray, space: StateSpace) -> np.ndarray:
    """`fields` (..., channel, lat, lon) as they are on the other side of the equator."""
    return fields[..., ::-1, :] * mirror_sign(space)[:, None, None]


def refuse(grid: Grid, patch: tuple[int, int]) -> None:
    """Raises ValueError that says why a grid cannot be cut into patches of so many (rows, columns)."""
    rows, columns = patch
    nlat, nlon = grid.shape
    if nlat % (2 * rows) or nlon % columns:
        raise ValueError(f"patches of {rows} rows and {columns} columns do not divide the {grid}: expected the rows of "
                         f"a hemisphere to be a multiple of {rows} and the columns one of {columns}, got "
                         f"{nlat / 2:g} and {nlon}")
    if not np.allclose(grid.lat, -grid.lat[::-1]):
        raise ValueError(f"the {grid} is not the same on both sides of the equator, and patches mirror one hemisphere "
                         "onto the other: take a grid with rows at equal latitudes north and south")
