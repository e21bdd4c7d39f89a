"""ClimaX as a task of forecasting: fresh or given weights, the card that they will have, and what Muon is for."""

from datetime import datetime
from pathlib import Path

import torch

from contracts import netcdf, times
from contracts.errors import UserError
from networks import card as cards
from networks.card import Card, GridCard
from networks.checkpoint import card_path
from networks.climax import emulator, stepping
from networks.climax.card import ClimaXCard
from networks.climax.emulator import ClimaXEmulator
from networks.climax.network import ClimaX, initialise
from networks.climax.sizes import Sizes
from networks.climax.stepping import Stepping
from networks.normalization import CONSTANTS
from networks.training import statistics
from networks.training.config import Settings
from networks.training.forecasting import Forecasting, mean_of
from networks.training.statistics import Statistics
from networks.training.task import Data, Roles

LEAD_SCALE = 100.0  # the network is given hours / 100, as upstream trains


def of(settings: Settings, sizes: Sizes, data: Data) -> Forecasting:
    """The task; raises UserError where the weights to begin with or the data do not fit."""
    card = card_of(settings, sizes, data.statistics)
    channels = [channel.name for channel in settings.space.channels]
    climatology = mean_of(data) if card.network.needs_climatology else None
    steps, network = Stepping(card, statistics.constants(data.series), channels, climatology), fresh(settings, card)
    stepped = ClimaXEmulator(network, steps, data.precision)
    return Forecasting.of(settings, data, network, stepped, card, steps.scale, roles(network))


def card_of(settings: Settings, sizes: Sizes, known: Statistics) -> Card[ClimaXCard]:
    """The card of the weights that this training makes: all channels and the constants in, all channels out."""
    channels = tuple(channel.name for channel in settings.space.channels)
    grid, training = settings.grid, settings.training
    periods = [f"{times.name(start)} to {times.name(end)}" for start, end in settings.periods]
    return Card(
        name=settings.experiment.name,
        network=ClimaXCard(
            tokens=(*channels, *CONSTANTS), head=channels, predicts=training.predicts, damping=training.damping,
            lead_hours=float(settings.experiment.step_hours), lead_scale=LEAD_SCALE,
            **{name: getattr(sizes, name) for name in sizes.__struct_fields__},
        ),
        grid=GridCard.of(grid),
        inputs=(*channels, *CONSTANTS), outputs=channels, normalization=known.moments,
        about=f"trained by python -m networks train, {netcdf.version()}, on {training.source} "
        f"{' and '.join(periods)}, seed {settings.experiment.seed}",
        command=f"python -m networks train {settings.experiment.name}.toml",
        seen=tuple(dict.fromkeys((*seen_before(settings), *settings.periods, settings.validation))),
    )


def seen_before(settings: Settings) -> tuple[tuple[datetime, datetime], ...]:
    """Times that the weights to begin with have seen, which the trained ones then have too."""
    begin = settings.begin
    return () if begin is None else cards.read(card_path(begin), begin).seen


def fresh(settings: Settings, card: Card[ClimaXCard]) -> ClimaX:
    """A network with the weights to begin with, or ones drawn from the experiment's seed."""
    network = ClimaX(stepping.architecture(card))
    initialise(network, torch.Generator().manual_seed(settings.experiment.seed))
    if settings.begin is not None:
        begin_with(settings.begin, network, card)
    return network


def begin_with(path: Path, network: ClimaX, card: Card[ClimaXCard]) -> None:
    """Take the weights at `path`; raises UserError where they are of other fields or another network."""
    found = emulator.load(path)
    if stepping.architecture(found.card) != stepping.architecture(card) or _fields(found.card) != _fields(card):
        raise UserError(f"[training] begin = {str(path)!r}: is no network of [network] and [state]; make them agree")
    network.load_state_dict({name: torch.from_numpy(array) for name, array in found.weights.items()})


def _fields(card: Card[ClimaXCard]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return card.network.tokens, card.network.head


def roles(network: ClimaX) -> Roles:
    """Muon is for matrices that map hidden vectors to hidden vectors, one and not several stacked in a parameter."""
    named = dict(network.named_parameters())
    hidden = {name for name, parameter in named.items()
              if name.split(".")[0] in ("blocks", "head", "var_agg") and parameter is not network.last.weight
              and parameter.dim() == 2 and "in_proj" not in name}
    still = {name for name in named if "embed" in name.split(".")[0] or name.endswith("biases")}
    return Roles(frozenset(hidden), frozenset(still))
