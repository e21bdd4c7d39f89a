"""Small graphs of ONNX with their cards, made by hand."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 18


def written(path: Path, nodes: list, inputs: Mapping[str, tuple], outputs: Mapping[str, tuple],
            held: Mapping[str, np.ndarray] | None = None, opset: int = OPSET, card: str = "") -> onnx.ModelProto:
    """A graph of these nodes at `path`; an axis may be a word. With `card` it holds that text itself."""
    tensors = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in some.items()]
               for some in (inputs, outputs)]
    graph = helper.make_graph(nodes, "made", *tensors,
                              [numpy_helper.from_array(array, name) for name, array in (held or {}).items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    if card:
        helper.set_model_props(model, {"card": card})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())
    return model


def mixing(path: Path, matrix: np.ndarray, horizontal: tuple[int, int], members: int | str = "member",
           **more) -> onnx.ModelProto:
    """y = matrix x at each point, x (member, n, lat, lon), y (member, m, lat, lon)"""
    m, n = matrix.shape
    return written(path, [helper.make_node("Conv", ["x", "matrix"], ["y"])], {"x": (members, n, *horizontal)},
                   {"y": (members, m, *horizontal)}, {"matrix": matrix.astype(np.float32)[:, :, None, None]}, **more)


def inertia(path: Path, channels: int, horizontal: tuple[int, int]) -> onnx.ModelProto:
    """y = now + ½ (now - before), as the model of that name among the examples."""
    shape = ("member", channels, *horizontal)
    nodes = [helper.make_node("Sub", ["now", "before"], ["change"]),
             helper.make_node("Mul", ["half", "change"], ["some"]), helper.make_node("Add", ["now", "some"], ["y"])]
    return written(path, nodes, {"now": shape, "before": shape}, {"y": shape}, {"half": np.array(0.5, np.float32)})


def card(inputs: Mapping[str, list[str]], outputs: Mapping[str, list[str]], horizontal: tuple[int, int],
         head: str = "", grid: str = "", more: str = "") -> str:
    nlat, nlon = horizontal
    lines = ['contract = "onnx-card/1"', 'name = "made"', "lead_hours = 6", head, "[grid]", f"nlat = {nlat}",
             f"nlon = {nlon}", grid, "[inputs]", *(f"{name} = {names}" for name, names in inputs.items()),
             "[outputs]", *(f"{name} = {names}" for name, names in outputs.items()), more]
    return "\n".join(lines).replace("'", '"') + "\n"
