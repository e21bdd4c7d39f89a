"""One operator per observed quantity, in a table.

Quantities of the free air are interpolated between pressure levels.  2 m and 10 m quantities are compared with
the model's 2 m and 10 m fields, interpolated between columns and nothing else: no lapse rate is invented for them.
Instead a station that stands too high or too low above the model's orography is flagged, as it is for surface pressure.
A quantity without a model field is flagged `no_model_field`.

An operator takes a `Site` (where n observations stand in the model) and gives an `Equivalent`: a flag for
each row and a map from members to values.  A new quantity is one such function and one row in OPERATORS.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from contracts.constants import GRAVITY, VIRTUAL_FACTOR
from contracts.grid import Stencil
from contracts.observations import Observations
from contracts.state import StateSpace
from contracts.static import Static
from contracts.variables import VARIABLES, Flag, Quantity
from obsoperator import interpolation, station_pressure
from obsoperator.interpolation import Bracket

_LEAST_GROUND_PRESSURE = VARIABLES["surface_pressure"].valid_range[0]  # Pa; what stands above it is above the ground

Evaluate = Callable[[np.ndarray], np.ndarray]  # X (..., channel, column) -> (..., n)


@dataclass(frozen=True)
class Site:
    """Where n observations stand: `pressure` (n,) Pa, `elevation` (n,) m; `orography` (column,) m."""

    space: StateSpace
    stencil: Stencil
    orography: np.ndarray
    pressure: np.ndarray
    elevation: np.ndarray
    max_height_difference: float

    @cached_property
    def ground(self) -> np.ndarray:
        """(n,) height of the model's orography, m."""
        return self.stencil.scalar(self.orography)

    @cached_property
    def height_flag(self) -> np.ndarray:
        """`height_difference` where the station is known to stand too far from the model's orography."""
        too_far = np.abs(self.elevation - self.ground) > self.max_height_difference
        return np.where(too_far, Flag.height_difference, Flag.passed).astype(np.int8)

    @cached_property
    def flagged(self) -> Callable[[Flag], np.ndarray]:
        return partial(np.full, self.pressure.size, dtype=np.int8)


@dataclass(frozen=True)
class Equivalent:
    """H of some rows: `flag` (n,), `passed` where `evaluate` means something; the map, None where there is none."""

    flag: np.ndarray
    evaluate: Evaluate | None

    @cached_property
    def exists(self) -> np.ndarray:
        """(n,) bool: where there is an H(x), also one for departures only."""
        return (self.flag == Flag.passed) | (self.flag == Flag.height_difference)


Operator = Callable[[Site], Equivalent]


def on_levels(variable: str, factor: float = 1.0) -> Operator:
    """The operator of a variable on pressure levels, times `factor`."""

    def operator(site: Site) -> Equivalent:
        if variable not in site.space:
            return _without_field(site)
        between = _bracket(site, variable)
        return Equivalent(between.flag, interpolation.on_levels(site.space, variable, site.stencil, between, factor))

    return operator


def virtual_temperature(site: Site) -> Equivalent:
    """Tv = T (1 + 0.608 q), both interpolated first."""
    temperature, humidity = (on_levels(name)(site) for name in ("temperature", "specific_humidity"))
    T, q = temperature.evaluate, humidity.evaluate
    if T is None or q is None:
        return _without_field(site)
    return Equivalent(temperature.flag, lambda X: T(X) * (1.0 + VIRTUAL_FACTOR * q(X)))


def at_surface(variable: str) -> Operator:
    """The operator of a field near the ground."""

    def operator(site: Site) -> Equivalent:
        if variable not in site.space:
            return _without_field(site)
        return Equivalent(site.height_flag, interpolation.at_surface(site.space, variable, site.stencil))

    return operator


def surface_pressure(site: Site) -> Equivalent:
    """Surface pressure brought from the model's orography to the station."""
    if not station_pressure.is_possible(site.space):
        return _without_field(site)
    flag = np.where(np.isfinite(site.elevation), site.height_flag, np.int8(Flag.missing_position))
    return Equivalent(flag, _pressure_at(site, site.elevation))


OPERATORS: dict[Quantity, Operator] = {
    Quantity.u_component_of_wind: on_levels("u_component_of_wind"),
    Quantity.v_component_of_wind: on_levels("v_component_of_wind"),
    Quantity.temperature: on_levels("temperature"),
    Quantity.virtual_temperature: virtual_temperature,
    Quantity.specific_humidity: on_levels("specific_humidity"),
    Quantity.geopotential_height: on_levels("geopotential", 1.0 / GRAVITY),
    Quantity.surface_pressure: surface_pressure,
    Quantity.temperature_2m: at_surface("2m_temperature"),
    Quantity.specific_humidity_2m: at_surface("2m_specific_humidity"),
    Quantity.u_component_of_wind_10m: at_surface("10m_u_component_of_wind"),
    Quantity.v_component_of_wind_10m: at_surface("10m_v_component_of_wind"),
}


def _pressure_at(site: Site, height: np.ndarray) -> Evaluate:
    """Pressure at `height` (n,) m, member by member: a member's numbers then stay in the cache."""
    evaluate = station_pressure.PressureAtHeight(site.space, site.stencil, site.orography, height).evaluator()

    def of_each(X: np.ndarray) -> np.ndarray:
        pressure = np.empty((*X.shape[:-2], height.size))
        for member in np.ndindex(X.shape[:-2]):
            pressure[member] = evaluate(X[member])
        return pressure

    return of_each


def _bracket(site: Site, variable: str) -> Bracket:
    return interpolation.bracket(site.space.levels(variable), site.pressure)


def _without_field(site: Site) -> Equivalent:
    return Equivalent(site.flagged(Flag.no_model_field), None)


@dataclass(frozen=True)
class Ground:
    """The model's ground below observations: its pressure at n places, and the number of each row's place, n where a
    row needs none."""

    evaluate: Evaluate
    place: np.ndarray  # (nobs,)

    def pressure(self, X: np.ndarray) -> np.ndarray:
        """(..., nobs) Pa"""
        at_places = self.evaluate(X)
        with_none = np.concatenate([at_places, np.full((*at_places.shape[:-1], 1), np.nan)], axis=-1)
        return with_none.take(self.place, axis=-1)


@dataclass(frozen=True)
class ObservationOperator:
    """H for a whole table: groups of rows with their operators; `flag` (nobs,) of each row."""

    nobs: int
    groups: tuple[tuple[np.ndarray, Equivalent], ...]
    ground: Ground | None  # None where the state cannot give it, or no row needs it

    @classmethod
    def of(cls, table: Observations, space: StateSpace, static: Static,
           max_height_difference: float) -> "ObservationOperator":
        """Everything that does not depend on the members; `max_height_difference` in m."""
        somewhere = np.isfinite(table.lon) & (np.abs(table.lat) <= 90)
        lat, lon = (np.where(somewhere, axis, 0.0) for axis in (table.lat, table.lon))
        first, place = _places(lat, lon)
        stencil = space.grid.bilinear(lat[first], lon[first])
        orography = static.orography.astype(np.float64).reshape(-1)

        def site(rows: np.ndarray) -> Site:
            elevation = table.elevation[rows].astype(np.float64)
            return Site(space, stencil.at(place[rows]), orography, table.pressure[rows], elevation,
                        max_height_difference)

        groups = []
        for quantity, operator in OPERATORS.items():
            rows = np.flatnonzero(somewhere & (table.quantity == quantity))
            if rows.size:
                groups.append((rows, operator(site(rows))))
        low = somewhere & (table.quantity < Quantity.surface_pressure) & (table.pressure >= _LEAST_GROUND_PRESSURE)
        ground = None
        if low.any() and station_pressure.is_possible(space):
            has = np.zeros(first.size, bool)
            has[place[low]] = True
            below = site(first[has])
            numbers = np.where(low, (np.cumsum(has) - 1)[place], below.pressure.size)
            ground = Ground(_pressure_at(below, below.ground), numbers)
        return cls(len(table), tuple(groups), ground)

    @cached_property
    def flag(self) -> np.ndarray:
        """(nobs,) `passed` where H(x) exists, else the reason."""
        flag = np.full(self.nobs, Flag.missing_position, dtype=np.int8)
        for rows, equivalent in self.groups:
            flag[rows] = equivalent.flag
        return flag

    def apply(self, X: np.ndarray) -> np.ndarray:
        """H(x) (..., nobs) of members `X` (..., channel, column); NaN where it does not exist.

        A station too far from the model's orography has an H(x); it is for departures, not for the analysis.
        """
        equivalents = np.full((*X.shape[:-2], self.nobs), np.nan)
        for rows, equivalent in self.groups:
            if equivalent.evaluate is not None:
                equivalents[..., rows] = np.where(equivalent.exists, equivalent.evaluate(X), np.nan)
        return equivalents

    def ground_pressure(self, X: np.ndarray) -> np.ndarray:
        """(..., nobs) pressure of the model's ground, Pa, below rows of the free air that might lie below it; NaN
        elsewhere."""
        return np.full((*X.shape[:-2], self.nobs), np.nan) if self.ground is None else self.ground.pressure(X)


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

