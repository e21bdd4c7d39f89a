"""Places on the sphere: unit vectors, directions and great circles."""

import numpy as np

from contracts.constants import EARTH_RADIUS

EARTH_RADIUS_KM = EARTH_RADIUS / 1000.0


def unit_vectors(lat: np.ndarray | float, lon: np.ndarray | float) -> np.ndarray:
    """(n, 3) points on the unit sphere of `lat`, `lon` in degrees."""
    phi, lam = np.deg2rad(np.atleast_1d(lat)), np.deg2rad(np.atleast_1d(lon))
    return np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)], axis=-1)


def great_circle_km(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Distance between unit vectors (…, 3), by chord: exact where it matters, at short distances."""
    chord = np.sqrt(((a - b) ** 2).sum(axis=-1))
    return 2.0 * EARTH_RADIUS_KM * np.arcsin(np.minimum(0.5 * chord, 1.0))


def arc(lat: np.ndarray, lon: np.ndarray, other_lat: np.ndarray, other_lon: np.ndarray) -> np.ndarray:
    """Radians of a great circle between places in degrees, by the haversine."""
    south, north = np.deg2rad(lat), np.deg2rad(other_lat)
    haversine = (np.sin((north - south) / 2) ** 2
                 + np.cos(south) * np.cos(north) * np.sin(np.deg2rad(other_lon - lon) / 2) ** 2)
    return 2 * np.arcsin(np.sqrt(np.clip(haversine, 0.0, 1.0)))
