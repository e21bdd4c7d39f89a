"""A forecast network with errors that a flow draws, as a forecast model (`networks.flow`).

    [model]
    name = "flow"
    options = { checkpoint = "$WORK/flow_t31/training/flow_t31.safetensors" }
"""

from datetime import datetime

from contracts.config import NotNegativeFloat, Positive, Section
from contracts.state import StateSpace
from model_server.models.stepped import Stepped
from networks import card as cards
from networks import starter
from networks.checkpoint import card_path
from networks.passes import Passes


class Options(Section, frozen=True):
    """[model.options] of flow."""

    checkpoint: str  # weights.safetensors beside weights.toml
    threads: Positive | None = None  # members side by side: default all cores
    noise_factor: NotNegativeFloat = 1.0  # of the random numbers that errors grow from


def create(space: StateSpace, options: Options) -> Stepped:
    """Load the weights; raises UserError where they, their card or the space do not fit."""
    from networks.flow import emulator

    path = starter.find(options.checkpoint, starter.WEIGHTS)
    made, card = emulator.read(path, space), cards.read(card_path(path), path)
    return Stepped(
        space=space, name=f"flow-{card.name}", time_step=made.step, passes=Passes.of([made], threads=options.threads),
        seen=card.seen, identity={"weights": card.sha256, "noise_factor": str(options.noise_factor)}, noise=made.noise,
        noise_factor=options.noise_factor,
    )


def seen(options: Options) -> tuple[tuple[datetime, datetime], ...]:
    """Times that training and choice of the weights saw, as their card says; none where there is no card yet."""
    path = starter.find(options.checkpoint, starter.WEIGHTS)
    return cards.read(card_path(path), path).seen if card_path(path).exists() else ()
