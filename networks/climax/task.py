"""ClimaX as a task of forecasting: fresh or given weights, the card that they will have, and what Muon is for."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from contracts.errors import UserError
from networks import starter
from networks.card import Card
from networks.climax import emulator, stepping
from networks.climax.card import ClimaXCard
from networks.climax.emulator import ClimaXEmulator
from networks.climax.network import ClimaX, initialise
from networks.climax.sizes import Sizes
from networks.climax.stepping import Stepping
from networks.normalization import CONSTANTS, Moments
from networks.training import cards, statistics
from networks.training.config import Settings
from networks.training.ensembles import Ensembles
from networks.training.forecasting import Forecasting, Still, mean_of
from networks.training.task import Data, Roles

LEAD_SCALE = 100.0  # the network is given hours / 100, as upstream trains


@dataclass(frozen=True)
class Known:
    """What the network knows of its fields: of the data that it is trained on, or as the weights have it that stay."""

    moments: Mapping[str, Moments]
    still: Still


def of(settings: Settings, sizes: Sizes, data: Data) -> Forecasting:
    """The task; raises UserError where the weights to begin with, the data or the loss do not fit."""
    ensembles = settings.training.loss == "afcrps"
    if ensembles != (sizes.noise is not None):
        raise UserError('[training] loss = "afcrps" and [network.noise] belong together: give both or neither')
    known = known_of(settings, data)
    card = card_of(settings, sizes, known.moments)
    channels = [channel.name for channel in settings.space.channels]
    steps = Stepping(card, dict(known.still.constants), channels, known.still.climatology)
    network = fresh(settings, card)
    freeze(network, settings.training.trained)
    stepped, kind = ClimaXEmulator(network, steps, data.precision), Ensembles if ensembles else Forecasting
    return kind.of(settings, data, network, stepped, card, steps.scale, roles(network), known.still)


def known_of(settings: Settings, data: Data) -> Known:
    """Raises UserError where weights that stay were trained with another damping, or with none."""
    if settings.training.trained and settings.begin is not None:
        found = emulator.load(settings.begin)
        if found.card.network.damping != settings.training.damping:
            raise UserError(f"[training] trained: {settings.training.begin} steps with damping = "
                            f"{found.card.network.damping}, and so must what is trained on in part")
        return Known(found.card.normalization, Still(found.constant_inputs, found.climatology))
    climatology = mean_of(data) if settings.training.damping is not None else None
    return Known(data.statistics.moments, Still(statistics.constants(data.series), climatology))


def card_of(settings: Settings, sizes: Sizes, moments: Mapping[str, Moments]) -> Card[ClimaXCard]:
    """The card of the weights that this training makes: all channels and the constants in, all channels out."""
    channels = tuple(channel.name for channel in settings.space.channels)
    training = settings.training
    own = ClimaXCard(
        tokens=(*channels, *CONSTANTS), head=channels, predicts=training.predicts, damping=training.damping,
        lead_hours=float(settings.experiment.step_hours), lead_scale=LEAD_SCALE,
        **{name: getattr(sizes, name) for name in sizes.__struct_fields__},
    )
    base = training.begin if training.trained and starter.is_name(training.begin) else ""
    return cards.made(settings, own, moments, base=base)


def fresh(settings: Settings, card: Card[ClimaXCard]) -> ClimaX:
    """A network with the weights to begin with, or ones drawn from the experiment's seed."""
    network = ClimaX(stepping.architecture(card))
    initialise(network, torch.Generator().manual_seed(settings.experiment.seed))
    if settings.begin is not None:
        begin_with(settings.begin, network, card)
    return network


def begin_with(path: Path, network: ClimaX, card: Card[ClimaXCard]) -> None:
    """Take the weights at `path`, whatever their windows; where they have no noise the network's own stays, which is
    zero.

    Raises UserError where they are of other fields or another network.
    """
    found = emulator.load(path)
    size, given = (replace(stepping.architecture(one), window=None) for one in (card, found.card))
    if given not in (size, replace(size, noise=None)) or _fields(found.card) != _fields(card):
        raise UserError(f"[training] begin = {str(path)!r}: is no network of [network] and [state]; make them agree")
    weights = {name: torch.from_numpy(array) for name, array in found.weights.items()}
    network.load_state_dict(network.state_dict() | weights)


def _fields(card: Card[ClimaXCard]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return card.network.tokens, card.network.head


def freeze(network: ClimaX, trained: tuple[str, ...]) -> None:
    """Let no gradient reach parameters whose names do not begin with one of `trained`, where any is named.

    Raises UserError on one that no name begins with.
    """
    if not trained:
        return
    named = dict(network.named_parameters())
    for part in trained:
        if not any(_is_of(name, part) for name in named):
            raise UserError(f"[training] trained: no parameter's name begins with {part!r}; they begin with "
                            f"{', '.join(dict.fromkeys(name.split('.')[0] for name in named))}")
    for name, parameter in named.items():
        parameter.requires_grad_(any(_is_of(name, part) for part in trained))


def _is_of(name: str, part: str) -> bool:
    return name == part or name.startswith(f"{part}.")


def roles(network: ClimaX) -> Roles:
    """Muon is for matrices that map hidden vectors to hidden vectors, one and not several stacked in a parameter."""
    named = dict(network.named_parameters())
    hidden = {name for name, parameter in named.items()
              if name.split(".")[0] in ("blocks", "head", "var_agg") and parameter is not network.last.weight
              and parameter.dim() == 2 and "in_proj" not in name}
    still = {name for name in named if "embed" in name.split(".")[0] or name.endswith("biases")}
    return Roles(frozenset(hidden), frozenset(still))
