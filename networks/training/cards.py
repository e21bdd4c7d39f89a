"""The card of the weights that a training makes, as far as it is the same for every kind of network."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from contracts import netcdf, times
from networks import card as cards
from networks.card import Card, GridCard, NetworkCard
from networks.checkpoint import card_path
from networks.normalization import CONSTANTS, Moments
from networks.training.config import Settings

Periods = Sequence[tuple[datetime, datetime]]


def made(settings: Settings, network: NetworkCard, normalization: Mapping[str, Moments],
         channels: Sequence[str] | None = None, seen_as: str = "", base: str = "") -> Card:
    """The `channels`, by default all of the state, and the constants in, the channels out.

    `seen_as` says as what the data are seen ("observations of ").
    """
    experiment, training = settings.experiment, settings.training
    names = tuple(channels or (channel.name for channel in settings.space.channels))
    periods = [f"{times.name(start)} to {times.name(end)}" for start, end in settings.periods]
    return Card(
        name=experiment.name, network=network, grid=GridCard.of(settings.grid),
        inputs=(*names, *CONSTANTS), outputs=names, normalization=dict(normalization),
        about=f"trained by python -m networks train, {netcdf.version()}, on {seen_as}{training.source} "
        f"{' and '.join(periods)}, seed {experiment.seed}",
        command=f"python -m networks train {experiment.name}.toml",
        seen=tuple(dict.fromkeys((*_seen_before(settings), *settings.periods, settings.validation))), base=base)


def _seen_before(settings: Settings) -> Periods:
    """Times that the weights to begin with, or to stand about, have seen, which the trained ones then have too."""
    begin = settings.begin
    return () if begin is None else cards.read(card_path(begin), begin).seen
