"""H of a whole table against its definition, written down once more, slowly: one row, one member, plain numbers."""

import math

import numpy as np
import pytest

from contracts.constants import GAS_CONSTANT_DRY, GRAVITY, LAPSE_RATE, VIRTUAL_FACTOR
from contracts.variables import Flag, Quantity
from obsoperator import Forward
from tests import builders
from tests.obsoperator.case import LEVELS, SPACES, N, members, space, static, table

EXPONENT = GRAVITY / (GAS_CONSTANT_DRY * LAPSE_RATE)


def corners(grid, lat: float, lon: float) -> list[tuple[int, float, float]]:
    """(column, weight, sign of a wind there) of the four neighbours; beyond the last row across the pole."""
    step, first = grid.lat[1] - grid.lat[0], grid.lat[0]
    south = math.floor((lat - first) / step)
    north_share, found = (lat - first) / step - south, []
    for row, share in ((south, 1 - north_share), (south + 1, north_share)):
        beyond = not 0 <= row < grid.lat.size
        at = (lon + 180.0 if beyond else lon) / (grid.lon[1] - grid.lon[0])
        west, row = math.floor(at), min(max(row, 0), grid.lat.size - 1)
        for col, part in ((west, west + 1 - at), (west + 1, at - west)):
            found.append((row * grid.lon.size + col % grid.lon.size, share * part, -1.0 if beyond else 1.0))
    return found


def field_at(x, where, variable, obs) -> float:
    """A variable at an observation: bilinear, and on levels linear in ln p."""
    def horizontally(channel):
        wind = where.channels[channel].is_wind
        return sum(weight * (sign if wind else 1.0) * float(x[channel, column])
                   for column, weight, sign in corners(where.grid, obs["lat"], obs["lon"]))

    index = where.index(variable)
    if index.size == 1:
        return horizontally(index[0])
    upper = max(i for i in range(len(LEVELS) - 1) if LEVELS[i] <= obs["pressure"])
    share = math.log(obs["pressure"] / LEVELS[upper]) / math.log(LEVELS[upper + 1] / LEVELS[upper])
    return (1 - share) * horizontally(index[upper]) + share * horizontally(index[upper + 1])


def pressure_at(x, where, orography, obs, height: float) -> float:
    """Pressure at a height from each of the four columns with the standard lapse rate."""
    four = corners(where.grid, obs["lat"], obs["lon"])
    ground = sum(weight * orography[column] for column, weight, _ in four)
    standard = 101_325.0 * (1 - LAPSE_RATE * ground / 288.15) ** EXPONENT
    level = max([i for i, p in enumerate(LEVELS) if p < standard], default=0)
    total = 0.0
    for column, weight, _ in four:
        T = float(x[where.index("temperature")[level], column])
        if "specific_humidity" in where:
            T *= 1 + VIRTUAL_FACTOR * float(x[where.index("specific_humidity")[level], column])
        if "surface_pressure" in where:
            p, z = float(x[where.index("surface_pressure")[0], column]), orography[column]
            T *= (p / LEVELS[level]) ** (1 / EXPONENT)
        else:
            p, z = LEVELS[level], float(x[where.index("geopotential")[level], column]) / GRAVITY
        total += weight * p * (1 - LAPSE_RATE * (height - z) / T) ** EXPONENT
    return total


def slow(x, where, orography, obs) -> float:
    """H(x) of one row."""
    name = Quantity(obs["quantity"]).name
    if name == "surface_pressure":
        return pressure_at(x, where, orography, obs, obs["elevation"])
    if name == "geopotential_height":
        return field_at(x, where, "geopotential", obs) / GRAVITY
    if name == "virtual_temperature":
        T, q = (field_at(x, where, variable, obs) for variable in ("temperature", "specific_humidity"))
        return T * (1 + VIRTUAL_FACTOR * q)
    if name == "wind_speed":
        return math.hypot(*(field_at(x, where, f"{letter}_component_of_wind", obs) for letter in "uv"))
    if name == "relative_humidity":  # by the mole fraction of vapour
        T, q = (field_at(x, where, variable, obs) for variable in ("temperature", "specific_humidity"))
        fraction = q / (q + (1 - q) * 0.62198)
        return fraction * obs["pressure"] / (611.2 * math.exp(17.62 * (T - 273.15) / (243.12 + T - 273.15)))
    base = name.removesuffix("_2m").removesuffix("_10m")
    return field_at(x, where, name if base == name else name[len(base) + 1 :] + "_" + base, obs)


@pytest.mark.parametrize("name", SPACES)
def test_every_row_is_its_definition(name):
    where, observed = space(name), table()
    fields, X = static(where.grid), members(where)
    H = Forward.of(observed, where, fields, 300.0)
    hx, orography = H.apply(X), fields.orography.astype(float).reshape(-1)
    exists = np.isin(H.flag, (Flag.passed, Flag.height_difference))
    assert np.isnan(hx[:, ~exists]).all()
    assert np.unique(observed.quantity[exists]).size == SPACES[name][2]
    for i in np.flatnonzero(exists):
        obs = {key: float(getattr(observed, key)[i]) for key in ("lat", "lon", "pressure", "elevation")}
        obs["quantity"] = int(observed.quantity[i])
        expected = [slow(x, where, orography, obs) for x in X]
        np.testing.assert_allclose(hx[:, i], expected, rtol=1e-11, atol=1e-10, err_msg=str(obs))


@pytest.mark.parametrize("name", ["all", "dry without pressure"])
def test_the_ground_below_the_free_air_is_the_pressure_at_the_orography(name):
    where, observed = space(name), table()
    fields, X = static(where.grid), members(where)
    found, orography = Forward.of(observed, where, fields, 300.0).ground_pressure(X), fields.orography.astype(float)
    low = np.isfinite(found[0])
    assert not low[observed.at_surface].any() and low.sum() > N
    for i in np.flatnonzero(low):
        obs = {"lat": observed.lat[i], "lon": observed.lon[i]}
        ground = sum(weight * orography.reshape(-1)[column]
                     for column, weight, _ in corners(where.grid, obs["lat"], obs["lon"]))
        np.testing.assert_allclose(found[:, i], [pressure_at(x, where, orography.reshape(-1), obs, ground) for x in X],
                                   rtol=1e-11)


@pytest.mark.parametrize(("together", "at_once"), [(32, 16_384), (2, 14), (1, 3)])
def test_a_members_bits_do_not_depend_on_those_beside_it(monkeypatch, together, at_once):
    """However many members and rows the work is cut into."""
    where, observed = space(), table()
    X = members(where)
    H = Forward.of(observed, where, static(where.grid), 300.0)
    alone = [(H.apply(x), H.ground_pressure(x)) for x in X]
    monkeypatch.setattr("obsoperator.forward.TOGETHER", together)
    monkeypatch.setattr("obsoperator.part.AT_ONCE", at_once)
    for x, hx, ground in zip(alone, H.apply(X), H.ground_pressure(X), strict=True):
        np.testing.assert_array_equal((hx, ground), x)
    assert H.apply(X[:0]).shape == (0, len(observed))


@pytest.mark.parametrize("rows", [slice(7, 300, 3), np.random.default_rng(3).permutation(200),
                                  np.arange(N * len(Quantity)) % 5 == 0, np.empty(0, int)])
def test_h_of_some_rows_is_some_rows_of_h(rows):
    where, observed = space(), table()
    fields, X = static(where.grid), members(where)
    whole = Forward.of(observed, where, fields, 300.0)
    for part in (whole.select(rows), Forward.of(observed.select(rows), where, fields, 300.0)):
        assert np.array_equal(part.flag, whole.flag[rows])
        for found, of_all in ((part.apply, whole.apply), (part.ground_pressure, whole.ground_pressure)):
            assert np.array_equal(found(X), of_all(X)[:, rows], equal_nan=True)


def test_it_reads_the_channels_that_it_needs_and_no_other():
    where = space()
    observed = builders.observations(np.zeros(2), [Quantity.virtual_temperature, Quantity.u_component_of_wind_10m],
                                     pressure=60_000.0, lat=3.0, lon=4.0)
    H = Forward.of(observed, where, static(where.grid), 1e4)
    names = [where.channels[number].name for number in H.needs]
    assert names == ["temperature_500", "temperature_700", "specific_humidity_500", "specific_humidity_700",
                     "10m_u_component_of_wind"]
    x = members(where)[0].astype(float)
    for channel in range(len(where.channels)):
        changed = x.copy()
        changed[channel] *= 1.1
        assert np.array_equal(H.apply(changed), H.apply(x)) == (channel not in H.needs)
    assert Forward.of(observed.select(slice(0)), where, static(where.grid), 1e4).needs.size == 0
