"""A small state space, a latent of it, and stations: what the tests of observation-to-latent networks share."""

from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch

from contracts.observations import Observations
from contracts.state import StateSpace
from contracts.static import Static
from contracts.variables import Quantity
from networks.latent import card, eof
from networks.latent.operator import Operator
from networks.o2l.footprints import Footprints, write
from neural_da import footprints
from tests import builders
from tests.builders import CLIMATE
from tests.networks.climax_builders import START, STEP, moving_waves
from tests.networks.test_training_data import weatherbench_netcdf

SPACE = StateSpace.of(builders.space(16, 32).grid, builders.LEVELS, ("geopotential", "temperature"),
                      ("2m_temperature",))
PATCH = (4, 4)
SCALE = np.array([0.3 * CLIMATE[channel.variable][1] for channel in SPACE.channels])
MEAN = np.array([CLIMATE[channel.variable][0] for channel in SPACE.channels])
SIZE = int(np.prod(SPACE.shape))


def latent(modes: int = 30) -> eof.Eof:
    """Fitted to smooth noise, on four patch grids."""
    white = np.random.default_rng(7).standard_normal((30, *SPACE.shape))
    errors = (white + np.roll(white, 1, -1) + np.roll(white, 1, -2) + np.roll(white, 1, -3)) * SCALE[:, None, None]
    moments = eof.Moments.of(errors, SPACE, PATCH, SCALE, overlap=True)
    mean = np.broadcast_to(MEAN[:, None, None], SPACE.shape).copy()
    return eof.fit(moments, SPACE, PATCH, SCALE, mean, modes, overlap=True)


def operator(dtype: torch.dtype = torch.float64) -> Operator:
    return Operator.of(latent(), dtype=dtype)


def write_latent(path: Path) -> str:
    """The latent with its card, as of errors of another year; returns the sha256 of its numbers."""
    when = datetime(1985, 1, 1, tzinfo=UTC)
    path.parent.mkdir(parents=True, exist_ok=True)
    card.write(path, latent(), card.Card(
        kind="eof", channels=tuple(channel.name for channel in SPACE.channels), patch=PATCH, modes=30, overlap=True,
        grid=card.GridCard(lat=tuple(SPACE.grid.lat.tolist()), lon=tuple(SPACE.grid.lon.tolist())),
        errors=card.Errors(first=when, last=when.replace(month=12), count=30, lead_hours=24, natures=("made",),
                           weights="made", weights_sha256=""), command="made", source="made"))
    return sha256(path.read_bytes()).hexdigest()


def weather() -> np.ndarray:
    """(96, channel, lat, lon), six hours apart: waves that move east, and some noise."""
    waves = np.stack([moving_waves(SPACE, START + n * STEP) for n in range(96)])
    return waves + 0.2 * SCALE[:, None, None] * np.random.default_rng(6).standard_normal(waves.shape)


def write_weather(folder: Path) -> None:
    """It as files of WeatherBench."""
    fields = weather()
    by_name = {name: (None, fields[:, SPACE.index(name)[0]]) if name.startswith("2m")
               else ([500, 850, 925], fields[:, SPACE.index(name)]) for name in SPACE.variables}
    still = Static(SPACE.grid, 100 * np.ones(SPACE.grid.shape), np.zeros(SPACE.grid.shape))
    folder.mkdir()
    weatherbench_netcdf(folder, by_name, still, SPACE.grid)


def write_footprints(folder: Path, **counts: int) -> None:
    """What so many soundings see, by the name of the file."""
    for name, count in counts.items():
        write(folder / f"{name}.nc", seen(soundings(count)), SPACE, name)


def table(lat, lon, pressure=50_000.0, quantity=Quantity.temperature, error=1.0) -> Observations:
    """Observations without values."""
    lat, lon = np.broadcast_arrays(np.atleast_1d(lat).astype(float), lon)
    return builders.observations(np.zeros(lat.shape), quantity=quantity, lat=lat, lon=lon, pressure=pressure,
                                 error=error)


def seen(of: Observations) -> Footprints:
    """What these observations see, H made linear at the mean."""
    x = np.repeat(MEAN[:, None], SPACE.grid.size, axis=1)
    return footprints.of(of, SPACE, builders.flat_static(SPACE.grid), x, 300.0)


def soundings(count: int = 40, seed: int = 2) -> Observations:
    """Temperature at two heights and surface pressure of so many stations all over the globe."""
    rng = np.random.default_rng(seed)
    lat, lon = np.rad2deg(np.arcsin(rng.uniform(-1, 1, count))), rng.uniform(0, 360, count)
    pressure = np.repeat([55_000.0, 85_000.0, 100_000.0], count)
    quantity = np.repeat([Quantity.temperature, Quantity.temperature, Quantity.surface_pressure], count)
    return table(np.tile(lat, 3), np.tile(lon, 3), pressure, quantity, np.repeat([1.0, 1.0, 100.0], count))


def scale() -> np.ndarray:
    """(channel * column,)"""
    return np.repeat(SCALE, SPACE.grid.size)
