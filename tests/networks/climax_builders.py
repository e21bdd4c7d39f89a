"""A small ClimaX with random weights, its card, and made weather to train on."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import torch

from contracts import state, static
from contracts.nature import NatureFolder
from contracts.state import State, StateSpace
from contracts.static import Static
from networks.card import Card, GridCard
from networks.checkpoint import Checkpoint
from networks.climax import stepping
from networks.climax.card import ClimaXCard
from networks.climax.network import ClimaX
from networks.normalization import CONSTANTS, LAND_SEA_MASK, OROGRAPHY, Moments
from tests import builders

START = datetime(1990, 1, 1, tzinfo=UTC)
STEP = timedelta(hours=6)
COMMON = ("about", "warning", "seen", "address")  # of a card, of every kind


def small_space() -> StateSpace:
    """8 x 16 points, two levels of temperature and geopotential, and 2 m temperature."""
    return StateSpace.of(builders.space().grid, (50_000.0, 85_000.0), ("geopotential", "temperature"),
                         ("2m_temperature",))


def randomise(network: torch.nn.Module, seed: int = 0, size: float = 0.2) -> None:
    """Every parameter, biases too, a normal deviate."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * size)


def card(where: StateSpace, predicts: str = "tendency", latitude: str = "ascending", **changes) -> Card:
    """The card of a small network that takes and gives the channels of `where`, not in their order."""
    channels = tuple(channel.name for channel in where.channels)
    own = {"lead_hours": 6.0, "lead_scale": 100.0, "predicts": predicts} | changes
    common = {"name": "small"} | {name: own.pop(name) for name in COMMON if name in own}
    moments = {
        channel.name: Moments(mean=builders.CLIMATE[channel.variable][0], std=builders.CLIMATE[channel.variable][1],
                              tendency_std=0.1 * builders.CLIMATE[channel.variable][1])
        for channel in where.channels
    } | {name: Moments(mean=1.0, std=30.0) for name in CONSTANTS}
    return Card(
        network=ClimaXCard(tokens=(*CONSTANTS, *reversed(channels)), head=tuple(reversed(channels)), patch=2,
                           embed_dim=16, depth=2, heads=4, **own),
        grid=GridCard(nlat=where.grid.shape[0], nlon=where.grid.shape[1], latitude=latitude),
        inputs=(*channels, *CONSTANTS), outputs=channels, normalization=moments, **common,
    )


def checkpoint(of: Card, seed: int = 0) -> Checkpoint:
    """Random weights and constant fields for a card."""
    network = ClimaX(stepping.architecture(of))
    randomise(network, seed)
    rng = np.random.default_rng(seed)
    shape = (of.grid.nlat, of.grid.nlon)
    constants = {LAND_SEA_MASK: rng.random(shape, np.float32), OROGRAPHY: 500 * rng.random(shape, np.float32)}
    return Checkpoint(of, {name: tensor.numpy() for name, tensor in network.state_dict().items()}, constants)


def moving_waves(where: StateSpace, when: datetime) -> np.ndarray:
    """Weather that is easy to learn: in each channel two waves that move east by one and by half a point a step."""
    steps = (when - START) / STEP
    lon = 2 * np.pi * np.arange(where.grid.lon.size) / where.grid.lon.size
    shift = 2 * np.pi * steps / where.grid.lon.size
    shape = np.cos(np.deg2rad(where.grid.lat))[:, None]
    fields = []
    for number, channel in enumerate(where.channels):
        mean, std = builders.CLIMATE[channel.variable]
        wave = np.cos(lon - shift + number) + 0.7 * np.sin(2 * lon - shift)
        fields.append(mean + std * shape * wave + 0.05 * std * np.sin(0.7 * steps + number))
    return np.asarray(fields, np.float32)


def nature_run(folder: Path, where: StateSpace, count: int, start: datetime = START) -> None:
    """`count` states of moving waves from `start` on as files of a nature run."""
    run = NatureFolder(folder)
    for number in range(count):
        when = start + number * STEP
        state.write(run.state(when), State(where, moving_waves(where, when), when))
    rows, columns = np.indices(where.grid.shape)
    static.write(run.static, Static(where.grid, 100.0 * rows, columns % 2))
