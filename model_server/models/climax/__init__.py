"""ClimaX as a forecast model: weights with their card in, members one step later out.

    [model]
    name = "climax"
    options = { checkpoint = "weights/climax.safetensors" }

The state's channels must be fields that the card says the network predicts; what it needs as input beyond them are
the constant fields that come with the weights.  How members go through the network stands in `networks.passes`;
on GPUs a pass carries as many as the card's memory allows, up to 20, and `at_once` pins the number where bits must be
those of another machine, or where others fill the card.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import torch

from contracts import times
from contracts.config import Positive, Section
from contracts.errors import UserError
from contracts.state import StateSpace
from model_server.models.base import Batch
from model_server.models.climax import memory
from networks import card as cards
from networks import starter
from networks.checkpoint import Checkpoint, card_path
from networks.climax import emulator, stepping
from networks.climax.card import ClimaXCard
from networks.emulator import Precision
from networks.passes import Passes

log = logging.getLogger(__name__)


class Options(Section, frozen=True):
    """[model.options] of climax."""

    checkpoint: str = "climax_t31"  # a name that comes with the code, or weights.safetensors beside weights.toml
    device: str = "auto"  # cpu, cuda (all GPUs, which must be alike), cuda:1, …; auto takes GPUs where there are any
    precision: Precision = "float32"  # bfloat16 errs by about 0.1 K
    at_once: Positive | None = None  # members in one pass: default 1 on a CPU, up to 20 on a GPU
    threads: Positive | None = None  # of a CPU: default all cores


@dataclass(frozen=True)
class ClimaXModel:
    """The network behind the protocol of forecast models."""

    space: StateSpace
    name: str
    time_step: timedelta
    passes: Passes
    seen: tuple[tuple[datetime, datetime], ...] = ()  # as the card says
    identity: Mapping[str, str] | None = None  # the weights and what they are multiplied in
    history: int = 1
    keeps_restart: bool = False

    def step(self, batch: Batch) -> Batch:
        """All members one `time_step` later."""
        data = self.passes.step(batch.data, times.to_seconds(batch.time))
        return Batch(batch.time + self.time_step, data, (None,) * len(data))


def create(space: StateSpace, options: Options) -> ClimaXModel:
    """Load the weights; raises UserError where they, their card, the device or the space do not fit."""
    path = starter.find(options.checkpoint, ".safetensors")
    devices = _devices(options.device)
    if options.precision == "tf32":
        torch.set_float32_matmul_precision("high")
    return model_of(emulator.load(path), space, devices, str(path), options)


def seen(options: Options) -> tuple[tuple[datetime, datetime], ...]:
    """Times that training and choice of the weights saw, as their card says; none where there is no card yet."""
    path = starter.find(options.checkpoint, ".safetensors")
    return cards.read(card_path(path), path).seen if card_path(path).exists() else ()


def model_of(checkpoint: Checkpoint[ClimaXCard], space: StateSpace, devices: Sequence[torch.device], whose: str,
             options: Options) -> ClimaXModel:
    """The model of a checkpoint in `space` on devices of one kind; raises UserError where they do not fit."""
    card = checkpoint.card
    on_gpu = devices[0].type == "cuda"
    at_once = options.at_once or (memory.members_of_a_pass(stepping.architecture(card), devices) if on_gpu else 1)
    emulators = [emulator.emulator(checkpoint, space, whose, options.precision, device) for device in devices]
    log.info("%s: members to a pass: %d, on %s", card.name, at_once, ", ".join(map(str, devices)))
    return ClimaXModel(
        space=space,
        name=f"climax-{card.name}",
        time_step=timedelta(hours=card.network.lead_hours),
        passes=Passes.of(emulators, devices, at_once, options.threads),
        seen=card.seen,
        identity={"weights": card.sha256, "precision": options.precision},
    )


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
