"""A forecast network with errors that a flow draws for each state: one step later, another one for each member.

    x' = M(x) + s r,      r grown out of q = source(z)     (`networks.flow.network`), z remembered from step to step
"""


from pathlib import Path

import numpy as np
from torch import Tensor

from contracts.errors import UserError
from contracts.state import StateSpace
from networks import checkpoint as checkpoints
from networks import planes, starter
from networks.card import Card
from networks.checkpoint import Checkpoint
from networks.climax import emulator as forecasts
from networks.climax.emulator import ClimaXEmulator
from networks.emulator import Emulator, Seconds, State
from networks.flow import network
from networks.flow.card import FlowCard
from networks.flow.network import Flow, Velocity
from networks.loading import fill
from networks.noise import Noise


class FlowEmulator(Emulator):
    """`forecast` is M, with weights that stay; those of the flow may change between steps, as in a training."""

    stochastic = True

    def __init__(self, forecast: ClimaXEmulator, flow: Flow, memory: tuple[float, ...], steps: int):
        super().__init__()
        self.forecast, self.flow, self.steps = forecast, flow, steps
        self.channels, self.step = forecast.channels, forecast.step
        self.noise = Noise((flow.source.rows, flow.channels), memory)

    def next(self, state: State, time: Seconds, draw: Tensor | None, parameters: Tensor | None) -> Tensor:
        (fields,) = state
        assert draw is not None
        (ahead,) = self.forecast.advance(state, time)
        r = network.grown(self.flow.source(draw), self.steps, self.velocity(fields, ahead, time))
        return ahead + self.size * r

    def velocity(self, fields: Tensor, ahead: Tensor, time: Seconds) -> Velocity:
        """N for states (B, channel, lat, lon) at `time` whose forecasts are `ahead`."""
        return network.velocity(self.flow, self.told(fields, ahead, time))

    def told(self, fields: Tensor, ahead: Tensor, time: Seconds) -> Tensor:
        """What the flow is told of the states."""
        steps = self.forecast.stepping
        return self.flow.conditions((fields - steps.mean) / steps.std, (ahead - fields) / steps.scale,
                                    np.broadcast_to(time, len(fields)))

    @property
    def size(self) -> Tensor:
        """s (channel, lat, lon), SI units."""
        return self.flow.scale * self.forecast.stepping.scale


def read(weights: Path, space: StateSpace) -> FlowEmulator:
    """With trained weights that stay; raises UserError where they, their card or their network do not fit."""
    found = checkpoints.read(weights)
    if not isinstance(found.card.network, FlowCard):
        raise UserError(f"{weights}: expected weights of a flow, got those of a {found.card.kind}")
    names = tuple(channel.name for channel in space.channels)
    if found.card.outputs != names or not space.grid.is_same(found.card.horizontal):
        raise UserError(f"{weights}: expected the fields {', '.join(found.card.outputs[:3])}, … on the "
                        f"{found.card.horizontal}, got {', '.join(names[:3])}, … on the {space.grid}; check [grid] and "
                        "[state]")
    forecast = forecast_of(found.card, space, str(weights))
    flow = of(found.card, found, space)
    fill(flow, found, weights)
    flow.requires_grad_(False).eval()
    return FlowEmulator(forecast, flow, found.card.network.memory, found.card.network.steps)


def of(card: Card[FlowCard], checkpoint: Checkpoint[FlowCard], space: StateSpace) -> Flow:
    """A flow of the sizes of its card for states of `space`, before it has weights."""
    own = card.network
    return Flow(card.horizontal, len(card.outputs), own.width, own.blocks, planes.of(card, checkpoint.constants),
                winds=[channel.is_wind for channel in space.channels])


def forecast_of(card: Card[FlowCard], space: StateSpace, whose: str) -> ClimaXEmulator:
    """The network whose errors the flow of `card` draws; raises UserError where it is another one by now."""
    found = forecasts.load(starter.find(card.network.forecast, starter.WEIGHTS))
    if found.card.sha256 != card.network.forecast_sha256:
        raise UserError(f"{whose}: draws errors of {card.network.forecast} of sha256 "
                        f"{card.network.forecast_sha256[:12]}…, got one of {found.card.sha256[:12]}…; train it again")
    return plain(found, space, card.network.forecast)


def plain(checkpoint: Checkpoint, space: StateSpace, whose: str) -> ClimaXEmulator:
    """The forecast network, settled; raises UserError where it is none of one forecast for a state."""
    made = forecasts.emulator(checkpoint, space, whose)
    if made.stochastic:
        raise UserError(f"{whose}: has noise of its own, and a flow draws errors of a network without; name another")
    return made


