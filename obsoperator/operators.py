"""One operator per observed quantity, in a table.

Quantities of the free air are interpolated between pressure levels.  2 m and 10 m quantities are compared with
the model's 2 m and 10 m fields, interpolated between columns and nothing else: no lapse rate is invented for them.
Instead a station that stands too high or too low above the model's orography is flagged, as it is for surface pressure.
A quantity without a model field is flagged `no_model_field`.

An operator takes a `Site` (where n observations stand in the model) and gives a `Part`: a flag for each row, the
entries of a state that it needs and their formula.  A new quantity that is a field of the model needs none of its own;
another one is such a function and a row in OPERATORS.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from contracts.constants import GRAVITY, VIRTUAL_FACTOR
from contracts.grid import Stencil
from contracts.state import StateSpace
from contracts.variables import Flag, Quantity
from obsoperator import interpolation, station_pressure
from obsoperator.interpolation import Weighted
from obsoperator.part import Formula, Part


@dataclass(frozen=True)
class Site:
    """Where n observations stand, `rows` (n,) of a table: `pressure` (n,) Pa, `elevation` (n,) m; `orography` (column,)
    m."""

    rows: np.ndarray
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


Operator = Callable[[Site], Part]
_MOIST = ("temperature", "specific_humidity")


def on_levels(variable: str, factor: float = 1.0) -> Operator:
    """The operator of a variable on pressure levels, times `factor`."""

    def operator(site: Site) -> Part:
        if variable not in site.space:
            return _without_field(site)
        between = interpolation.bracket(site.space.levels(variable), site.pressure)
        entry, formula = interpolation.on_levels(site.space, variable, site.stencil, between, factor)
        return Part(site.rows, between.flag, entry, formula)

    return operator


@dataclass(frozen=True)
class VirtualTemperature(Formula):
    """Tv = T (1 + 0.608 q), both interpolated first: `temperature` (m, n) and `humidity` (m', n) are their weights."""

    temperature: np.ndarray
    humidity: np.ndarray

    def __call__(self, x):
        m = len(self.temperature)
        T, q = Weighted(self.temperature)(x[:m]), Weighted(self.humidity)(x[m:])
        return T * (1.0 + VIRTUAL_FACTOR * q)


def virtual_temperature(site: Site) -> Part:
    """Virtual temperature on pressure levels."""
    if any(name not in site.space for name in _MOIST):
        return _without_field(site)
    between = [interpolation.bracket(site.space.levels(name), site.pressure) for name in _MOIST]
    (T_entry, T), (q_entry, q) = (interpolation.on_levels(site.space, name, site.stencil, of_it)
                                  for name, of_it in zip(_MOIST, between, strict=True))
    return Part(site.rows, between[0].flag, np.concatenate([T_entry, q_entry]), VirtualTemperature(T.weight, q.weight))


def at_surface(variable: str) -> Operator:
    """The operator of a field near the ground."""

    def operator(site: Site) -> Part:
        if variable not in site.space:
            return _without_field(site)
        return Part(site.rows, site.height_flag, *interpolation.at_surface(site.space, variable, site.stencil))

    return operator


def surface_pressure(site: Site) -> Part:
    """Surface pressure brought from the model's orography to the station."""
    if not station_pressure.is_possible(site.space):
        return _without_field(site)
    flag = np.where(np.isfinite(site.elevation), site.height_flag, np.int8(Flag.missing_position))
    return Part(site.rows, flag, *station_pressure.at_height(site.space, site.stencil, site.orography, site.elevation))


def interpolated(quantity: Quantity) -> Operator:
    """The operator of a quantity that is a field of the model."""
    return at_surface(quantity.variable) if quantity.at_surface else on_levels(quantity.variable)


OPERATORS: dict[Quantity, Operator] = {quantity: interpolated(quantity) for quantity in Quantity} | {
    Quantity.virtual_temperature: virtual_temperature,
    Quantity.geopotential_height: on_levels("geopotential", 1.0 / GRAVITY),
    Quantity.surface_pressure: surface_pressure,
}


def ground(site: Site) -> Part:
    """Pressure of the model's ground."""
    flag = np.full(site.rows.size, Flag.passed, np.int8)
    return Part(site.rows, flag, *station_pressure.at_height(site.space, site.stencil, site.orography, site.ground))


def _without_field(site: Site) -> Part:
    """No row has an H(x): nothing is gathered."""
    nothing = np.empty((0, site.rows.size))
    return Part(site.rows, np.full(site.rows.size, Flag.no_model_field, np.int8), nothing.astype(np.intp),
                Weighted(nothing))
