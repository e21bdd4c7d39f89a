"""Whether the fields of an increment belong together, as those of an error of a forecast do.

    geostrophic   u_g = -1/(f a) dPhi/dphi,  v_g = 1/(f a cos phi) dPhi/dlambda            f = 2 Omega sin phi
    hydrostatic   Phi_1 - Phi_2 = R (T_1 + T_2)/2 ln(p_2 / p_1)      of layers between neighbouring levels, 1 above 2
    energy        1/2 (u^2 + v^2 + c_p/T_r T^2)                      at all levels alike, T_r = 280 K

(Holton & Hakim 2013, An Introduction to Dynamic Meteorology, sections 3.2, 1.4; the energy as in Ehrendorfer & Errico
1995, JAS 52, 3475, without surface pressure).  Two vectors a, b agree with the
correlation  <a, b> / sqrt(<a, a> <b, b>)  and the slope  <a, b> / <b, b>, without a mean taken out, weighted by area.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from contracts.constants import EARTH_RADIUS, EARTH_ROTATION, GAS_CONSTANT_DRY, HEAT_CAPACITY_DRY
from contracts.grid import Grid
from contracts.sphere import great_circle_km, unit_vectors
from contracts.state import StateSpace

NEAR_KM = 2500.0
TROPICS = 15.0  # degrees: nearer to the equator no wind is geostrophic
THICKEST = 0.5  # ln(p_2 / p_1): in thicker layers the mean of two temperatures is not that of the layer
REFERENCE_TEMPERATURE = 280.0  # K, of the energy
U, V, PHI, T = "u_component_of_wind", "v_component_of_wind", "geopotential", "temperature"

Pair = tuple[np.ndarray, np.ndarray, np.ndarray]  # a, b and weights


@dataclass(frozen=True)
class Agreement:
    """How two fields go together."""

    correlation: float
    slope: float

    @classmethod
    def of(cls, pairs: Iterable[Pair]) -> "Agreement":
        """Of all (a, b, weights) together."""
        ab, aa, bb = np.sum([[(w * a * b).sum(), (w * a * a).sum(), (w * b * b).sum()] for a, b, w in pairs], axis=0)
        return cls(float(ab / np.sqrt(aa * bb)), float(ab / bb))


def geostrophic(dx: np.ndarray, space: StateSpace, level: float, where: np.ndarray) -> Pair:
    """Wind, geostrophic wind and weights, (2, point) each, of `dx` (channel, lat, lon) at the `level` in Pa, at the
    points `where` (lat, lon)."""
    u, v, phi = (dx[index_of(space, name, level)] for name in (U, V, PHI))
    lat, lon = np.deg2rad(space.grid.lat)[:, None], np.deg2rad(space.grid.lon)
    rows = has_geostrophic_wind(space.grid)[:, None]
    f, cosine = np.where(rows, 2 * EARTH_ROTATION * np.sin(lat), np.inf), np.where(rows, np.cos(lat), np.inf)
    east = (np.roll(phi, -1, -1) - np.roll(phi, 1, -1)) / (2 * (lon[1] - lon[0]))
    north = np.gradient(phi, lat[:, 0], axis=0)
    balanced = np.stack([-north / (f * EARTH_RADIUS), east / (f * EARTH_RADIUS * cosine)])
    where = where & rows
    return np.stack([u, v])[:, where], balanced[:, where], space.grid.area_weights[where]


def has_geostrophic_wind(grid: Grid) -> np.ndarray:
    """(row,) which rows of the grid: none near the equator, nor a pole, where a wind has no direction."""
    return (np.abs(grid.lat) >= TROPICS) & (np.abs(grid.lat) < 90.0)


def hydrostatic(dx: np.ndarray, space: StateSpace, where: np.ndarray) -> Pair:
    """Thickness, that of the temperature and weights, (layer, point) each."""
    levels = np.array(sorted(set(space.levels(PHI)) & set(space.levels(T))))
    phi, temperature = (np.stack([dx[index_of(space, name, level)][where] for level in levels]) for name in (PHI, T))
    depth = np.log(levels[1:] / levels[:-1])[:, None]
    thin = depth[:, 0] <= THICKEST
    of_temperature = GAS_CONSTANT_DRY * 0.5 * (temperature[:-1] + temperature[1:]) * depth
    return (phi[:-1] - phi[1:])[thin], of_temperature[thin], space.grid.area_weights[where]


def energy(dx: np.ndarray, space: StateSpace) -> np.ndarray:
    """(lat, lon), weighted by area."""
    winds = sum((dx[space.index(name)] ** 2).sum(axis=0) for name in (U, V))
    heat = HEAT_CAPACITY_DRY / REFERENCE_TEMPERATURE * (dx[space.index(T)] ** 2).sum(axis=0)
    return 0.5 * (winds + heat) * space.grid.area_weights


def near(space: StateSpace, lat: float, lon: float, km: float = NEAR_KM) -> np.ndarray:
    """(lat, lon) whether a point is no farther than `km`."""
    return distance_km(space, lat, lon) <= km


def distance_km(space: StateSpace, lat: float, lon: float) -> np.ndarray:
    """(lat, lon)"""
    grid = space.grid
    points = unit_vectors(grid.column_lat, grid.column_lon)
    return great_circle_km(points, unit_vectors(lat, lon)).reshape(grid.shape)


def index_of(space: StateSpace, variable: str, level: float) -> int:
    """Which channel; ValueError where there is none."""
    for number in space.index(variable):
        if np.isclose(space.channels[number].pressure, level):
            return int(number)
    raise ValueError(f"[state] has no {variable} at {level / 100:g} hPa, whose balance is asked for")
