"""A trained network as forecasts use it."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from contracts.errors import UserError
from contracts.state import StateSpace
from networks import checkpoint as checkpoints
from networks import planes, unseen
from networks.card import Card
from networks.loading import fill
from networks.o2f import network
from networks.o2f.card import O2FCard
from networks.o2f.network import Forecaster


def read(path: Path, space: StateSpace, used: Sequence[datetime]) -> tuple[Forecaster, Card[O2FCard]]:
    """The network of a checkpoint, which forecasts some channels of `space`, with its card; raises UserError where it
    does not fit, or has seen one of the times that are `used`."""
    found = checkpoints.read(path)
    card, names = found.card, [channel.name for channel in space.channels]
    if not isinstance(card.network, O2FCard):
        raise UserError(f"{path}: expected weights of an o2f, which forecasts observations, got those of a {card.kind}")
    strange = [name for name in card.outputs if name not in names]
    if strange or not space.grid.is_same(card.horizontal):
        raise UserError(f"{path}: forecasts {', '.join(strange or card.outputs)} on the {card.horizontal}, and this "
                        f"experiment has {', '.join(names)} on the {space.grid}; train one for it")
    unseen.refuse_seen(path, card.seen, min(used), max(used))
    own = network.shape_of(card), card.network.memory, space.grid, planes.of(card, found.constant_inputs)
    forecaster = Forecaster(*own)
    fill(forecaster, found, path)
    return forecaster.eval().requires_grad_(False), card
