"""A ClimaX as a graph of ONNX with its card, for whoever has no PyTorch.

The graph is the whole step, SI fields in and out, for any number of members: normalisation, constant fields and damping
are within.  There the zonal waves of the damping are products with matrices, as Fourier's transform is no operation of
every runtime:

    a_m = Σ_j x_j cos(2π m j / n)        b_m = -Σ_j x_j sin(2π m j / n)        and back with weights 1/n or 2/n
"""

import hashlib
import logging
import warnings
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

import msgspec
import torch
from torch import Tensor, nn

from contracts import paths
from contracts.errors import UserError
from networks.card import Card
from networks.checkpoint import Checkpoint
from networks.climax import stepping
from networks.climax.card import ClimaXCard
from networks.climax.emulator import ClimaXEmulator
from networks.climax.stepping import Damped
from networks.onnx import card as cards
from networks.onnx.card import OnnxCard

INPUT, OUTPUT, MEMBER = "fields", "next", "member"
OPSET = 18  # of 2022: what runtimes of the last years take


def export(checkpoint: Checkpoint[ClimaXCard], path: Path) -> OnnxCard:
    """Write graph and card; raises UserError for a network with noise."""
    card = checkpoint.card
    refuse_noise(card)
    content = graph_of(Step(ClimaXEmulator.of(checkpoint, card.outputs).settled()))
    ours = msgspec.structs.replace(
        card_of(card, card.outputs), sha256=hashlib.sha256(content).hexdigest(),
        about=f"{card.about} As a graph by python -m networks export, opset {OPSET}.".strip())
    with paths.writing(path) as partial:
        partial.write_bytes(content)
    with paths.writing(path.with_suffix(".toml")) as partial:
        partial.write_text(cards.to_toml(ours))
    return ours


def refuse_noise(card: Card[ClimaXCard], instead: str = "export weights without noise") -> None:
    """Raises UserError for a network with noise; `instead` says what to do."""
    if card.network.noise is not None:
        raise UserError(f"{card.name}: draws random numbers at each step, which a graph of ONNX does not keep for its "
                        f"members; {instead}")


def card_of(card: Card[ClimaXCard], channels: Sequence[str]) -> OnnxCard:
    """The card of the graph of a step of `channels`."""
    return OnnxCard(
        name=card.name, grid=msgspec.structs.replace(card.grid, latitude="ascending"),  # the step turns rows itself
        inputs={INPUT: tuple(channels)}, outputs={OUTPUT: tuple(channels)}, lead_hours=card.network.lead_hours,
        seen=card.seen)


def graph_of(step: "Step") -> bytes:
    """A step as a graph."""
    grid = step.stepped.stepping.card.horizontal
    example = torch.zeros(2, len(step.stepped.channels), *grid.shape)
    for talkative in ("torch.onnx", "onnx_ir", "onnxscript"):  # of each constant, and operations that no graph has
        logging.getLogger(talkative).setLevel(logging.ERROR)
    with warnings.catch_warnings(action="ignore", category=FutureWarning):  # of torch about its own calls
        done = torch.onnx.export(step.eval(), (example,), dynamo=True, input_names=[INPUT], output_names=[OUTPUT],
                                 opset_version=OPSET, dynamic_shapes=({0: torch.export.Dim(MEMBER, min=1)},),
                                 verbose=False)
    assert done is not None
    model = done.model_proto
    for part in (model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer):
        part.ClearField("metadata_props")  # lines of our code and where it lies, which change the file and nothing else
    return model.SerializeToString(deterministic=True)


def follows_from(step: "Step") -> Iterator[bytes | str]:
    """All that the graph of a step is made from: its numbers, the code that says what is done with them, and what
    writes it."""
    yield from (f"{library} {metadata.version(library)}" for library in ("torch", "onnx", "onnxscript"))
    for name, tensor in (*step.named_parameters(), *step.named_buffers()):
        yield f"{name} {tuple(tensor.shape)} {tensor.dtype}"
        yield tensor.detach().numpy().tobytes()
    for module in (Path(__file__), *sorted(Path(stepping.__file__).parent.glob("*.py"))):
        yield module.read_bytes()


class Step(nn.Module):
    """One step of a settled emulator of one past state, fields in and out."""

    def __init__(self, stepped: ClimaXEmulator):
        super().__init__()
        self.stepped = stepped
        damped = stepped.stepping.damped
        if isinstance(damped, Damped):
            stepped.stepping.damped = ByMatrices(damped, stepped.stepping.card.grid.nlon)

    def forward(self, fields: Tensor) -> Tensor:
        return self.stepped.next((fields,), 0, None, None)


class ByMatrices(nn.Module):
    """`Damped` without Fourier's transform."""

    there: Tensor  # (2, m, lon), cosines and minus sines
    back: Tensor

    def __init__(self, damped: Damped, nlon: int):
        super().__init__()
        self.damped = damped
        m = torch.arange(len(damped.operators), dtype=torch.float64)[:, None]
        angle = 2 * torch.pi * m * torch.arange(nlon) / nlon
        there = torch.stack([angle.cos(), -angle.sin()])
        weight = torch.where((m == 0) | (2 * m == nlon), 1.0, 2.0) / nlon
        self.register_buffer("there", there.float(), persistent=False)
        self.register_buffer("back", (weight * there).float(), persistent=False)

    def forward(self, fields: Tensor) -> Tensor:
        """(B, channel, lat, lon)"""
        spectrum = torch.einsum("bcjl,rml->bcjmr", fields - self.damped.climatology, self.there)
        passed = torch.einsum("mij,bcjmr->bcimr", self.damped.operators, spectrum)
        smooth = torch.einsum("bcimr,rml->bcil", passed, self.back)
        return self.damped.climatology + self.damped.factor * smooth
