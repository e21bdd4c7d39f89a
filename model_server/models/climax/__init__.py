"""ClimaX as a forecast model: weights with their card in, members one step later out.

    [model]
    name = "climax"
    options = { checkpoint = "weights/climax.safetensors" }

The state's channels must be fields that the card says the network predicts; what it needs as input beyond them are
the constant fields that come with the weights.  Members go through the network `at_once` at a time, the last group
filled up with copies, so that each product has the same shape and a member the same bits whatever it is batched with.
On a CPU one member at a time fills a core, and members run side by side, one thread each.
"""

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np
import torch

from contracts.config import Section
from contracts.errors import UserError
from contracts.state import StateSpace
from model_server import checkpoint as checkpoints
from model_server.checkpoint import Card, Checkpoint
from model_server.models.base import Batch
from model_server.models.climax import stepping
from model_server.models.climax.collapsed import Forward
from model_server.models.climax.stepping import Stepping

log = logging.getLogger(__name__)
ON_CUDA = 20  # members at once where a GPU has to be filled

Positive = Annotated[int, msgspec.Meta(ge=1)]


class Options(Section, frozen=True):
    """[model.options] of climax."""

    checkpoint: str  # weights.safetensors, with weights.toml beside it; $NAME stands for the environment
    device: str = "auto"  # cpu, cuda, cuda:1, …; auto takes a GPU where there is one
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"  # bfloat16 errs by about 0.1 K
    at_once: Positive | None = None  # members in one pass: default 1 on a CPU, 20 on a GPU
    threads: Positive | None = None  # of a CPU: default all cores


@dataclass(frozen=True)
class ClimaXModel:
    """The network behind the protocol of forecast models."""

    space: StateSpace
    name: str
    time_step: timedelta
    forward: Forward
    stepping: Stepping
    device: torch.device
    at_once: int
    threads: int
    precision: str = "float32"
    history: int = 1
    keeps_restart: bool = False

    def step(self, batch: Batch) -> Batch:
        """All members one `time_step` later."""
        groups = [batch.data[i : i + self.at_once] for i in range(0, len(batch.data), self.at_once)]
        if self.device.type == "cpu":
            with ThreadPoolExecutor(self.threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
                later = list(pool.map(self._group, groups))
        else:
            later = [self._group(group) for group in groups]
        return Batch(batch.time + self.time_step, np.concatenate(later), (None,) * len(batch.data))

    @torch.inference_mode()
    def _group(self, members: np.ndarray) -> np.ndarray:
        """At most `at_once` members (member, channel, lat, lon), in a pass of always the same shape."""
        rows = np.minimum(np.arange(self.at_once), len(members) - 1)
        fields = torch.from_numpy(np.ascontiguousarray(members[rows], np.float32)).to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            output = self.forward(self.stepping.inputs(fields))
        return self.stepping.next(fields, output.float())[: len(members)].cpu().numpy()


def create(space: StateSpace, options: Options) -> ClimaXModel:
    """Load the weights; raises UserError where they, their card, the device or the space do not fit."""
    path = Path(os.path.expandvars(options.checkpoint))
    device = _device(options.device)
    if options.precision == "tf32":
        torch.set_float32_matmul_precision("high")
    return model_of(load(path), space, device, str(path), options)


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
             options: Options | None = None) -> ClimaXModel:  # fmt: skip
    """The model of a checkpoint in `space`; raises UserError where they do not fit."""
    card = checkpoint.card
    _refuse_grid(card, space, whose)
    try:
        steps = Stepping.of(card, checkpoint.constant_inputs, [channel.name for channel in space.channels], device)
    except ValueError as error:
        raise UserError(f"{whose}: {error}; check [state]") from None
    network = stepping.build(checkpoint).to(device)
    default = ON_CUDA if device.type == "cuda" else 1
    return ClimaXModel(
        space=space,
        name=f"climax-{card.name}",
        time_step=timedelta(hours=card.lead_hours),
        forward=Forward(network, steps.lead, steps.token, steps.output),
        stepping=steps,
        device=device,
        at_once=(options.at_once if options else None) or default,
        threads=(options.threads if options else None) or len(os.sched_getaffinity(0)),
        precision=options.precision if options else "float32",
    )


def _refuse_grid(card: Card, space: StateSpace, whose: str) -> None:
    if card.horizontal != space.grid:
        raise UserError(f"{whose}: expected states on the {card.horizontal}, got the {space.grid}; check [grid]")


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"[model.options] device = {name!r} is no device; choose auto, cpu, cuda or cuda:1") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(f"[model.options] device = {name!r}, but torch {torch.__version__} sees no GPU; choose cpu")
    return device
