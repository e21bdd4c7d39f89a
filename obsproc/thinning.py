"""Fewer observations where they crowd: density thinning here, means of neighbours in `superob`.

An analysis takes observation errors as independent, and a coarse model cannot fit what lies within one of its cells.
So of each quantity at most `limit` observations stay within a distance ρ_h of one another in each layer:

    layer l holds the observations with |ln p − ln p_l| ≤ ρ_v; each belongs to its nearest layer in any case
    n_l(i) = number of kept observations j in l with great-circle distance d(i, j) ≤ ρ_h, i itself included
    n_l(i) ≤ limit          for every kept i and every layer l that it touches

Surface quantities have one layer. The search is greedy: candidates come in the order of their worth, and one that would
overfill any layer it touches, around itself or around a kept neighbour, is skipped; the loop goes on. Worth: quality
mark, nearness to a layer in ln p, nearness to the cycle's time, error, then report type, station, place, pressure and
time, so that the order of the rows decides only between rows equal in all of that. Both wind components come in the
same order and so share their fate.

Withheld and rejected observations neither fill a layer nor are thinned. Thinned rows stay, with their flag.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from contracts import sphere, times
from contracts.constants import EARTH_RADIUS
from contracts.observations import Observations, Source
from contracts.variables import Flag, Quantity
from obsproc import soundings, superob
from obsproc.config import Settings, Thinning
from obsproc.quality import reject

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

KILOMETRE = 1000.0  # m


def apply(table: Observations, source: Source, settings: Settings) -> Observations:
    """The table thinned as [thinning] says."""
    chosen = settings.thinning
    if chosen.sounding_levels:
        table = soundings.thin(table, chosen.sounding_levels)
    if chosen.method == "density":
        return density(table, source, chosen, np.array(chosen.layers(settings.state)))
    if chosen.method == "superob":
        return superob.form(table, source, chosen)
    return table


def density(table: Observations, source: Source, chosen: Thinning, layers: np.ndarray) -> Observations:
    """Flag what is too dense; `layers` (nlayer,) pressures in Pa, ascending."""
    candidate = superob.offered(table, chosen.message_types)
    places = _Places.of(table, chosen.horizontal_km * KILOMETRE)
    slot = source.slot(table.time) if chosen.each_slot else np.zeros(len(table), int)
    thinned = np.zeros(len(table), dtype=bool)
    for quantity, when in np.unique(np.stack([table.quantity, slot], axis=1)[candidate], axis=0):
        rows = np.flatnonzero(candidate & (table.quantity == quantity) & (slot == when))
        pressure = None if Quantity(int(quantity)).at_surface else table.pressure[rows]
        touched = touches(pressure, len(rows), layers, chosen.vertical_ln_p)
        order = _by_worth(table.select(rows), touched.nearness, source)
        thinned[rows] = ~_keep(places, rows, touched, order, chosen.limit)
    return reject(table, thinned, Flag.thinned)


@dataclass(frozen=True)
class Touches:
    """The layers `first` to `last` (nobs,), both included, that observations touch; `nearness` to one in ln p."""

    first: np.ndarray
    last: np.ndarray
    nearness: np.ndarray
    layers: int


def touches(pressure: np.ndarray | None, nobs: int, layers: np.ndarray, reach: float) -> Touches:
    """Layers of `nobs` observations at `pressure` (Pa), None at the surface; `layers` Pa ascending, `reach` in ln p."""
    if pressure is None:
        zero = np.zeros(nobs, int)
        return Touches(zero, zero, np.zeros(nobs), 1)
    height, centre = np.log(pressure), np.log(layers)
    nearest = np.searchsorted((centre[1:] + centre[:-1]) / 2, height)
    first = np.minimum(np.searchsorted(centre, height - reach, side="left"), nearest)
    last = np.maximum(np.searchsorted(centre, height + reach, side="right") - 1, nearest)
    return Touches(first, last, np.abs(height - centre[nearest]), len(layers))


def _by_worth(table: Observations, nearness: np.ndarray, source: Source) -> np.ndarray:
    """Rows from the most to the least wanted."""
    from_cycle = np.abs(table.time - times.to_seconds(source.time))
    return np.lexsort((table.time, table.pressure, table.lon, table.lat, table.station, table.type, table.error,
                       from_cycle, nearness, table.quality))


@dataclass(frozen=True)
class _Places:
    """Distinct positions: `place` (nobs,) of each row; neighbours within a distance, looked up once and kept."""

    place: np.ndarray
    tree: "cKDTree"
    reach: float  # chord on the unit sphere
    known: dict[int, np.ndarray] = field(default_factory=dict)

    @classmethod
    def of(cls, table: Observations, distance: float) -> "_Places":
        """`distance` in m along the great circle."""
        from scipy.spatial import cKDTree  # here, because it takes half a second that a stage without thinning saves

        position = np.where(np.isfinite(table.lat + table.lon), np.stack([table.lat, table.lon]), 0.0)
        distinct, place = np.unique(position[0] + 1j * position[1], return_inverse=True)
        half_angle = min(distance / (2.0 * EARTH_RADIUS), np.pi / 2)
        tree = cKDTree(sphere.unit_vectors(distinct.real, distinct.imag))
        return cls(place, tree, 2.0 * np.sin(half_angle))

    def near(self, place: int) -> np.ndarray:
        """Places within the distance, itself included."""
        if place not in self.known:
            self.known[place] = np.array(self.tree.query_ball_point(self.tree.data[place], self.reach))
        return self.known[place]


def _keep(places: _Places, rows: np.ndarray, touched: Touches, order: np.ndarray, limit: int) -> np.ndarray:
    """Which of `rows` (n,) stay.

    `number` (place, layer) counts the kept ones within the distance; `shut` says where one more would overfill the
    layer, there or around a kept observation nearby that is full.
    """
    shape = (places.tree.n, touched.layers)
    number, shut, occupied = np.zeros(shape, np.int32), np.zeros(shape, bool), np.zeros(shape, bool)
    kept = np.zeros(len(rows), dtype=bool)
    place, first, end = places.place[rows].tolist(), touched.first.tolist(), (touched.last + 1).tolist()
    for i in order.tolist():
        here, layers = place[i], slice(first[i], end[i])
        if shut[here, layers].any():
            continue
        kept[i] = occupied[here, layers] = True
        near = places.near(here)
        number[near, layers] += 1
        full = number[near, layers] >= limit
        shut[near, layers] |= full
        for neighbour, layer in np.argwhere(full & occupied[near, layers]):
            shut[places.near(int(near[neighbour])), first[i] + layer] = True
    return kept
