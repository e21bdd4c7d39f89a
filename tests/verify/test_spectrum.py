"""Spectra against single harmonics from another library, against derivatives, and against the energy of the field."""

import numpy as np
import pytest
from scipy.special import lpmv

from contracts.grid import Grid
from contracts.harmonics import truncation
from verify import spectrum

GRID = Grid.regular(32, 64)
MOST = truncation(GRID)


def harmonic(grid: Grid, n: int, m: int, phase: float = 0.3) -> np.ndarray:
    """Re Y_nm (lat, lon) by SciPy, of mean square 1 over the sphere."""
    lat, lon = np.deg2rad(grid.lat)[:, None], np.deg2rad(grid.lon)
    factorials = np.prod(np.arange(n - m + 1, n + m + 1, dtype=float))
    shape = np.sqrt((2 * n + 1) / factorials) * lpmv(m, n, np.sin(lat)) * np.cos(m * lon + phase * (m > 0))
    return shape * (np.sqrt(2) if m else 1)


def gradient(n: int, m: int) -> tuple[np.ndarray, np.ndarray]:
    """Eastward and northward slope of a harmonic on the unit sphere, by differences over a ten-thousandth degree."""
    step = 1e-4

    def at(dlat: float, dlon: float) -> np.ndarray:
        return harmonic(Grid(GRID.lat + dlat, GRID.lon + 1.0 + dlon), n, m)

    east = (at(0, step) - at(0, -step)) / np.deg2rad(2 * step) / np.cos(np.deg2rad(GRID.lat))[:, None]
    return east, (at(step, 0) - at(-step, 0)) / np.deg2rad(2 * step)


@pytest.mark.parametrize(("n", "m"), [(0, 0), (1, 0), (1, 1), (5, 3), (20, 0), (31, 7), (31, 31)])
def test_a_single_harmonic_stands_at_its_degree(n, m):
    expected = np.zeros(MOST + 1)
    expected[n] = 4.0
    np.testing.assert_allclose(spectrum.variance(GRID, 2.0 * harmonic(GRID, n, m)), expected, atol=1e-9)


@pytest.mark.parametrize(("n", "m"), [(1, 0), (1, 1), (4, 0), (6, 2), (20, 11), (31, 30)])
@pytest.mark.parametrize("rotational", [True, False])
def test_the_wind_of_a_single_potential_stands_at_its_degree(n, m, rotational):
    east, north = gradient(n, m)
    u, v = (-north, east) if rotational else (east, north)
    expected = np.zeros(MOST + 1)
    expected[n] = n * (n + 1) / 2  # mean of ½|∇Y|²
    np.testing.assert_allclose(spectrum.kinetic_energy(GRID, u, v), expected, atol=1e-5 * expected[n])


def test_degrees_add_up_to_the_energy_of_the_field():
    places = [(n, m) for n in range(MOST + 1) for m in range(n + 1)]
    coefficients = np.random.default_rng(1).standard_normal(len(places))
    field = sum(a * harmonic(GRID, n, m) for a, (n, m) in zip(coefficients, places, strict=True))
    assert spectrum.variance(GRID, field).sum() == pytest.approx(np.sum(coefficients**2))


def test_solid_rotation_is_all_of_degree_one():
    u = np.repeat(10.0 * np.cos(np.deg2rad(GRID.lat))[:, None], 64, axis=1)
    energy = spectrum.kinetic_energy(GRID, u, np.zeros_like(u))
    assert energy[1] == pytest.approx(100 / 3) and np.delete(energy, 1).max() < 1e-18


def test_several_fields_at_once_are_as_one_by_one():
    fields = np.random.default_rng(2).standard_normal((2, 3, *GRID.shape))
    together = spectrum.kinetic_energy(GRID, fields, fields[::-1])
    assert together.shape == (2, 3, MOST + 1)
    np.testing.assert_allclose(together[1, 2], spectrum.kinetic_energy(GRID, fields[1, 2], fields[0, 2]), rtol=1e-9)


def test_a_grid_with_rows_on_the_poles_has_the_same_spectrum():
    grid = Grid.regular(33, 64, poles=True)
    found = spectrum.variance(grid, harmonic(grid, 9, 4))
    assert found[9] == pytest.approx(1.0) and np.delete(found, 9).max() < 1e-12
    u = np.repeat(np.cos(np.deg2rad(grid.lat))[:, None], 64, axis=1)
    assert spectrum.kinetic_energy(grid, u, np.zeros_like(u))[1] == pytest.approx(1 / 3)


def test_a_grid_too_fine_is_refused():
    with pytest.raises(ValueError, match="at most 192 rows, got the 200 x 400 grid"):
        spectrum.variance(Grid.regular(200, 400), np.zeros((200, 400)))
