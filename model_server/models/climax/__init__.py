"""ClimaX as a forecast model: weights with their card in, members one step later out.

    [model]
    name = "climax"
    options = { checkpoint = "weights/climax.safetensors" }

The state's channels must be fields that the card says the network predicts; what it needs as input beyond them are
the constant fields that come with the weights.  How members go through the network stands in `networks.passes`;
on GPUs a pass carries as many as the card's memory allows, up to 20, and `at_once` pins the number where bits must be
those of another machine, or where others fill the card.

Whether members of the same state differ, by noise of the network's own, its card says.

`engine = "onnxruntime"` takes the same weights through ONNX Runtime instead of PyTorch (`engine`).
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

import torch

from contracts.config import NotNegativeFloat, Positive, Section
from contracts.errors import UserError
from contracts.state import StateSpace
from model_server.models.climax import memory
from model_server.models.stepped import Stepped
from networks import bfloat16, starter
from networks import card as cards
from networks.checkpoint import Checkpoint, card_path
from networks.climax import emulator, stepping
from networks.climax.card import ClimaXCard
from networks.emulator import Precision
from networks.passes import Passes

if TYPE_CHECKING:
    from model_server.models.onnx import Onnx

log = logging.getLogger(__name__)
Engine = Literal["torch", "onnxruntime"]
PACKAGES = ("onnxruntime", "onnx", "onnxscript")  # of the second: to run a graph, and to make it


class Options(Section, frozen=True):
    """[model.options] of climax."""

    checkpoint: str = "climax_t31"  # a name that comes with the code, or weights.safetensors beside weights.toml
    device: str = "auto"  # cpu, cuda (all GPUs, which must be alike), cuda:1, …; auto takes GPUs where there are any
    precision: Precision = "float32"  # bfloat16 errs by about 0.1 K
    at_once: Positive | None = None  # members in one pass: default 1 on a CPU, up to 20 on a GPU
    threads: Positive | None = None  # of a CPU: default all cores
    noise_factor: NotNegativeFloat = 1.0  # of the random numbers that a network with noise is given
    engine: Engine = "torch"  # onnxruntime: on a CPU, in about half of the time

    def __post_init__(self):
        if self.engine == "torch":
            return
        if self.precision != "float32" or self.device not in ("auto", "cpu"):
            raise ValueError(f'engine = "{self.engine}" computes in float32 on a CPU, got precision = '
                             f'"{self.precision}" and device = "{self.device}": leave both out, or choose engine = '
                             '"torch"')
        if lacking := [package for package in PACKAGES if find_spec(package) is None]:
            raise ValueError(f'engine = "{self.engine}" needs {", ".join(lacking)}, not installed here: pip install '
                             "'letkf-mpi[onnx]', or choose engine = \"torch\"")


def create(space: StateSpace, options: Options) -> "Stepped | Onnx":
    """Load the weights; raises UserError where they, their card, the device or the space do not fit."""
    path = starter.find(options.checkpoint, ".safetensors")
    devices = _devices("cpu" if options.engine == "onnxruntime" else options.device)
    if options.precision == "tf32":
        torch.set_float32_matmul_precision("high")
    return model_of(emulator.load(path), space, devices, str(path), options)


def seen(options: Options) -> tuple[tuple[datetime, datetime], ...]:
    """Times that training and choice of the weights saw, as their card says; none where there is no card yet."""
    path = starter.find(options.checkpoint, ".safetensors")
    return cards.read(card_path(path), path).seen if card_path(path).exists() else ()


def model_of(checkpoint: Checkpoint[ClimaXCard], space: StateSpace, devices: Sequence[torch.device], whose: str,
             options: Options) -> "Stepped | Onnx":
    """The model of a checkpoint in `space` on devices of one kind; raises UserError where they do not fit."""
    card = checkpoint.card
    on_gpu = devices[0].type == "cuda"
    at_once = options.at_once or (memory.members_of_a_pass(stepping.architecture(card), devices) if on_gpu else 1)
    if options.noise_factor != 1 and card.network.noise is None:
        raise UserError(f"[model.options] noise_factor says nothing to {whose}, a network without noise; leave it out")
    if options.precision == "bfloat16" and not bfloat16.is_multiplied_by(devices[0]):
        log.warning('[model.options] precision = "bfloat16": %s has no instructions that multiply it, a step may take '
                    "ten times as long as in float32, which is the default", devices[0])
    emulators = [emulator.emulator(checkpoint, space, whose, options.precision, device) for device in devices]
    name, identity = f"climax-{card.name}", {"weights": card.sha256, "precision": options.precision}
    if options.engine == "onnxruntime":
        from model_server.models.climax import engine  # here, because few have the library

        return engine.model_of(emulators[0], space, name, identity, at_once, options.threads)
    log.info("%s: members to a pass: %d, on %s", card.name, at_once, ", ".join(map(str, devices)))
    return Stepped(
        space=space,
        name=name,
        time_step=timedelta(hours=card.network.lead_hours),
        passes=Passes.of(emulators, devices, at_once, options.threads),
        seen=card.seen,
        identity=identity if card.network.noise is None else identity | {"noise_factor": str(options.noise_factor)},
        noise=emulators[0].noise, noise_factor=options.noise_factor,
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
