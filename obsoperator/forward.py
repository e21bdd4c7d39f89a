"""H of a whole table of observations: parts, one for each quantity, and the model's ground below the free air."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

import numpy as np

from contracts.observations import Observations
from contracts.state import StateSpace
from contracts.static import Static
from contracts.variables import VARIABLES, Flag
from obsoperator import operators, station_pressure
from obsoperator.operators import OPERATORS, Site
from obsoperator.part import Part, Rows

TOGETHER = 32  # members of which a copy is made at once
_LEAST_GROUND_PRESSURE = VARIABLES["surface_pressure"].valid_range[0]  # Pa; what stands above it is above the ground


@dataclass(frozen=True)
class Ground:
    """The model's ground below observations: its pressure at n places, and the number of each row's place, n where a
    row needs none."""

    at_places: Part
    place: np.ndarray  # (nobs,)

    def pressure(self, X: np.ndarray) -> np.ndarray:
        """(..., nobs) Pa"""
        return _evaluated((self.at_places,), self.at_places.rows.size + 1, X).take(self.place, axis=-1)


@dataclass(frozen=True)
class Forward:
    """H of the rows of a table: their `flag` (nobs,), `passed` where H(x) exists, else the reason, and the `parts` that
    have an H(x), of states with `columns`."""

    columns: int
    flag: np.ndarray
    parts: tuple[Part, ...]
    ground: Ground | None = None  # None where the state cannot give it, or no row needs it

    @classmethod
    def of(cls, table: Observations, space: StateSpace, static: Static, max_height_difference: float) -> "Forward":
        """Everything that does not depend on the members; `max_height_difference` in m."""
        somewhere = np.isfinite(table.lon) & (np.abs(table.lat) <= 90)
        lat, lon = (np.where(somewhere, axis, 0.0) for axis in (table.lat, table.lon))
        first, place = _places(lat, lon)
        stencil = space.grid.bilinear(lat[first], lon[first])
        orography = static.orography.astype(np.float64).reshape(-1)

        def site(rows: np.ndarray) -> Site:
            return Site(rows, space, stencil.at(place[rows]), orography, table.pressure[rows],
                        table.elevation[rows].astype(np.float64), max_height_difference)

        flag, parts = np.full(len(table), Flag.missing_position, np.int8), []
        for quantity, operator in OPERATORS.items():
            rows = np.flatnonzero(somewhere & (table.quantity == quantity))
            if rows.size:
                part = operator(site(rows))
                flag[rows] = part.flag
                parts.append(part.existing())
        low = somewhere & ~table.at_surface & (table.pressure >= _LEAST_GROUND_PRESSURE)
        ground = None
        if low.any() and station_pressure.is_possible(space):
            has = np.zeros(first.size, bool)
            has[place[low]] = True
            below, places = operators.ground(site(first[has])), np.count_nonzero(has)
            ground = Ground(replace(below, rows=np.arange(places)), np.where(low, (np.cumsum(has) - 1)[place], places))
        return cls(space.grid.size, flag, tuple(part for part in parts if part.rows.size), ground)

    @cached_property
    def needs(self) -> np.ndarray:
        """Numbers of the channels that `apply` reads, ascending."""
        return np.unique(np.concatenate([np.empty(0, np.intp),
                                         *(np.unique(part.entry // self.columns) for part in self.parts)]))

    def select(self, rows: Rows) -> "Forward":
        """H of some rows of the table, by mask, index or slice; each row at most once."""
        chosen = np.arange(self.flag.size)[rows]
        number = np.full(self.flag.size, -1)
        number[chosen] = np.arange(chosen.size)
        parts = [replace(part, rows=number[part.rows]) for part in self.parts]
        kept = [part.select(part.rows >= 0) for part in parts if (part.rows >= 0).any()]
        ground = None if self.ground is None else replace(self.ground, place=self.ground.place[chosen])
        return Forward(self.columns, self.flag[chosen], tuple(kept), ground)

    def gathered(self, size: int) -> tuple[np.ndarray, "Forward"]:
        """Which numbers of a state of `size` numbers this H reads, channel * column, ascending; and H of states that
        hold those only, one after the other as if on one level: (..., 1, entry)."""
        ground = () if self.ground is None else (self.ground.at_places,)
        entries, numbers = _distinct([part.entry for part in (*self.parts, *ground)], size)
        parts = [replace(part, entry=entry) for part, entry in zip((*self.parts, *ground), numbers, strict=True)]
        below = None if self.ground is None else replace(self.ground, at_places=parts.pop())
        return entries, Forward(entries.size, self.flag, tuple(parts), below)

    def apply(self, X: np.ndarray) -> np.ndarray:
        """H(x) (..., nobs) of members `X` (..., channel, column); NaN where it does not exist.

        A station too far from the model's orography has an H(x); it is for departures, not for the analysis.
        """
        return _evaluated(self.parts, self.flag.size, X)

    def ground_pressure(self, X: np.ndarray) -> np.ndarray:
        """(..., nobs) pressure of the model's ground, Pa, below rows of the free air that might lie below it; NaN
        elsewhere."""
        return np.full((*X.shape[:-2], self.flag.size), np.nan) if self.ground is None else self.ground.pressure(X)


def _evaluated(parts: Sequence[Part], nobs: int, X: np.ndarray) -> np.ndarray:
    """(..., nobs) numbers of the rows of `parts`, NaN elsewhere, of members `X` (..., channel, column).

    Some members at a time are laid side by side: a row then gathers each of its entries of all of them in one piece.
    """
    members = X.reshape(prod(X.shape[:-2]), X.shape[-2] * X.shape[-1])
    found = np.full((len(members), nobs), np.nan)
    for first in range(0, len(members), TOGETHER):
        here = slice(first, first + TOGETHER)
        states = np.ascontiguousarray(members[here].T)
        for part in parts:
            found[here, part.rows] = part.apply(states).T
    return found.reshape(*X.shape[:-2], nobs)


def _distinct(entries: Sequence[np.ndarray], size: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """The distinct ones of whole numbers below `size`, ascending, and the place of each among them."""
    if sum(entry.size for entry in entries) < size // 16:  # sorting few is less than a mark for each number there is
        found = np.unique(np.concatenate([np.empty(0, np.intp), *(entry.reshape(-1) for entry in entries)]))
        return found, [np.searchsorted(found, entry) for entry in entries]
    marked = np.zeros(size, bool)
    for entry in entries:
        marked[entry] = True
    place = np.cumsum(marked) - 1
    return np.flatnonzero(marked), [place[entry] for entry in entries]


def _places(lat: np.ndarray, lon: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A row for each distinct place, and the number of each row's place (n,).

    A sounding has a hundred rows at one place, and what depends on the place alone is made once.
    """
    order = np.argsort(1e3 * lat + lon)  # brings the same places together; where it does not, one is made twice
    lat, lon = lat[order], lon[order]
    new = np.ones(order.size, bool)
    new[1:] = (lat[1:] != lat[:-1]) | (lon[1:] != lon[:-1])
    place = np.empty(order.size, np.intp)
    place[order] = np.cumsum(new) - 1
    return order[new], place
