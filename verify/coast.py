"""Coastlines of Natural Earth 1:110 million (public domain): as fine as a small map of the globe shows."""

import json
from functools import lru_cache
from importlib import resources

import numpy as np


@lru_cache
def lines() -> tuple[np.ndarray, ...]:
    """Each (n, 2): longitudes from -180 to 180 and latitudes in degrees; none crosses the date line."""
    text = resources.files("verify").joinpath("coast.json").read_text(encoding="utf-8")
    return tuple(np.reshape(line, (-1, 2)) / 100 for line in json.loads(text)["lines"])


@lru_cache
def joined(apart: float = 1.0) -> np.ndarray:
    """(n, 2), all lines in one, with NaN between them; points stand `apart` degrees or more: a small map shows no more.
    """
    gap = np.full((1, 2), np.nan)
    return np.concatenate([part for line in lines() for part in (_thinned(line, apart), gap)])


def _thinned(line: np.ndarray, apart: float) -> np.ndarray:
    kept = [line[0]]
    for point in line[1:-1]:
        if np.abs(point - kept[-1]).max() >= apart:
            kept.append(point)
    return np.array([*kept, line[-1]])
