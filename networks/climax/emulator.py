"""ClimaX as an emulator: from fields in SI units to the fields one step later."""

import logging
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import torch
from torch import Tensor

from contracts.errors import UserError
from contracts.state import StateSpace
from networks import checkpoint as checkpoints
from networks.checkpoint import Checkpoint
from networks.climax import collapsed, stepping
from networks.climax.card import ClimaXCard
from networks.climax.collapsed import Settled
from networks.climax.network import ClimaX
from networks.climax.stepping import Stepping
from networks.emulator import Emulator, Precision, Seconds, State
from networks.noise import Noise

log = logging.getLogger(__name__)
CPU = torch.device("cpu")


class ClimaXEmulator(Emulator):
    """The network between the inputs and the fields that its card describes.

    The network's weights may change between steps, as in a training; `settled` is for weights that stay.
    """

    lead: Tensor  # (1,)

    def __init__(self, network: ClimaX, steps: Stepping, precision: Precision = "float32"):
        super().__init__()
        self.network, self.stepping, self.precision = network, steps, precision
        self.channels, self.step = steps.channels, timedelta(hours=steps.card.network.lead_hours)
        self.noise = noise_of(network)
        self.stochastic = self.noise is not None
        self.settled_network: Settled | None = None
        self.register_buffer("lead", torch.tensor([steps.lead]), persistent=False)

    @classmethod
    def of(cls, checkpoint: Checkpoint[ClimaXCard], channels: Sequence[str],
           precision: Precision = "float32") -> "ClimaXEmulator":
        """With the weights of a checkpoint; raises ValueError where they cannot carry `channels` forward."""
        steps = Stepping(checkpoint.card, checkpoint.constant_inputs, channels, checkpoint.climatology)
        return cls(stepping.build(checkpoint), steps, precision)

    def settled(self) -> "ClimaXEmulator":
        """The same with weights that stay: what follows from them alone is formed once, and no gradient reaches them.

        Gradients with respect to the fields do.
        """
        self.network.requires_grad_(False).eval()
        self.settled_network = Settled(self.network, self.stepping.lead, self.stepping.token, self.stepping.output)
        return self

    def next(self, state: State, time: Seconds, draw: Tensor | None, parameters: Tensor | None) -> Tensor:
        (fields,) = state
        with torch.autocast(fields.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            output = self._output(self.stepping.inputs(fields), draw)
        return self.stepping.next(fields, output.to(fields.dtype))

    def _output(self, inputs: Tensor, noise: Tensor | None) -> Tensor:
        """(B, input, lat, lon) -> (B, channel, lat, lon)"""
        if self.settled_network is not None:
            return self.settled_network(inputs, noise)
        tokens, fields = self.stepping.token, self.stepping.output
        size = self.network.size
        chosen = None if _all(tokens, size.variables) else tokens
        output = collapsed.forward(self.network, inputs, self.lead, chosen, noise)
        return output if _all(fields, size.outputs) else output[:, list(fields)]


def noise_of(network: ClimaX) -> Noise | None:
    """What drives the network, if anything: numbers (place, number) of its patches."""
    size, noise = network.size, network.size.noise
    return None if noise is None else Noise((size.tokens, noise.numbers), noise.memory, noise.common)


def _all(numbers: Sequence[int], count: int) -> bool:
    return list(numbers) == list(range(count))


def load(path: Path) -> Checkpoint[ClimaXCard]:
    """The checkpoint, its parameters checked against the card; raises UserError."""
    checkpoint = checkpoints.read(path)
    if not isinstance(checkpoint.card.network, ClimaXCard):
        raise UserError(f"{path}: expected weights of a climax, got those of a {checkpoint.card.kind}")
    found = {name: array.shape for name, array in checkpoint.weights.items()}
    try:
        expected = stepping.shapes(checkpoint.card, stepping.layout_of(list(found)))
    except ValueError as error:
        raise UserError(f"{checkpoints.card_path(path)}: {error}") from None
    checkpoints.refuse_mismatch(str(path), expected, found)
    if checkpoint.card.warning:
        log.warning("%s: %s", path, checkpoint.card.warning)
    return checkpoint


def emulator(checkpoint: Checkpoint[ClimaXCard], space: StateSpace, whose: str,
             precision: Precision = "float32", device: torch.device = CPU) -> ClimaXEmulator:
    """The emulator on `device`, settled, for states of `space`; raises UserError where it has none such."""
    if not space.grid.is_same(checkpoint.card.horizontal):
        raise UserError(f"{whose}: expected states on the {checkpoint.card.horizontal}, got the {space.grid}; check "
                        "[grid]")
    try:
        made = ClimaXEmulator.of(checkpoint, [channel.name for channel in space.channels], precision)
    except ValueError as error:
        raise UserError(f"{whose}: {error}; check [state]") from None
    return made.to(device).settled()
