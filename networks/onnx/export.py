"""A ClimaX as a graph of ONNX with its card, for whoever has no PyTorch.

The graph is the whole step, SI fields in and out, for any number of members: normalisation, constant fields and damping
are within.  There the zonal waves of the damping are products with matrices, as Fourier's transform is no operation of
every runtime:

    a_m = Σ_j x_j cos(2π m j / n)        b_m = -Σ_j x_j sin(2π m j / n)        and back with weights 1/n or 2/n
"""

import hashlib
import logging
from pathlib import Path

import msgspec
import torch
from torch import Tensor, nn

from contracts import paths
from contracts.errors import UserError
from networks.checkpoint import Checkpoint
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
    if card.network.noise is not None:
        raise UserError(f"{card.name}: draws random numbers at each step, which a graph of ONNX does not keep for its "
                        "members; export weights without noise")
    content = graph_of(checkpoint)
    ours = OnnxCard(
        name=card.name, grid=msgspec.structs.replace(card.grid, latitude="ascending"),  # the step turns rows itself
        inputs={INPUT: card.outputs}, outputs={OUTPUT: card.outputs}, lead_hours=card.network.lead_hours,
        about=f"{card.about} As a graph by python -m networks export, opset {OPSET}.".strip(), seen=card.seen,
        sha256=hashlib.sha256(content).hexdigest(),
    )
    with paths.writing(path) as partial:
        partial.write_bytes(content)
    with paths.writing(path.with_suffix(".toml")) as partial:
        partial.write_text(cards.to_toml(ours))
    return ours


def graph_of(checkpoint: Checkpoint[ClimaXCard]) -> bytes:
    """The step of a checkpoint as a graph, all its outputs being its channels."""
    step = Step(ClimaXEmulator.of(checkpoint, checkpoint.card.outputs).settled()).eval()
    example = torch.zeros(2, len(checkpoint.card.outputs), *checkpoint.card.horizontal.shape)
    for talkative in ("torch.onnx", "onnx_ir", "onnxscript"):  # of each constant, and operations that no graph has
        logging.getLogger(talkative).setLevel(logging.ERROR)
    done = torch.onnx.export(step, (example,), dynamo=True, input_names=[INPUT], output_names=[OUTPUT],
                             opset_version=OPSET, dynamic_shapes=({0: torch.export.Dim(MEMBER, min=1)},), verbose=False)
    assert done is not None
    model = done.model_proto
    for part in (model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer):
        part.ClearField("metadata_props")  # lines of our code and where it lies, which change the file and nothing else
    return model.SerializeToString(deterministic=True)


class Step(nn.Module):
    """One step of an emulator of one past state, fields in and out."""

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
