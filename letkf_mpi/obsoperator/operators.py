"""One operator per observed quantity, in a table.

Quantities of the free air are interpolated between pressure levels.  2 m and 10 m quantities are compared with
the model's 2 m and 10 m fields, interpolated between columns and nothing else: no lapse rate is invented for them.
Instead a station that stands too high or too low above the model's orography is flagged, as it is for surface pressure.
A quantity without a model field is flagged `no_model_field`.

An operator takes a `Site` (where n observations stand in the model) and gives an `Equivalent`: a flag for
each row and a map from a member to values.  A new quantity is one such function and one row in OPERATORS.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from contracts import surface_pressure
from contracts.constants import GRAVITY, VIRTUAL_FACTOR
from contracts.grid import Stencil
from contracts.observations import Observations
from contracts.state import StateSpace
from contracts.static import Static
from contracts.variables import Flag, Quantity
from letkf_mpi.obsoperator import interpolation
from letkf_mpi.obsoperator.interpolation import Bracket

Evaluate = Callable[[np.ndarray], np.ndarray]  # x (channel, column) -> (n,)


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


Operator = Callable[[Site], Equivalent]


def on_levels(variable: str, factor: float = 1.0) -> Operator:
    """The operator of a variable on pressure levels, times `factor`."""

    def operator(site: Site) -> Equivalent:
        if variable not in site.space:
            return _without_field(site)
        between = _bracket(site, variable)
        matrix = factor * interpolation.on_levels(site.space, variable, site.stencil, between)
        return Equivalent(between.flag, lambda x: matrix @ x.reshape(-1))

    return operator


def virtual_temperature(site: Site) -> Equivalent:
    """Tv = T (1 + 0.608 q), both interpolated first."""
    temperature, humidity = (on_levels(name)(site) for name in ("temperature", "specific_humidity"))
    T, q = temperature.evaluate, humidity.evaluate
    if T is None or q is None:
        return _without_field(site)
    return Equivalent(temperature.flag, lambda x: T(x) * (1.0 + VIRTUAL_FACTOR * q(x)))


def at_surface(variable: str) -> Operator:
    """The operator of a field near the ground."""

    def operator(site: Site) -> Equivalent:
        if variable not in site.space:
            return _without_field(site)
        matrix = interpolation.at_surface(site.space, variable, site.stencil)
        return Equivalent(site.height_flag, lambda x: matrix @ x.reshape(-1))

    return operator


def station_pressure(site: Site) -> Equivalent:
    """Surface pressure brought from the model's orography to the station."""
    if not surface_pressure.is_possible(site.space):
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
    Quantity.surface_pressure: station_pressure,
    Quantity.temperature_2m: at_surface("2m_temperature"),
    Quantity.specific_humidity_2m: at_surface("2m_specific_humidity"),
    Quantity.u_component_of_wind_10m: at_surface("10m_u_component_of_wind"),
    Quantity.v_component_of_wind_10m: at_surface("10m_v_component_of_wind"),
}


def _pressure_at(site: Site, height: np.ndarray) -> Evaluate:
    return surface_pressure.PressureAtHeight(site.space, site.stencil, site.orography, height).evaluator()


def _bracket(site: Site, variable: str) -> Bracket:
    return interpolation.bracket(site.space.levels(variable), site.pressure)


def _without_field(site: Site) -> Equivalent:
    return Equivalent(site.flagged(Flag.no_model_field), None)


@dataclass(frozen=True)
class ObservationOperator:
    """H for a whole table: groups of rows with their operators; `flag` (nobs,) of each row."""

    nobs: int
    groups: tuple[tuple[np.ndarray, Equivalent], ...]
    free_air: tuple[np.ndarray, Evaluate | None]  # rows on levels, pressure of the model's ground below them

    @classmethod
    def of(cls, table: Observations, space: StateSpace, static: Static,
           max_height_difference: float) -> "ObservationOperator":  # fmt: skip
        """Everything that does not depend on the members; `max_height_difference` in m."""
        somewhere = np.isfinite(table.lon) & (np.abs(table.lat) <= 90)
        stencil = space.grid.bilinear(np.where(somewhere, table.lat, 0.0), np.where(somewhere, table.lon, 0.0))
        orography = static.orography.astype(np.float64).reshape(-1)

        def site(rows: np.ndarray) -> Site:
            elevation = table.elevation[rows].astype(np.float64)
            return Site(space, stencil.at(rows), orography, table.pressure[rows], elevation, max_height_difference)

        groups = []
        for quantity, operator in OPERATORS.items():
            rows = np.flatnonzero(somewhere & (table.quantity == quantity))
            if rows.size:
                groups.append((rows, operator(site(rows))))
        aloft = np.flatnonzero(somewhere & (table.quantity < Quantity.surface_pressure))
        ground = None
        if aloft.size and surface_pressure.is_possible(space):
            below = site(aloft)
            ground = _pressure_at(below, below.ground)
        return cls(len(table), tuple(groups), (aloft, ground))

    @cached_property
    def flag(self) -> np.ndarray:
        """(nobs,) `passed` where H(x) exists, else the reason."""
        flag = np.full(self.nobs, Flag.missing_position, dtype=np.int8)
        for rows, equivalent in self.groups:
            flag[rows] = equivalent.flag
        return flag

    def apply(self, x: np.ndarray) -> np.ndarray:
        """H(x) (nobs,) of one member `x` (channel, column); NaN where it does not exist.

        A station too far from the model's orography has an H(x); it is for departures, not for the analysis.
        """
        x = x.astype(np.float64)
        equivalents = np.full(self.nobs, np.nan)
        for rows, equivalent in self.groups:
            if equivalent.evaluate is not None:
                exists = np.isin(equivalent.flag, (Flag.passed, Flag.height_difference))
                equivalents[rows] = np.where(exists, equivalent.evaluate(x), np.nan)
        return equivalents

    def ground_pressure(self, x: np.ndarray) -> np.ndarray:
        """(nobs,) pressure of the model's ground, Pa, below rows of the free air; NaN elsewhere."""
        rows, evaluate = self.free_air
        pressure = np.full(self.nobs, np.nan)
        if evaluate is not None:
            pressure[rows] = evaluate(x.astype(np.float64))
        return pressure
