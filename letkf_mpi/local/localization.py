"""Localisation: which observations an analysis point sees, and how much of their precision.

    ρ = h(d_h / L_h) · h(d_v / L_v)
    gaussian        h(r) = exp(−r²/2)                        (Kotsuki et al. 2025, GMD 18, 7215, Eq. 4)
    gaspari_cohn    h(r) of `contracts.tapers`, which has the gaussian's curvature
    both are 0 from r = 2√(10/3) on

d_h is the great-circle distance (km), d_v = |ln p_obs − ln p|.  The cut-off follows from L, so nothing has to be
kept consistent by hand.  The neighbour search is exact over poles and date line, which are no special places for unit
vectors: points in order of latitude, of which a strip is multiplied with the centre.  A k-d tree takes as long for each
search and half a second to import.

Localisation between variables (Kang et al. 2011, JGR 116, D09110) names the observed quantities that may update a
variable; the others do not exist for it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from contracts.config import Positive, PositiveFloat, Section
from contracts.errors import unknown
from contracts.sphere import EARTH_RADIUS_KM, great_circle_km, unit_vectors
from contracts.tapers import CUTOFF, gaspari_cohn
from contracts.variables import VARIABLES, Quantity
from letkf_mpi.shares import ByShares, alone

_SAMPLE = 4096  # latitudes, at least, from which those of shares follow
_ROUNDING = 1e-12  # of cosines; the strip is searched this much further (9 m), the exact distance decides


def gaussian(r: np.ndarray) -> np.ndarray:
    """exp(−r²/2) inside the cut-off; `r` = distance / L, any shape."""
    return np.where(r < CUTOFF, np.exp(-0.5 * r * r), 0.0)


TAPERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"gaussian": gaussian, "gaspari_cohn": gaspari_cohn}



class Localization(Section, frozen=True):
    """[localization] Lengths and shape of the taper."""

    horizontal_km: PositiveFloat = 600.0  # L_h
    vertical_ln_p: PositiveFloat = 1.0  # L_v
    taper: Literal["gaussian", "gaspari_cohn"] = "gaussian"
    nearest: Positive | dict[str, Positive] | None = None  # at one point, see `selection`; None: all
    updated_by: dict[str, tuple[str, ...]] = {}  # variable -> quantities that may update it; all, where not named

    def __post_init__(self):
        for name in self.nearest if isinstance(self.nearest, dict) else ():
            if name not in Quantity.__members__ and not name.isupper():
                raise ValueError(f"nearest: {name!r} is no quantity, and message types such as ADPUPA are written in "
                                 f"capitals; quantities: {', '.join(Quantity.__members__)}")
        for variable, quantities in self.updated_by.items():
            if variable not in VARIABLES:
                raise ValueError(f"updated_by: {unknown('variable', variable, VARIABLES)}")
            for name in quantities:
                if name not in Quantity.__members__:
                    raise ValueError(f"updated_by: {variable}: {unknown('quantity', name, Quantity.__members__)}")

    @property
    def reach_km(self) -> float:
        """Distance from which on an observation is not seen."""
        return CUTOFF * self.horizontal_km

    def sees(self, variable: str, quantity: np.ndarray) -> np.ndarray:
        """Which observations, by their `quantity` (n,), may update `variable`."""
        if variable not in self.updated_by:
            return np.ones(quantity.shape, bool)
        return np.isin(quantity, [Quantity[name] for name in self.updated_by[variable]])

    def horizontal(self, distance_km: np.ndarray) -> np.ndarray:
        return TAPERS[self.taper](distance_km / self.horizontal_km)

    def vertical(self, pressure: np.ndarray, level: float) -> np.ndarray:
        """Taper between observations at `pressure` (n,) Pa and an analysis level in Pa."""
        return TAPERS[self.taper](np.abs(np.log(pressure / level)) / self.vertical_ln_p)


class Strips:
    """Unit vectors `points` (n, 3) in order of latitude, in which the neighbours of a place are a strip; each may stand
    for a `number` (n,) of others."""

    def __init__(self, points: np.ndarray, number: np.ndarray | None = None):
        self._order = np.argsort(points[:, 2], kind="stable")
        self._points = np.ascontiguousarray(points[self._order])
        self._z = self._points[:, 2].copy()
        self._number = None if number is None else number[self._order]

    def near(self, centre: np.ndarray, reach_km: float) -> np.ndarray:
        """Numbers, ascending, of all points within `reach_km` of `centre` (3,), and perhaps of some at the rim."""
        strip, close = self._close(centre, reach_km)
        return np.sort(self._order[strip][close])

    def count(self, centre: np.ndarray, reach_km: float) -> int:
        """How many they are, or stand for."""
        strip, close = self._close(centre, reach_km)
        return int(np.count_nonzero(close) if self._number is None else self._number[strip][close].sum())

    def _close(self, centre: np.ndarray, reach_km: float) -> tuple[slice, np.ndarray]:
        """A strip of the ordered points, and which of it are near."""
        reach, latitude = min(reach_km / EARTH_RADIUS_KM, np.pi), np.arcsin(min(max(centre[2], -1.0), 1.0))
        low, high = max(latitude - reach, -np.pi / 2), min(latitude + reach, np.pi / 2)
        first = self._z.searchsorted(np.sin(low) - _ROUNDING, "left")
        last = self._z.searchsorted(np.sin(high) + _ROUNDING, "right")
        return slice(first, last), self._points[first:last] @ centre >= np.cos(reach) - _ROUNDING


class Neighbours:
    """Points on the sphere, searched exactly."""

    def __init__(self, lat: np.ndarray, lon: np.ndarray):
        self._points = unit_vectors(lat, lon)
        self._strips = Strips(self._points)

    def within(self, lat: float, lon: float, reach_km: float) -> tuple[np.ndarray, np.ndarray]:
        """Indices, ascending, of the points nearer than `reach_km`, and their great-circle distances in km."""
        centre = unit_vectors(lat, lon)[0]
        index = self._strips.near(centre, reach_km)
        distance = great_circle_km(centre, self._points[index])
        inside = distance < reach_km
        return index[inside], distance[inside]


@dataclass(frozen=True)
class Sites:
    """Where observations stand: the distinct positions of a table, each with its rows.

    A sounding's hundred observations are one site, for which distance and horizontal taper are found once.  Sites are
    in order of position, so that their order among themselves does not depend on which others there are.
    """

    rows: np.ndarray  # (n,) of the table, site by site
    first_row: np.ndarray  # (site + 1,) where each site's begin in `rows`
    points: np.ndarray  # (site, 3)

    @classmethod
    def of(cls, lat: np.ndarray, lon: np.ndarray, by_shares: ByShares = alone) -> "Sites":
        """Of a table's positions (n,) in degrees; a share of them is what lies between two latitudes."""
        some = np.sort(lat[:: 1 + lat.size // _SAMPLE])

        def latitude(row: int) -> float:
            """South of which there are about so many rows."""
            return -np.inf if row == 0 else np.inf if row == lat.size else some[row * some.size // lat.size]

        def sort(part: slice) -> Sequence[np.ndarray]:
            rows = np.flatnonzero((latitude(part.start) <= lat) & (lat < latitude(part.stop)))
            position, site, count = np.unique(lat[rows] + 1j * lon[rows], return_inverse=True, return_counts=True)
            points = unit_vectors(position.real, position.imag)
            return rows[np.argsort(site.reshape(-1), kind="stable")], count, points.reshape(-1)

        rows, count, points = by_shares(lat.size, sort)
        return cls(rows, np.concatenate([[0], np.cumsum(count)]), points.reshape(-1, 3))

    @cached_property
    def _strips(self) -> Strips:
        return Strips(self.points, np.diff(self.first_row))

    def counts(self, lat: np.ndarray, lon: np.ndarray, reach_km: float) -> np.ndarray:
        """How many rows lie around each of many centres (to rounding at the rim); for estimates of work."""
        return np.array([self._strips.count(centre, reach_km) for centre in unit_vectors(lat, lon)], dtype=np.intp)

    def near(self, points: np.ndarray, reach_km: float) -> np.ndarray:
        """Sites, ascending, nearer than `reach_km` to some of `points` (n, 3), and some a little further away."""
        middle = points.mean(axis=0)
        length = float(np.sqrt(middle @ middle))
        centre = middle / length if length > 0.5 else points[0]  # points all round the globe have no middle
        radius = float(great_circle_km(centre, points).max())  # triangle inequality: none is missed
        return self._strips.near(centre, reach_km + radius)
