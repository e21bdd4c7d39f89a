"""One operator per observed quantity, in a table.

Quantities of the free air are interpolated between pressure levels.  2 m and 10 m quantities are compared with
the model's 2 m and 10 m fields, interpolated between columns and nothing else: no lapse rate is invented for them.
Instead a station that stands too high or too low above the model's orography is flagged, as it is for surface pressure.
A quantity without a model field is flagged `no_model_field`.

An operator takes a `Site` (where n observations stand in the model) and gives a `Part`: a flag for each row, the
entries of a state that it needs and their formula.  A new quantity that is a field of the model needs none of its own;
another one is such a function and a row in OPERATORS.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, reduce

import numpy as np

from contracts.constants import GRAVITY, VIRTUAL_FACTOR
from contracts.grid import Stencil
from contracts.humidity import VAPOUR_PRESSURE_AT_FREEZING, exponent_at_saturation, vapour_pressure
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
_CALM = 1e-20  # m2 s-2: in a speed of 0 it is 1e-10 m/s, elsewhere less than rounding


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


@dataclass(frozen=True)
class WindSpeed(Formula):
    """√(u² + v²), both interpolated first: `u` and `v` (m, n) are their weights; where both are 0 its derivative is
    0."""

    u: np.ndarray
    v: np.ndarray

    def __call__(self, x):
        m = len(self.u)
        return (Weighted(self.u)(x[:m]) ** 2 + Weighted(self.v)(x[m:]) ** 2 + _CALM) ** 0.5


@dataclass(frozen=True)
class RelativeHumidity(Formula):
    """e / e_s(T) of q and T, both interpolated first, at the `pressure` (n,) of the observation, Pa; `humidity` (m, n)
    and `temperature` (m', n) are their weights.

        e = p q / (ε + (1 − ε) q)          e_s as in `contracts.humidity`, over water
    """

    humidity: np.ndarray
    temperature: np.ndarray
    pressure: np.ndarray

    def __call__(self, x):
        m = len(self.humidity)
        q, T = Weighted(self.humidity)(x[:m]), Weighted(self.temperature)(x[m:])
        return vapour_pressure(q, self.pressure) / (VAPOUR_PRESSURE_AT_FREEZING * math.e ** exponent_at_saturation(T))


def computed(quantity: Quantity, formula: Callable[..., Formula]) -> Operator:
    """The operator of a quantity that a `formula` makes, at a site, of the weights of all its fields on levels."""

    def operator(site: Site) -> Part:
        if any(name not in site.space for name in quantity.fields):
            return _without_field(site)
        between = [interpolation.bracket(site.space.levels(name), site.pressure) for name in quantity.fields]
        entry, maps = zip(*(interpolation.on_levels(site.space, name, site.stencil, of_it)
                            for name, of_it in zip(quantity.fields, between, strict=True)), strict=True)
        flag = reduce(lambda one, other: np.where(one == Flag.passed, other, one), [each.flag for each in between])
        return Part(site.rows, flag, np.concatenate(entry), formula(site, *(one.weight for one in maps)))

    return operator


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
    Quantity.virtual_temperature: computed(Quantity.virtual_temperature, lambda _, T, q: VirtualTemperature(T, q)),
    Quantity.wind_speed: computed(Quantity.wind_speed, lambda _, u, v: WindSpeed(u, v)),
    Quantity.relative_humidity: computed(Quantity.relative_humidity,
                                         lambda site, q, T: RelativeHumidity(q, T, site.pressure)),
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
