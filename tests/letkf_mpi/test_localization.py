"""Localisation: exact neighbours anywhere on the sphere, tapers against their definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.sphere import EARTH_RADIUS_KM, unit_vectors
from letkf_mpi.local.localization import (
    CUTOFF,
    Localization,
    Neighbours,
    Sites,
    gaspari_cohn,
    gaussian,
)
from letkf_mpi.ranks.layouts import part_of

latitudes = st.floats(-90, 90) | st.sampled_from([-90.0, 90.0, 89.999, -89.999])
longitudes = st.floats(-180, 360) | st.sampled_from([0.0, 359.999, 180.0, -180.0, 360.0])
points = st.lists(st.tuples(latitudes, longitudes), min_size=1, max_size=40)


def arc_km(lat_a, lon_a, lat_b, lon_b):
    """Vincenty's form of the great-circle distance, well conditioned everywhere."""
    a, b, dl = np.deg2rad(lat_a), np.deg2rad(lat_b), np.deg2rad(lon_b - lon_a)
    across = np.hypot(np.cos(b) * np.sin(dl), np.cos(a) * np.sin(b) - np.sin(a) * np.cos(b) * np.cos(dl))
    return EARTH_RADIUS_KM * np.arctan2(across, np.sin(a) * np.sin(b) + np.cos(a) * np.cos(b) * np.cos(dl))


@given(points, latitudes, longitudes, st.floats(1, 25_000))
def test_neighbours_are_those_of_brute_force(where, lat, lon, reach):
    lats, lons = np.array(where).T
    true = arc_km(lat, lon, lats, lons)
    index, distance = Neighbours(lats, lons).within(lat, lon, reach)
    clear = np.abs(true - reach) > 1e-3  # a metre at the rim is rounding
    expected = np.flatnonzero(true < reach)
    assert np.array_equal(index[clear[index]], expected[clear[expected]])
    assert (np.diff(index) > 0).all()
    np.testing.assert_allclose(distance, true[index], atol=1e-3)  # near the antipode a chord is ill-conditioned


def test_neighbours_are_found_across_the_pole_and_the_date_line():
    near = Neighbours(np.array([89.0, 0.0, 0.0]), np.array([180.0, 359.5, 180.0]))
    assert near.within(89.0, 0.0, 300.0)[0].tolist() == [0]
    assert near.within(0.0, 0.5, 300.0)[0].tolist() == [1]
    assert near.within(0.0, -179.5, 300.0)[0].tolist() == [2]


def test_no_points_have_no_neighbours():
    index, distance = Neighbours(np.empty(0), np.empty(0)).within(10.0, 20.0, 1000.0)
    assert index.size == distance.size == 0


@given(points, st.lists(st.tuples(latitudes, longitudes), min_size=1, max_size=16), st.floats(1, 25_000))
def test_sites_near_a_tile_are_those_near_its_columns(where, columns, reach):
    """Anywhere on the sphere: none that some column sees is missed."""
    (lats, lons), (lat, lon) = np.array(where).T, np.array(columns).T
    sites = Sites.of(lats, lons)
    site = sites.near(unit_vectors(lat, lon), reach)
    row = sites.rows[sites.first_row[:-1]]  # the first of each site
    true = arc_km(lat, lon, lats[row][:, None], lons[row][:, None])
    assert set(np.flatnonzero((true < reach - 1e-3).any(axis=1))) <= set(site)
    assert (np.diff(site) > 0).all()


def test_a_site_has_all_rows_of_its_position_in_order():
    lat, lon = np.array([5.0, -3.0, 5.0, 5.0, -3.0]), np.array([10.0, 0.0, 10.0, 20.0, 0.0])
    sites = Sites.of(lat, lon)
    parts = [sites.rows[a:b].tolist() for a, b in zip(sites.first_row[:-1], sites.first_row[1:], strict=True)]
    assert parts == [[1, 4], [0, 2], [3]]


@given(st.lists(st.tuples(st.sampled_from([-90.0, -0.0, 0.0, 1.5, 80.0]), st.sampled_from([0.0, 90.0])), min_size=1),
       st.integers(1, 9))
def test_sites_made_by_shares_are_those_made_at_once(where, processes):
    lat, lon = np.array(where).T

    def by_shares(count, make):
        parts = [make(part_of(slice(0, count), process, processes)) for process in range(processes)]
        return [np.concatenate(arrays, axis=-1) for arrays in zip(*parts, strict=True)]

    found, expected = Sites.of(lat, lon, by_shares), Sites.of(lat, lon)
    for name in ("rows", "first_row", "points"):
        assert np.array_equal(getattr(found, name), getattr(expected, name)), name


def test_gaussian_is_equation_4():
    scale = Localization(horizontal_km=600.0, vertical_ln_p=0.5)
    d_h, p_obs, p = np.array([0.0, 300.0, 2190.0, 2191.0]), 70_000.0, 50_000.0
    rho = scale.horizontal(d_h) * scale.vertical(np.full(4, p_obs), p)
    d_v = np.log(p_obs / p)
    expected = np.exp(-0.5 * ((d_h / 600) ** 2 + (d_v / 0.5) ** 2)) * (d_h < 2 * np.sqrt(10 / 3) * 600)
    np.testing.assert_allclose(rho, expected, rtol=1e-13)
    assert rho[3] == 0 and rho[2] > 0


def slow_gaspari_cohn(r: float) -> float:
    z = r / np.sqrt(10 / 3)
    if z <= 1:
        return -(z**5) / 4 + z**4 / 2 + 5 * z**3 / 8 - 5 * z**2 / 3 + 1
    return z**5 / 12 - z**4 / 2 + 5 * z**3 / 8 + 5 * z**2 / 3 - 5 * z + 4 - 2 / (3 * z) if z < 2 else 0.0


def test_gaspari_cohn_is_its_definition():
    r = np.linspace(0, 4, 401)
    np.testing.assert_allclose(gaspari_cohn(r), [slow_gaspari_cohn(x) for x in r], atol=1e-14)


@pytest.mark.parametrize("taper", [gaussian, gaspari_cohn])
def test_tapers_fall_from_one_to_nothing(taper):
    values = taper(np.linspace(0, 5, 1001))
    assert values[0] == 1 and (np.diff(values) <= 0).all() and (values >= 0).all()
    assert taper(np.array([CUTOFF])) == 0


def test_both_tapers_curve_alike_at_the_centre():
    r = 1e-3
    assert gaspari_cohn(np.array(r)) - 1 == pytest.approx(float(gaussian(np.array(r))) - 1, rel=2e-3)
