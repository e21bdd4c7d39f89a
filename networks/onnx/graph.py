"""A graph of ONNX, looked at before it is trusted, and its step: fields one lead time later, by ONNX Runtime.

The library reads a file of others first in a process of its own (`contracts.guarded`), so that one that it cannot bear
is a sentence; what it then says of tensors, opset and further files is held against the card.
"""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from contracts import guarded
from contracts.errors import UserError, brief
from networks.onnx.card import OnnxCard

DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}


@dataclass(frozen=True)
class Tensor:
    """One that goes in or comes out; an axis that is free is None."""

    shape: tuple[int | None, ...]
    kind: str

    def batch(self, channels: int, horizontal: tuple[int, int], what: str) -> int | None:
        """Members that it takes at once, None for any number; ValueError where channels or grid are others."""
        *front, nlat, nlon = self.shape if len(self.shape) > 2 else (None, None, None)
        free = [size for size in front if size is None]
        known = math.prod(size for size in front if size is not None)
        fits = nlat in (None, horizontal[0]) and nlon in (None, horizontal[1]) and self.kind in DTYPES
        if fits and not free and known == channels:
            return 1
        if fits and len(front) > 1:
            first, rest = front[0], front[1:]
            if None not in rest and math.prod(one for one in rest if one is not None) == channels:
                return first
        shown = ", ".join("any" if size is None else str(size) for size in self.shape)
        raise ValueError(f"{what}: expected {channels} channels on {horizontal[0]} x {horizontal[1]} points of a float "
                         f"type, as the card says, got ({shown}) of {self.kind}")


@dataclass(frozen=True)
class Look:
    """What a file says of itself."""

    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]
    metadata: Mapping[str, str]


def look(path: Path) -> Look:
    """Raises UserError where the file is no graph that ONNX Runtime takes, or reaches out of its folder."""
    if not os.path.isfile(path):  # which bears a name too long
        raise UserError(f"{path}: no such file; expected a graph of ONNX there ([model.options] file)")
    return guarded.read(_look, path)


def _look(path: Path) -> Look:
    """The same in the process that reads."""
    import onnx
    import onnxruntime

    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # whatever protobuf raises
        raise UserError(f"{path}: is no graph of ONNX ({brief(error)})") from None
    _refuse_outside(path, model.graph)
    opset = max((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), default=0)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # of its own kinds, which are no public names
        if any(word in str(error).lower() for word in ("opset", "ir version", "ir_version")):
            raise UserError(f"{path}: has opset {opset}, IR {model.ir_version}, which ONNX Runtime "
                            f"{onnxruntime.__version__} does not take ({brief(error)}); export it with an older one, "
                            "or install a newer onnxruntime") from None
        raise UserError(f"{path}: ONNX Runtime {onnxruntime.__version__} does not take it ({brief(error)})") from None
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    return Look(_tensors(session.get_inputs()), _tensors(session.get_outputs()), metadata)


def _tensors(nodes: Sequence[Any]) -> dict[str, Tensor]:
    return {node.name: Tensor(tuple(size if isinstance(size, int) and size > 0 else None for size in node.shape),
                              node.type) for node in nodes}


def _refuse_outside(path: Path, graph: Any) -> None:
    """Raises UserError where weights lie outside of the folder of `path`, or are not there."""
    folder = path.resolve().parent
    for tensor in _held(graph):
        for entry in tensor.external_data:
            if entry.key == "location":
                file = (folder / entry.value).resolve()
                if not file.is_relative_to(folder):
                    raise UserError(f"{path}: asks for weights in {entry.value}, outside of its folder, which is not "
                                    "read; put them beside it and export it anew")
                if not file.is_file():
                    raise UserError(f"{path}: its weights in {entry.value} are not there; copy that file beside it")


def _held(graph: Any) -> Iterator[Any]:
    """All tensors that a graph holds, those of graphs within it too."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for inner in (attribute.g, *attribute.graphs):
                yield from _held(inner)


@dataclass(frozen=True)
class Graph:
    """A graph that fits its card, loaded; `members` it takes at once, None where any number."""

    card: OnnxCard
    session: Any
    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]
    members: int | None

    def __call__(self, fed: np.ndarray) -> np.ndarray:
        """Inputs (B, input, lat, lon) in the card's order -> outputs float32 (B, output, lat, lon)."""
        turned = fed[..., ::-1, :] if self.card.grid.latitude == "descending" else fed
        feeds, at = {}, 0
        for name, channels in self.card.inputs.items():
            part, tensor = turned[:, at : at + len(channels)], self.inputs[name]
            at += len(channels)
            feeds[name] = np.ascontiguousarray(part, DTYPES[tensor.kind]).reshape(self._shape(tensor, len(fed)))
        found = self.session.run(list(self.card.outputs), feeds)
        whole = np.concatenate([np.asarray(one, np.float32).reshape(len(fed), -1, *fed.shape[-2:]) for one in found],
                               axis=1)
        return whole[..., ::-1, :] if self.card.grid.latitude == "descending" else whole

    def _shape(self, tensor: Tensor, members: int) -> tuple[int, ...]:
        """Of what the tensor takes for `members`; only the first axis may be free, beside those of the grid."""
        *front, _, _ = tensor.shape
        return (*(members if size is None else size for size in front), *self.card.horizontal.shape)


def opened(path: Path, card: OnnxCard, seen: Look, providers: Sequence[str]) -> Graph:
    """The graph, one thread to a run; raises UserError where its tensors are not those of the card."""
    import onnxruntime

    batches = set()
    for what, tensors, named in (("input", seen.inputs, card.inputs), ("output", seen.outputs, card.outputs)):
        if missing := [name for name in named if name not in tensors]:
            raise UserError(f"{path}: has no {what} {missing[0]!r}, which its card names; it has "
                            f"{', '.join(tensors) or 'none'}")
        for name, channels in named.items():
            try:
                batches.add(tensors[name].batch(len(channels), card.horizontal.shape, f"{what} {name}"))
            except ValueError as error:
                raise UserError(f"{path}: {error}") from None
    if lacking := [name for name in seen.inputs if name not in card.inputs]:
        raise UserError(f"{path}: needs the input {lacking[0]!r}, of which its card says nothing")
    fixed = sorted(size for size in batches if size is not None)
    if len(set(fixed)) > 1:
        raise UserError(f"{path}: its tensors hold different numbers of members, {fixed[0]} and {fixed[-1]}")
    try:
        session = _session(str(path), providers)
    except Exception as error:
        raise UserError(f"{path}: ONNX Runtime {onnxruntime.__version__} does not take it ({brief(error)})") from None
    return Graph(card, session, seen.inputs, seen.outputs, fixed[0] if fixed else None)


def of_ours(content: bytes, card: OnnxCard) -> Graph:
    """A graph that this process, or one like it, has made (`export`), on a CPU."""
    session = _session(content, ["CPUExecutionProvider"])
    return Graph(card, session, _tensors(session.get_inputs()), _tensors(session.get_outputs()), None)


def _session(model: str | bytes, providers: Sequence[str]) -> Any:
    """One thread to a run."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=list(providers))
