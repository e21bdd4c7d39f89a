"""A made case for H(x): a small sphere with mountains, rows of every quantity, and some members."""

import numpy as np

from contracts.state import StateSpace
from contracts.static import Static
from contracts.variables import Quantity
from tests import builders

K, N = 3, 40  # members, rows of each quantity
LEVELS = (25_000.0, 50_000.0, 70_000.0, 85_000.0, 92_500.0)
AT_SURFACE = (*builders.AT_SURFACE, "2m_specific_humidity")
DRY = tuple(name for name in builders.ON_LEVELS if name != "specific_humidity")
SPACES = {  # and the number of quantities that have an H(x)
    "all": (builders.ON_LEVELS, AT_SURFACE, 13),
    "without pressure": (builders.ON_LEVELS, (), 9),
    "dry": (DRY, AT_SURFACE, 10),
    "dry without pressure": (DRY, (), 6),
}


def space(name: str = "all") -> StateSpace:
    return StateSpace.of(builders.space(8, 16).grid, LEVELS, *SPACES[name][:2])


def table():
    """Rows of every quantity from pole to pole, above the top, below the ground and where heights or pressures lack."""
    rng = np.random.default_rng(1)
    quantity = np.repeat([*Quantity], N)
    n = quantity.size
    lat = np.where(rng.uniform(size=n) < 0.05, rng.choice([-90.0, 90.0, np.nan], n), rng.uniform(-90, 90, n))
    pressure = np.where(rng.uniform(size=n) < 0.05, np.nan, np.exp(rng.uniform(np.log(2e4), np.log(1e5), n)))
    elevation = np.where(rng.uniform(size=n) < 0.1, np.nan, rng.uniform(0, 1500, n))
    order = rng.permutation(n)
    columns = {"quantity": quantity, "lat": lat, "lon": rng.uniform(0, 360, n), "pressure": pressure,
               "elevation": elevation}
    return builders.observations(np.zeros(n), **{name: values[order] for name, values in columns.items()})


def static(grid) -> Static:
    return Static(grid, np.random.default_rng(2).uniform(0, 1500, grid.shape), np.ones(grid.shape))


def members(where: StateSpace) -> np.ndarray:
    """(k, channel, column) float32, as in files."""
    return np.stack([builders.random_state(where, seed).data for seed in range(K)]).reshape(
        K, len(where.channels), -1)
