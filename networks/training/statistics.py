"""What the training data say of themselves, in one pass over all of them: normalisation and climatology.

The climatology of each place and channel is the mean and two harmonics of the year, by least squares,

    c(t) = Σ_j b_j(t) c_j,   b = 1, cos ωt, sin ωt, cos 2ωt, sin 2ωt,   ω = 2π / 365.2425 d

and the mean alone where the data span less than most of a year, which cannot tell a season from a trend.
"""

import hashlib
import logging
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from contracts import paths, progress
from networks import normalization, season
from networks.data.shards import Series
from networks.normalization import LAND_SEA_MASK, LATITUDE, OROGRAPHY, Accumulator, Moments

log = logging.getLogger("networks.train")
MOST_OF_A_YEAR = 0.8 * season.YEAR
PIECE = 64  # states in memory at a time


@dataclass(frozen=True)
class Climatology:
    """`coefficients` float32 (basis, channel, lat, lon)."""

    coefficients: np.ndarray

    def at(self, seconds: np.ndarray) -> np.ndarray:
        """float32 (time, channel, lat, lon)"""
        return np.tensordot(season.basis(seconds, len(self.coefficients)).astype(np.float32), self.coefficients, axes=1)


@dataclass(frozen=True)
class Statistics:
    moments: dict[str, Moments]  # by channel and constant
    climatology: Climatology


def constants(series: Series) -> dict[str, np.ndarray]:
    """The constant input fields by name, (lat, lon)."""
    still, grid = series.static(), series.space.grid
    latitude = grid.column_lat.reshape(grid.shape)
    return {LAND_SEA_MASK: still.land_sea_mask, OROGRAPHY: still.orography, LATITUDE: latitude}


def of(series: Series, pairs: np.ndarray, cache: Path) -> Statistics:
    """Statistics of the pairs of times one step apart, `pairs` (n, 2); kept in `cache` for a resumed run."""
    key = _key(series, pairs)
    found = _read(cache, key) or _compute(series, pairs)
    if _read(cache, key) is None:
        with paths.atomic(cache) as partial, open(partial, "wb") as stream:
            np.savez(stream, allow_pickle=False, key=np.array(key), **found)
    names = [channel.name for channel in series.space.channels]
    moments = {
        name: Moments(mean=float(mean), std=float(std) or 1.0, tendency_std=float(tendency) or 1.0)
        for name, mean, std, tendency in zip(names, found["mean"], found["std"], found["tendency_std"], strict=True)
    }
    still = normalization.of_constants(constants(series), series.space.grid.area_weights)
    return Statistics(moments | still, Climatology(found["climatology"]))


def _compute(series: Series, pairs: np.ndarray) -> dict[str, np.ndarray]:
    """The first of each pair are the states counted."""
    weights = series.space.grid.area_weights
    values, tendencies = Accumulator(weights), Accumulator(weights)
    seconds = series.seconds[pairs[:, 0]]
    size = 5 if seconds[-1] - seconds[0] > MOST_OF_A_YEAR else 1
    gram, right = np.zeros((size, size)), np.zeros((size, np.prod(series.space.shape)))
    pieces = [pairs[i : i + PIECE] for i in range(0, len(pairs), PIECE)]
    for piece in progress.reported(pieces, "statistics of the training data", log):
        now, later = series.fields(piece[:, 0]), series.fields(piece[:, 1])
        values.add(now)
        tendencies.add(later - now)
        waves = season.basis(series.seconds[piece[:, 0]], size)
        gram += waves.T @ waves
        right += waves.T @ now.reshape(len(now), -1)
    mean, std = values.result()
    climatology = np.linalg.solve(gram, right).reshape(size, *series.space.shape).astype(np.float32)
    return {"mean": mean, "std": std, "tendency_std": tendencies.result()[1], "climatology": climatology}


def _key(series: Series, pairs: np.ndarray) -> str:
    names = ",".join(channel.name for channel in series.space.channels)
    content = names.encode() + series.seconds[pairs].tobytes()
    return hashlib.sha256(content + series.fields(pairs[[0, -1], 0]).tobytes()).hexdigest()


def _read(cache: Path, key: str) -> dict[str, np.ndarray] | None:
    try:
        with np.load(cache) as found:
            return {name: found[name] for name in found} if str(found["key"]) == key else None
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return None
