"""The kernel's tapers, polynomials of a chord, are those of great-circle distance."""

import numpy as np
import pytest

from contracts.sphere import EARTH_RADIUS_KM, great_circle_km, unit_vectors
from contracts.tapers import CUTOFF
from letkf_mpi.kernel import lanes
from letkf_mpi.kernel.lanes import Channels, Geometry, Lanes, Method, Observations
from letkf_mpi.kernel.tapers import fit
from letkf_mpi.local.localization import TAPERS

SCALES_KM = (1.0, 50.0, 600.0, 2739.0, 3000.0, 5481.0, 6000.0, 2e4, 1e6)  # some reach the antipodes, some far beyond
ERROR = 1e-13


@pytest.mark.parametrize("scale_km", SCALES_KM)
@pytest.mark.parametrize("name", TAPERS)
def test_two_polynomials_are_the_taper(name, scale_km):
    angle = np.linspace(0.0, min(1.1 * CUTOFF * scale_km / EARTH_RADIUS_KM, np.pi), 2001)
    u = 4.0 * np.sin(angle / 2.0) ** 2
    distance = 2.0 * EARTH_RADIUS_KM * np.arcsin(np.minimum(np.sqrt(u) / 2.0, 1.0))
    here = np.abs(distance / scale_km - CUTOFF) > 1e-9
    found = fit(TAPERS[name], scale_km, CUTOFF)
    assert found.coefficient.shape[1] <= 24  # few enough to be fast
    np.testing.assert_allclose(found(u)[here], TAPERS[name](distance / scale_km)[here], atol=ERROR)


@pytest.mark.skipif(lanes.compiled() is None, reason="the compiled kernel could not be built")
@pytest.mark.parametrize("instructions", lanes.instructions())
@pytest.mark.parametrize("name", TAPERS)
def test_the_kernel_has_them(name, instructions, monkeypatch):
    """One observation, seen by columns anywhere: the sum of its tapers is its taper, and it counts within reach."""
    monkeypatch.setenv(lanes.INSTRUCTIONS, instructions)
    rng, columns = np.random.default_rng(0), 37
    lat, lon = np.rad2deg(np.arcsin(rng.uniform(-1, 1, columns))), rng.uniform(0, 360, columns)
    lat[:3], lon[:3] = (40.0, 40.0, -40.0), (10.0, 10.0001, 190.0)  # at the observation, beside it, at its antipode
    where, point = unit_vectors(lat, lon), unit_vectors(40.0, 10.0)
    table = Observations(np.array([[1.0, -1.0]]), np.zeros(1), np.ones(1), np.zeros(1, int), np.arange(2))
    X, beta = np.zeros((2, 1, columns), np.float32), np.ones((1, columns))
    for scale_km in SCALES_KM:
        geometry = Geometry(point, fit(TAPERS[name], scale_km, CUTOFF))
        found = Lanes(table, lambda rows: np.ones((1, 1)), Channels.single(1), Method(), geometry=geometry).analyse(
            np.zeros(1, int), where, beta, X)
        distance = great_circle_km(point[0], where)
        np.testing.assert_allclose(found.weight[0], TAPERS[name](distance / scale_km), atol=ERROR)
        assert np.array_equal(found.count[0] > 0, distance < CUTOFF * scale_km)
