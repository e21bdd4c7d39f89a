"""A global state cut into patches: what lies in each, and in which order, so that all of a band are alike.

    f in R^n,  n = rows x columns x channels            one patch; every number of a state lies in exactly one

A state may be cut into more than one grid of patches.  Four that are half a patch apart, (rows, columns) = (0, 0), (0,
c/2), (r/2, 0), (r/2, c/2), overlap: what lies at the edge of a patch in one of them lies inside a patch of another.  A
shift in longitude goes round; shifted by half a patch of rows the patches of the first band lie astride the equator,
each beside its own mirror image, and those of the last one, at the poles, have half the rows.

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


Shift = tuple[int, int]  # rows, columns


@dataclass(frozen=True)
class Band:
    """The patches of one band of latitude, of both halves (0 the southern, 1 the northern) or, astride the equator, of
    one that is both.

    `entry` (half, patch, n) into channel * column; `sign` (half, n) by which a number is multiplied when it is taken;
    of a band astride the equator `turned` (n,), which number of a patch stands at the place of another in its mirror
    image, and `turned_sign` (n,).
    """

    entry: np.ndarray
    sign: np.ndarray
    turned: np.ndarray | None = None
    turned_sign: np.ndarray | None = None

    @property
    def n(self) -> int:
        """Numbers in a patch."""
        return self.entry.shape[-1]

    def folded(self, C: np.ndarray) -> np.ndarray:
        """A second moment (..., n, n) of patches as the mean of theirs and of their mirror images', where one of their
        own band is meant; as it is where the mirror image lies in the other half."""
        if self.turned is None or self.turned_sign is None:
            return C
        return 0.5 * (C + C[..., self.turned, :][..., self.turned] * np.outer(self.turned_sign, self.turned_sign))


def shifts(patch: tuple[int, int], overlap: bool) -> tuple[Shift, ...]:
    """Of each patch grid how far it is shifted; ValueError where half a patch is no whole rows and columns."""
    rows, columns = patch
    if not overlap:
        return ((0, 0),)
    if rows % 2 or columns % 2:
        raise ValueError(f"overlap = true shifts patches by half of their rows and columns: expected both even, got "
                         f"patches of {rows} rows and {columns} columns")
    return tuple((south, east) for south in (0, rows // 2) for east in (0, columns // 2))


def cut(space: StateSpace, patch: tuple[int, int], shift: Shift = (0, 0)) -> tuple[Band, ...]:
    """Bands from the equator to the pole, of patches of so many (rows, columns), shifted by none or half of them;
    ValueError where they do not fit."""
    rows, columns = patch
    refuse(space.grid, patch)
    nlat, nlon = space.grid.shape
    number = np.arange(len(space.channels) * nlat * nlon).reshape(space.shape)
    number = np.roll(number, -shift[1], axis=-1)
    south, north = nlat // 2 - shift[0], nlat // 2 + shift[0]
    halves = np.stack([number[:, :south][:, ::-1], number[:, north:]])  # (half, channel, row, col)
    bands = [_band(halves[:, :, first : first + rows], columns, mirror_sign(space)) for first in range(0, south, rows)]
    return (*([_astride(number[:, south:north], columns, mirror_sign(space))] if shift[0] else []), *bands)


def _band(halves: np.ndarray, columns: int, mirror: np.ndarray) -> Band:
    """Of the numbers (half, channel, row, col) of one band."""
    sign = np.repeat(mirror, halves.shape[2] * columns)
    return Band(_patches(halves, columns), np.stack([sign, np.ones_like(sign)]))


def _astride(number: np.ndarray, columns: int, mirror: np.ndarray) -> Band:
    """Of the numbers (channel, row, col) of the rows on both sides of the equator."""
    channels, rows, _ = number.shape
    place = np.arange(channels * rows * columns).reshape(channels, rows, columns)
    return Band(_patches(number[None], columns), np.ones((1, place.size)), place[:, ::-1].reshape(-1),
                np.repeat(mirror, rows * columns))


def _patches(number: np.ndarray, columns: int) -> np.ndarray:
    """(half, channel, row, col) -> (half, patch, n)."""
    half, channels, rows, nlon = number.shape
    along = number.reshape(half, channels, rows, nlon // columns, columns)
    return along.transpose(0, 3, 1, 2, 4).reshape(half, nlon // columns, -1)


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
