"""What is known of time and place: the sun against published positions and an independent code, the clock by hand."""

from datetime import UTC, datetime

import numpy as np
import pytest

from contracts import times
from contracts.constants import SOLAR_CONSTANT
from contracts.grid import Grid
from networks import forcings
from networks.forcings import FORCINGS, Sun

GRID = Grid.regular(24, 48)
WHEN = times.to_seconds(datetime(1992, 10, 13, tzinfo=UTC))


def seconds(*when: datetime) -> np.ndarray:
    return np.array([times.to_seconds(one) for one in when])


def test_the_sun_stands_where_meeus_says():
    """Astronomical Algorithms (2nd edition 1998), example 25.a: 1992 October 13, 0 h."""
    sun = Sun(np.array([WHEN]))
    assert np.rad2deg(sun.declination[0]) == pytest.approx(-7.78507, abs=0.01)
    assert np.rad2deg(sun.right_ascension[0]) % 360 == pytest.approx(198.38083, abs=0.01)
    assert sun.distance[0] == pytest.approx(0.99766, abs=1e-4)


@pytest.mark.parametrize(("when", "declination"), [
    (datetime(2000, 3, 20, 7, 35, tzinfo=UTC), 0.0), (datetime(2000, 6, 21, 1, 48, tzinfo=UTC), 23.438),
    (datetime(2000, 9, 22, 17, 28, tzinfo=UTC), 0.0), (datetime(2000, 12, 21, 13, 37, tzinfo=UTC), -23.438),
])  # equinoxes and solstices of 2000 by the U.S. Naval Observatory
def test_the_sun_crosses_and_turns_at_equinoxes_and_solstices(when, declination):
    assert np.rad2deg(Sun(seconds(when)).declination[0]) == pytest.approx(declination, abs=0.01)


def test_insolation_is_that_of_an_independent_code():
    """Of jax_solar, whose declination is a sine of the day, up to half a degree from the true one: 1 per cent of S."""
    jax_solar, jax_datetime = pytest.importorskip("jax_solar"), pytest.importorskip("jax_datetime")
    lon, lat = np.meshgrid(GRID.lon, GRID.lat)
    for when in (datetime(1989, 1, 1, 6), datetime(1990, 5, 17, 15), datetime(1996, 2, 29, 21)):
        theirs = jax_solar.radiation_flux(jax_datetime.to_datetime(np.datetime64(when)), lon, lat, SOLAR_CONSTANT)
        ours = forcings.insolation(seconds(when.replace(tzinfo=UTC)), GRID)[0]
        assert np.abs(ours - np.asarray(theirs)).max() < 0.01 * SOLAR_CONSTANT


def test_over_a_year_the_globe_gets_a_quarter_of_the_solar_constant():
    every = WHEN + 3 * 3600 * np.arange(8 * 365)
    mean = sum(float((forcings.insolation(some, GRID) * GRID.area_weights).mean(axis=(1, 2)).sum())
               for some in np.array_split(every, 40)) / len(every)
    assert mean == pytest.approx(SOLAR_CONSTANT / 4 * 1.00014, rel=1e-3)  # the mean of 1 / r² is (1 - e²)^-½


def test_clocks_are_what_they_are_by_hand():
    grid, when = Grid.regular(4, 8), seconds(datetime(2001, 1, 1, 6, tzinfo=UTC), datetime(2001, 7, 2, 18, tzinfo=UTC))
    found = dict(zip(FORCINGS, forcings.fields(FORCINGS, when, grid).swapaxes(0, 1), strict=True))
    np.testing.assert_allclose(found["sine_of_time_of_day"][:, 0, 0], [1, -1], atol=1e-6)
    np.testing.assert_allclose(found["cosine_of_local_time"][0, 0, [0, 2, 6]], [0, -1, 1], atol=1e-6)  # noon at 90 E
    np.testing.assert_allclose(found["sine_of_year"][:, 0, 0], np.sin(2 * np.pi * np.array([0.25, 182.75]) / 365.25),
                               atol=1e-6)
    np.testing.assert_allclose(found["sine_of_latitude"][1, :, 3], np.sin(np.deg2rad(grid.lat)), atol=1e-6)
    np.testing.assert_allclose(found["cosine_of_longitude"][0, 2], np.cos(np.deg2rad(grid.lon)), atol=1e-6)
    for name in {name.partition("_of_")[2] for name in FORCINGS if name.startswith("sine")}:
        np.testing.assert_allclose(found[f"sine_of_{name}"] ** 2 + found[f"cosine_of_{name}"] ** 2, 1, atol=1e-6)
    sunlit = found["insolation"] > 0
    assert np.array_equal(sunlit, found["cosine_of_solar_zenith"] > 0) and 0.3 < sunlit.mean() < 0.7


def test_one_time_is_a_time_among_others():
    both = forcings.fields(FORCINGS, np.array([WHEN, WHEN + 3600]), GRID)
    np.testing.assert_array_equal(forcings.fields(FORCINGS, WHEN + 3600, GRID)[0], both[1])
