"""A latitude-longitude grid: a frozen value, checked once, equal by content.

Columns are numbered row by row from the south: column = row * nlon + col.  Interpolation is bilinear in
latitude and longitude and wraps in longitude.  Beyond the last row of a grid without pole points the
neighbours are taken across the pole: the row there is seen again at longitude + 180°, where the components of
a vector change sign.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from contracts import gaussian

SAME_DEGREES = 1e-4  # 360 in float32 is known to 3e-5


@dataclass(frozen=True)
class Stencil:
    """Four neighbours of each point: `column` (n, 4) int, `weight` (n, 4); `turned` (n, 4) marks neighbours
    reached across a pole, where wind components change sign."""

    column: np.ndarray
    weight: np.ndarray
    turned: np.ndarray

    def at(self, points: np.ndarray) -> "Stencil":
        """The stencil of some of its points, by mask or index."""
        return Stencil(self.column[points], self.weight[points], self.turned[points])

    def scalar(self, fields: np.ndarray) -> np.ndarray:
        """Interpolate `fields` (..., column) to (..., n)."""
        return np.einsum("...np,np->...n", fields[..., self.column], self.weight)

    def vector(self, fields: np.ndarray) -> np.ndarray:
        """The same for the u or v component of a vector."""
        signed = np.where(self.turned, -self.weight, self.weight)
        return np.einsum("...np,np->...n", fields[..., self.column], signed)


@dataclass(frozen=True, eq=False)
class Grid:
    """`lat` (nlat,) ascending degrees north, `lon` (nlon,) ascending degrees east in [0, 360), all round the globe."""

    lat: np.ndarray
    lon: np.ndarray

    def __post_init__(self):
        for axis in ("lat", "lon"):
            values = np.array(getattr(self, axis), dtype=np.float64)
            if values.ndim != 1 or values.size < 2 or not np.isfinite(values).all():
                raise ValueError(f"{axis} must be a vector of at least two finite values, got {values}")
            if not (np.diff(values) > 0).all():
                raise ValueError(f"{axis} must ascend, got {values[0]} to {values[-1]}")
            values.setflags(write=False)
            object.__setattr__(self, axis, values)
        if abs(self.lat).max() > 90:
            raise ValueError(f"lat must lie within ±90, got {self.lat[0]} to {self.lat[-1]}")
        if self.lon[0] < 0 or self.lon[-1] >= 360:
            raise ValueError(f"lon must lie in [0, 360), got {self.lon[0]} to {self.lon[-1]}")
        gap = self.lon[0] + 360.0 - self.lon[-1]
        if gap > 1.5 * np.diff(self.lon).max():
            raise ValueError(f"lon must go all round the globe, got a gap of {gap:g} degrees from {self.lon[-1]:g}")

    @classmethod
    def regular(cls, nlat: int, nlon: int, poles: bool = False) -> "Grid":
        """Equal steps; cell centres (±87.1875 for 32 rows) or, with `poles`, rows at ±90 (721 rows: 0.25°)."""
        cell_centres = -90.0 + (np.arange(nlat) + 0.5) * (180.0 / nlat)
        lat = np.linspace(-90.0, 90.0, nlat) if poles else cell_centres
        return cls(lat, np.arange(nlon) * (360.0 / nlon))

    @classmethod
    def gaussian(cls, nlat: int, nlon: int) -> "Grid":
        """Rows at Gaussian latitudes (±85.76 for 32 rows), equal steps in longitude."""
        return cls(gaussian.rows(nlat)[0], np.arange(nlon) * (360.0 / nlon))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Grid):
            return NotImplemented
        return np.array_equal(self.lat, other.lat) and np.array_equal(self.lon, other.lon)

    def has_axes(self, lat: np.ndarray, lon: np.ndarray) -> bool:
        """Whether these are its rows and columns, to what is left of a degree in float32, as other tools write axes."""
        return all(np.shape(found) == own.shape and bool(np.allclose(found, own, rtol=0.0, atol=SAME_DEGREES))
                   for found, own in ((lat, self.lat), (lon, self.lon)))

    def is_same(self, other: "Grid") -> bool:
        """Whether another grid is this one, its axes to what is left of a degree in float32."""
        return self.has_axes(other.lat, other.lon)

    def __hash__(self) -> int:
        return hash((self.lat.tobytes(), self.lon.tobytes()))

    def __str__(self) -> str:
        return (f"{self.lat.size} x {self.lon.size} grid, lat {self.lat[0]:g} to {self.lat[-1]:g}, "
                f"lon {self.lon[0]:g} to {self.lon[-1]:g}")

    @property
    def shape(self) -> tuple[int, int]:
        """(nlat, nlon)"""
        return self.lat.size, self.lon.size

    @property
    def size(self) -> int:
        """Number of columns."""
        return self.lat.size * self.lon.size

    @cached_property
    def column_lat(self) -> np.ndarray:
        """(column,) degrees north"""
        return np.repeat(self.lat, self.lon.size)

    @cached_property
    def column_lon(self) -> np.ndarray:
        """(column,) degrees east"""
        return np.tile(self.lon, self.lat.size)

    @cached_property
    def area_weights(self) -> np.ndarray:
        """(nlat, nlon), mean 1: each row's share of the sphere.

        On Gaussian rows it is the weight of Gauss's quadrature, on others sin of its cell's upper minus lower edge.
        """
        edges = np.concatenate([[-90.0], (self.lat[1:] + self.lat[:-1]) / 2, [90.0]])
        rows = np.diff(np.sin(np.deg2rad(edges)))
        lat, weights = gaussian.rows(self.lat.size)
        if np.allclose(lat, self.lat, rtol=0.0, atol=SAME_DEGREES):
            rows = weights
        weights = np.repeat((rows / rows.mean())[:, None], self.lon.size, axis=1)
        weights.setflags(write=False)
        return weights

    def bilinear(self, lat: np.ndarray, lon: np.ndarray) -> Stencil:
        """The stencil of points at `lat`, `lon` (n,) degrees; raises ValueError where |lat| > 90 or not finite."""
        lat = np.atleast_1d(np.asarray(lat, dtype=np.float64))
        lon = np.atleast_1d(np.asarray(lon, dtype=np.float64))
        if not (np.isfinite(lon).all() and (np.abs(lat) <= 90).all()):
            raise ValueError("bilinear: latitudes must lie within ±90 and longitudes be finite")
        row, north_weight = self._rows_around(lat)  # (n, 2), (n,)
        turned_row = (row < 0) | (row >= self.lat.size)  # beyond the last row: across the pole
        row = np.clip(row, 0, self.lat.size - 1)

        here, across = self._cols_around(lon), None
        if turned_row.any():
            across = self._cols_around(lon + 180.0)
        column = np.empty((lat.size, 4), dtype=np.intp)
        weight = np.empty((lat.size, 4))
        turned = np.empty((lat.size, 4), dtype=bool)
        for side, row_weight in ((0, 1.0 - north_weight), (1, north_weight)):
            beyond = turned_row[:, side, None]
            col, col_weight = here if across is None else (np.where(beyond, far, near)
                                                           for near, far in zip(here, across, strict=True))
            pair = slice(2 * side, 2 * side + 2)
            column[:, pair] = row[:, side, None] * self.lon.size + col
            weight[:, pair] = row_weight[:, None] * col_weight
            turned[:, pair] = beyond
        return Stencil(column, weight, turned)

    def _rows_around(self, lat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows south and north of each latitude, (n, 2), -1 or nlat across a pole; weight of the northern one."""
        mirrored = np.concatenate([[-180.0 - self.lat[0]], self.lat, [180.0 - self.lat[-1]]])
        south = np.clip(np.searchsorted(self.lat, lat, side="right") - 1, -1, self.lat.size - 1)
        # A row exactly at the pole has no gap beyond it, and the last row needs no neighbour across.
        on_last = (south == self.lat.size - 1) & (lat == self.lat[-1])
        south = np.where(on_last, south - 1, south)
        below, above = mirrored[south + 1], mirrored[south + 2]
        return np.stack([south, south + 1], axis=1), (lat - below) / (above - below)

    def _cols_around(self, lon: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Columns west and east of each longitude, (n, 2), wrapping, and their weights (n, 2)."""
        lon = np.mod(lon, 360.0)
        wrapped = np.concatenate([self.lon, [self.lon[0] + 360.0]])
        lon = np.where(lon < self.lon[0], lon + 360.0, lon)
        west = np.clip(np.searchsorted(wrapped, lon, side="right") - 1, 0, self.lon.size - 1)
        east_weight = (lon - wrapped[west]) / (wrapped[west + 1] - wrapped[west])
        return (np.stack([west, (west + 1) % self.lon.size], axis=1),
                np.stack([1.0 - east_weight, east_weight], axis=1))
