"""Members through the network: on which devices, how many at once, how many side by side.

Members go through the network `at_once` at a time, the last group filled up with copies, so that each product has the
same shape and a member the same bits whatever it is batched with.  On a CPU one member at a time fills a core, and
members run side by side, one thread each.  On several GPUs the passes go round the devices.
"""

import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np
import torch

from contracts.errors import UserError
from contracts.state import StateSpace
from networks import checkpoint as checkpoints
from networks.card import Card
from networks.checkpoint import Checkpoint
from networks.climax import stepping
from networks.climax.card import ClimaXCard
from networks.climax.emulator import ClimaXEmulator
from networks.emulator import Emulator, Precision, Seconds, Steps

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Lane:
    """The network on one device, for passes of `at_once` members."""

    device: torch.device
    emulator: Emulator
    at_once: int

    @torch.inference_mode()
    def pass_through(self, members: np.ndarray, seconds: np.ndarray) -> np.ndarray:
        """At most `at_once` members (member, channel, lat, lon), in a pass of always the same shape."""
        rows = np.minimum(np.arange(self.at_once), len(members) - 1)
        fields = torch.from_numpy(np.ascontiguousarray(members[rows], np.float32)).to(self.device)
        (later,) = self.emulator.advance((fields,), seconds[rows])
        return later[: len(members)].cpu().numpy()


@dataclass(frozen=True)
class Passes:
    """Lanes on devices of one kind, with `threads` side by side on each."""

    lanes: tuple[Lane, ...]
    threads: int

    def step(self, members: np.ndarray, seconds: Seconds) -> np.ndarray:
        """All members (member, channel, lat, lon), valid at `seconds` since 1970, one step later.

        The groups go round the devices in fixed turn.
        """
        size = self.lanes[0].at_once
        when = np.broadcast_to(seconds, len(members))
        groups = [(members[i : i + size], when[i : i + size]) for i in range(0, len(members), size)]
        with ExitStack() as stack:
            pools = [stack.enter_context(_pool(self.threads)) for _ in self.lanes]
            work = zip(cycle(zip(pools, self.lanes, strict=True)), groups, strict=False)
            later = [pool.submit(lane.pass_through, *group) for (pool, lane), group in work]
        return np.concatenate([one.result() for one in later])


def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads that torch does not split any further."""
    return ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))


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


def of(checkpoint: Checkpoint[ClimaXCard], space: StateSpace, devices: Sequence[torch.device], whose: str,
       at_once: int = 1, threads: int | None = None, precision: Precision = "float32") -> Passes:
    """Passes for states of `space`, on a CPU by default as many side by side as it has cores.

    Raises UserError, with `whose` checkpoint it is, where the weights cannot carry such states forward.
    """
    _refuse_grid(checkpoint.card, space, whose)
    channels = [channel.name for channel in space.channels]
    try:
        lanes = tuple(_lane(checkpoint, channels, device, at_once, precision) for device in devices)
    except ValueError as error:
        raise UserError(f"{whose}: {error}; check [state]") from None
    log.info("%s: members to a pass: %d, on %s", checkpoint.card.name, at_once, ", ".join(map(str, devices)))
    on_gpu = devices[0].type == "cuda"
    return Passes(lanes, threads=1 if on_gpu else threads or len(os.sched_getaffinity(0)))


def on_cpu(weights: Path, space: StateSpace) -> Steps:
    """Steps with the weights at a path, one member at a time, as forecasts make them; raises UserError."""
    members = of(load(weights), space, [torch.device("cpu")], str(weights))
    return lambda fields, seconds: torch.from_numpy(members.step(fields.numpy(), seconds))


def _lane(checkpoint: Checkpoint[ClimaXCard], channels: list[str], device: torch.device, at_once: int,
          precision: Precision) -> Lane:
    return Lane(device, ClimaXEmulator.of(checkpoint, channels, precision).to(device).settled(), at_once)


def _refuse_grid(card: Card, space: StateSpace, whose: str) -> None:
    if card.horizontal != space.grid:
        raise UserError(f"{whose}: expected states on the {card.horizontal}, got the {space.grid}; check [grid]")
