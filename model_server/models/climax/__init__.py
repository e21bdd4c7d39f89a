"""ClimaX as a forecast model: weights with their card in, members one step later out.

    [model]
    name = "climax"
    options = { checkpoint = "weights/climax.safetensors" }

The state's channels must be fields that the card says the network predicts; what it needs as input beyond them are
the constant fields that come with the weights.  Members go through the network `at_once` at a time, the last group
filled up with copies, so that each product has the same shape and a member the same bits whatever it is batched with.
On a CPU one member at a time fills a core, and members run side by side, one thread each.  On GPUs a pass carries as
many as the card's memory allows, up to 20, and the passes go round the GPUs; `at_once` pins the number where bits must
be those of another machine, or where others fill the card.
"""

import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from itertools import cycle
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np
import torch

from contracts.config import Section
from contracts.errors import UserError
from contracts.state import StateSpace
from model_server import checkpoint as checkpoints
from model_server import starter
from model_server.checkpoint import Card, Checkpoint
from model_server.models.base import Batch
from model_server.models.climax import memory, stepping
from model_server.models.climax.collapsed import Forward
from model_server.models.climax.stepping import Stepping

log = logging.getLogger(__name__)

Positive = Annotated[int, msgspec.Meta(ge=1)]


class Options(Section, frozen=True):
    """[model.options] of climax."""

    checkpoint: str = "climax_t31"  # a name that comes with the code, or weights.safetensors beside weights.toml
    device: str = "auto"  # cpu, cuda (all GPUs, which must be alike), cuda:1, …; auto takes GPUs where there are any
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"  # bfloat16 errs by about 0.1 K
    at_once: Positive | None = None  # members in one pass: default 1 on a CPU, up to 20 on a GPU
    threads: Positive | None = None  # of a CPU: default all cores


@dataclass(frozen=True)
class Lane:
    """The network on one device, for passes of `at_once` members."""

    device: torch.device
    forward: Forward
    stepping: Stepping
    at_once: int
    precision: str

    @torch.inference_mode()
    def pass_through(self, members: np.ndarray) -> np.ndarray:
        """At most `at_once` members (member, channel, lat, lon), in a pass of always the same shape."""
        rows = np.minimum(np.arange(self.at_once), len(members) - 1)
        fields = torch.from_numpy(np.ascontiguousarray(members[rows], np.float32)).to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            output = self.forward(self.stepping.inputs(fields))
        return self.stepping.next(fields, output.float())[: len(members)].cpu().numpy()


@dataclass(frozen=True)
class ClimaXModel:
    """The network behind the protocol of forecast models."""

    space: StateSpace
    name: str
    time_step: timedelta
    lanes: tuple[Lane, ...]  # one for each device, of one kind
    threads: int  # side by side on each device
    history: int = 1
    keeps_restart: bool = False

    def step(self, batch: Batch) -> Batch:
        """All members one `time_step` later; the groups go round the devices in fixed turn."""
        size = self.lanes[0].at_once
        groups = [batch.data[i : i + size] for i in range(0, len(batch.data), size)]
        with ExitStack() as stack:
            pools = [stack.enter_context(_pool(self.threads)) for _ in self.lanes]
            work = zip(cycle(zip(pools, self.lanes, strict=True)), groups, strict=False)
            later = [pool.submit(lane.pass_through, group) for (pool, lane), group in work]
        data = np.concatenate([one.result() for one in later])
        return Batch(batch.time + self.time_step, data, (None,) * len(data))


def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads that torch does not split any further."""
    return ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))


def create(space: StateSpace, options: Options) -> ClimaXModel:
    """Load the weights; raises UserError where they, their card, the device or the space do not fit."""
    path = starter.find(options.checkpoint, ".safetensors")
    devices = _devices(options.device)
    if options.precision == "tf32":
        torch.set_float32_matmul_precision("high")
    return shared_out(load(path), space, devices, str(path), options)


def load(path: Path) -> Checkpoint:
    """The checkpoint, its parameters checked against the card; raises UserError."""
    checkpoint = checkpoints.read(path)
    found = {name: array.shape for name, array in checkpoint.weights.items()}
    try:
        expected = stepping.shapes(checkpoint.card, stepping.layout_of(list(found)))
    except ValueError as error:
        raise UserError(f"{checkpoints.card_path(path)}: {error}") from None
    checkpoints.refuse_mismatch(str(path), expected, found)
    if checkpoint.card.warning:
        log.warning("%s: %s", path, checkpoint.card.warning)
    return checkpoint


def model_of(checkpoint: Checkpoint, space: StateSpace, device: torch.device, whose: str,
             options: Options | None = None) -> ClimaXModel:
    """The model of a checkpoint in `space` on one device; raises UserError where they do not fit."""
    return shared_out(checkpoint, space, [device], whose, options or Options())


def shared_out(checkpoint: Checkpoint, space: StateSpace, devices: Sequence[torch.device], whose: str,
               options: Options) -> ClimaXModel:
    """The same on several devices of one kind."""
    card = checkpoint.card
    _refuse_grid(card, space, whose)
    on_gpu = devices[0].type == "cuda"
    at_once = options.at_once or (memory.members_of_a_pass(stepping.architecture(card), devices) if on_gpu else 1)
    channels = [channel.name for channel in space.channels]
    try:
        lanes = tuple(_lane(checkpoint, channels, device, at_once, options.precision) for device in devices)
    except ValueError as error:
        raise UserError(f"{whose}: {error}; check [state]") from None
    log.info("%s: members to a pass: %d, on %s", card.name, at_once, ", ".join(map(str, devices)))
    return ClimaXModel(
        space=space,
        name=f"climax-{card.name}",
        time_step=timedelta(hours=card.lead_hours),
        lanes=lanes,
        threads=1 if on_gpu else options.threads or len(os.sched_getaffinity(0)),
    )


def _lane(checkpoint: Checkpoint, channels: list[str], device: torch.device, at_once: int, precision: str) -> Lane:
    steps = Stepping.of(checkpoint.card, checkpoint.constant_inputs, channels, device, checkpoint.climatology)
    network = stepping.build(checkpoint).to(device)
    return Lane(device, Forward(network, steps.lead, steps.token, steps.output), steps, at_once, precision)


def _refuse_grid(card: Card, space: StateSpace, whose: str) -> None:
    if card.horizontal != space.grid:
        raise UserError(f"{whose}: expected states on the {card.horizontal}, got the {space.grid}; check [grid]")


def _devices(name: str) -> list[torch.device]:
    """The devices that a name means: `cuda` all GPUs that torch sees, `cuda:1` one of them."""
    seen = [torch.device("cuda", number) for number in range(torch.cuda.device_count())]
    if name == "auto":
        return seen or [torch.device("cpu")]
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"[model.options] device = {name!r} is no device; choose auto, cpu, cuda or cuda:1") from None
    if device.type != "cuda":
        return [device]
    chosen = [one for one in seen if device.index in (None, one.index)]
    if not chosen:
        raise UserError(f"[model.options] device = {name!r}, but torch {torch.__version__} sees "
                        f"{', '.join(map(str, seen)) or 'no GPU'}; choose cpu or one that is there")
    return chosen
