"""Small made climates for tests: every value follows from the arguments and a seed."""

from datetime import UTC, datetime, timedelta

import numpy as np

from contracts import times
from contracts.grid import Grid
from contracts.state import StateSpace
from networks.climate.gaussian import Climate, Correlation

START = datetime(1981, 1, 1, tzinfo=UTC)


def space(nlat: int = 4, nlon: int = 8, poles: bool = False) -> StateSpace:
    """Three channels: temperature on two levels and 2 m temperature."""
    return StateSpace.of(Grid.regular(nlat, nlon, poles), (50_000.0, 85_000.0), ("temperature",), ("2m_temperature",))


def correlation(rows: int, nlon: int, modes: int, seed: int = 0, rest: float = 0.05,
                alike: bool = False) -> Correlation:
    """`modes` random modes for each wavenumber, real ones where the coefficients are; `alike` for all wavenumbers."""
    rng = np.random.default_rng(seed)
    waves = nlon // 2 + 1
    E = rng.standard_normal((waves, rows, modes)) + 1j * rng.standard_normal((waves, rows, modes))
    for k in range(waves):
        if alike:
            E[k] = E[0].real + 0j
        if 2 * k % nlon == 0:
            E[k].imag = 0
    E = np.linalg.qr(E)[0].transpose(0, 2, 1)
    variance = np.sort(rng.uniform(0.5, 4.0, (waves, modes)), axis=1)[:, ::-1]
    variance = (variance[:1] if alike else variance) / (1 + np.arange(waves))[:, None]
    return Correlation(nlon, E, variance, np.full(waves, rest) / (1 + np.arange(waves)))


def climate(where: StateSpace, modes: int = 3, seed: int = 0, rest: float = 0.05, zonal: bool = False) -> Climate:
    """A random climate, in double precision, of states from 1981 on; `zonal`: one that a fit can give back, with the
    same scale along circles of latitude and modes that are alike for all wavenumbers."""
    rng = np.random.default_rng(seed + 1)
    channels, nlat, nlon = where.shape
    seasons = rng.standard_normal((3, *where.shape)) * np.array([3.0, 2.0, 1.0])[:, None, None, None]
    seasons[0] += 280.0
    fitted = np.array([times.to_seconds(START + timedelta(days=day)) for day in range(50)])
    scale = rng.uniform(1.0, 3.0, where.shape)
    scale = np.broadcast_to(scale[:, :, :1], where.shape) if zonal else scale
    return Climate(where, seasons, scale, correlation(channels * nlat, nlon, modes, seed, rest, zonal), fitted)


def dense(correlation: Correlation, shape: tuple[int, int, int], function) -> np.ndarray:
    """f(C) as a matrix, column by column."""
    size = int(np.prod(shape))
    return correlation.apply(function, np.eye(size).reshape(size, *shape)).reshape(size, size).T
