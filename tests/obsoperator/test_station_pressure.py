"""Surface pressure against the U.S. Standard Atmosphere (1976), coded here from its definition, and a real state."""

import eccodes
import numpy as np
import pytest

from contracts.grid import Grid
from contracts.state import StateSpace
from contracts.static import Static
from contracts.variables import Quantity
from obsoperator import Forward
from tests import builders

R, G, LAPSE, P0, T0 = 8314.32 / 28.9644, 9.80665, 0.0065, 101_325.0, 288.15
LEVELS = (5_000.0, 25_000.0, 50_000.0, 60_000.0, 70_000.0, 85_000.0, 92_500.0)
GRID = Grid.regular(16, 32)


def standard_pressure(z):
    return P0 * (1 - LAPSE * z / T0) ** (G / (R * LAPSE))


def standard_height(p):
    """Below the tropopause at 11 km; isothermal above."""
    tropopause = standard_pressure(11_000.0)
    aloft = 11_000.0 + R * (T0 - LAPSE * 11_000.0) / G * np.log(tropopause / np.minimum(p, tropopause))
    return np.where(p > tropopause, T0 / LAPSE * (1 - (p / P0) ** (R * LAPSE / G)), aloft)


def terrain(height):
    """Mountains up to `height` metres next to sea."""
    bumps = np.sin(np.deg2rad(3 * GRID.column_lon)) * np.cos(np.deg2rad(2 * GRID.column_lat))
    return height * np.maximum(bumps, 0.0).reshape(GRID.shape)


def standard_state(orography, own_pressure):
    """Space and dry standard atmosphere (channel, column), float32 as in files."""
    surface = ("surface_pressure",) if own_pressure else ()
    space = StateSpace.of(GRID, LEVELS, ("geopotential", "temperature"), surface)
    height = standard_height(np.array(LEVELS))[:, None] * np.ones(GRID.size)
    temperature = np.maximum(T0 - LAPSE * height, T0 - LAPSE * 11_000.0)
    parts = [G * height, temperature] + [standard_pressure(orography.reshape(1, -1))] * own_pressure
    return space, np.concatenate(parts).astype(np.float32)


@pytest.mark.parametrize("own_pressure", [True, False])
@pytest.mark.parametrize(("height", "limit"), [(0.0, 30.0), (3000.0, 100.0)])
def test_surface_pressure_of_the_standard_atmosphere(own_pressure, height, limit):
    rng = np.random.default_rng(1)
    n = 400
    lat, lon = np.rad2deg(np.arcsin(rng.uniform(-1, 1, n))), rng.uniform(0, 360, n)
    orography = terrain(height)
    space, x = standard_state(orography, own_pressure)
    elevation = GRID.bilinear(lat, lon).scalar(orography.reshape(-1)) + rng.uniform(-300, 300, n) * (height > 0)
    table = builders.observations(standard_pressure(elevation), quantity=Quantity.surface_pressure, lat=lat, lon=lon,
                                  elevation=elevation)

    error = Forward.of(table, space, Static(GRID, orography, orography), 1e4).apply(x) - table.value

    assert np.abs(error).max() < limit
    assert elevation.max() >= 0.9 * height


def test_moist_air_counts_by_its_virtual_temperature():
    """Moist air whose virtual temperature is the standard atmosphere's has the standard atmosphere's pressure."""
    dry, x = standard_state(terrain(0.0), False)
    moist = StateSpace.of(GRID, LEVELS, ("geopotential", "temperature", "specific_humidity"), ())
    q = np.full((len(LEVELS), GRID.size), 0.02)
    height, temperature = x[dry.index("geopotential")], x[dry.index("temperature")]
    x = np.concatenate([height, temperature / (1 + (1 / 0.62198 - 1) * q), q])
    table = builders.observations([P0], quantity=Quantity.surface_pressure, lat=12.0, lon=34.0)
    static = Static(GRID, terrain(0.0), terrain(0.0))
    np.testing.assert_allclose(Forward.of(table, moist, static, 1.0).apply(x), P0, atol=1.0)


def test_the_models_ground_itself_gets_the_models_own_pressure():
    space, x = standard_state(terrain(3000.0), True)
    x[-1] += np.random.default_rng(2).normal(0, 500, GRID.size)  # weather
    static = Static(GRID, terrain(3000.0), terrain(0.0))
    table = builders.observations(np.zeros(GRID.size), quantity=Quantity.surface_pressure, lat=GRID.column_lat,
                                  lon=GRID.column_lon, elevation=static.orography.reshape(-1))
    np.testing.assert_allclose(Forward.of(table, space, static, 1.0).apply(x), x[-1], rtol=1e-6)


def real_fields(path):
    """GRIB fields by (short name, level type, level), rows from the south."""
    eccodes.codes_grib_multi_support_on()
    fields = {}
    with path.open("rb") as file:
        while (message := eccodes.codes_grib_new_from_file(file)) is not None:
            key = tuple(eccodes.codes_get(message, name) for name in ("shortName", "typeOfLevel", "level"))
            if key[0] in ("t", "gh", "sp", "orog"):
                shape = (eccodes.codes_get(message, "Nj"), eccodes.codes_get(message, "Ni"))
                fields[key] = eccodes.codes_get_values(message).reshape(shape)[::-1]
            eccodes.codes_release(message)
    return fields


def test_hypsometric_pressure_of_a_real_state_is_near_the_models_own(samples):
    """GFS 2011-01-15 12Z on seven levels: the derived pressure against the one that the model carries."""
    fields = real_fields(samples / "states" / "gfs_2011011512_2p5deg.grib2")
    orography, truth = fields["orog", "surface", 0], fields["sp", "surface", 0].reshape(-1)
    grid = Grid.regular(*orography.shape, poles=True)
    space = StateSpace.of(grid, LEVELS, ("geopotential", "temperature"), ())
    x = np.concatenate([[factor * fields[name, "isobaricInhPa", int(p / 100)].reshape(-1) for p in LEVELS]
                        for name, factor in (("gh", G), ("t", 1.0))])
    table = builders.observations(truth, quantity=Quantity.surface_pressure, lat=grid.column_lat, lon=grid.column_lon,
                                  elevation=orography.reshape(-1))
    error = Forward.of(table, space, Static(grid, orography, orography), 10.0).apply(x) - truth
    sea = orography.reshape(-1) < 10.0
    assert abs(error[sea].mean()) < 50.0 and abs(error[~sea].mean()) < 50.0  # Pa
    assert error.std() < 150.0
