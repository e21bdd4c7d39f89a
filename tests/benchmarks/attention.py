"""What a step of ClimaX takes on a fine grid: attention to all patches, within windows, and with larger patches.

    python -m tests.benchmarks.attention 48 96 --embed-dim 128 --depth 4 --heads 2 --window 6 8
    python -m tests.benchmarks.attention 128 256 --embed-dim 192 --depth 6 --heads 3 --window 8 16 --engine torch

Prints, for each, processor seconds of a step of a member (38 channels of random fields, weights as a training begins,
float32, one thread; the least of some rounds by turns), the share of them that softmax(q kᵀ/√d) v takes with the
gathering of windows, by PyTorch, and the floor: multiplications and additions of a step

    linear     24 L D² a block, 2 L H V (p² + 1) (1 + d) + 2 L D² of the aggregation, 2 L D (2 D + V_out p²) of the head
    attention  4 D times the number of pairs of patches that see each other, a block

over what the same core reaches in products of 1024 x 1024 matrices by either engine.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from unittest import mock

import msgspec
import numpy as np
import onnxruntime
import torch
from onnx import TensorProto, helper

from contracts import program
from contracts.config import StateSettings
from contracts.grid import Grid
from networks.checkpoint import Checkpoint
from networks.climax import emulator, network, stepping, windows
from networks.climax.network import Architecture, ClimaX, initialise
from networks.onnx import export, graph
from tests.networks import climax_builders as made

SURFACE = ("2m_temperature", "10m_u_component_of_wind", "10m_v_component_of_wind")
Step = Callable[[], object]


def main(arguments: Sequence[str]) -> None:
    parser = program.parser("python -m tests.benchmarks.attention", __doc__ or "",
                            "python -m tests.benchmarks.attention 48 96 --window 6 8")
    parser.add_argument("grid", type=int, nargs=2, metavar=("NLAT", "NLON"))
    parser.add_argument("--window", type=int, nargs=2, required=True, metavar=("ROWS", "COLUMNS"))
    for name, value in (("embed-dim", 128), ("depth", 4), ("heads", 2), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--engine", choices=("torch", "onnxruntime"), nargs="+", default=["torch", "onnxruntime"])
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    sizes = {name: getattr(options, name) for name in ("embed_dim", "depth", "heads")}
    asked = {"patch 2": {"patch": 2}, f"patch 2, windows of {options.window[0]} x {options.window[1]}":
             {"patch": 2, "window": tuple(options.window)}, "patch 4": {"patch": 4}}
    cases = {name: Case.of(options.grid, sizes | own, options.engine) for name, own in asked.items()}
    for line in table(cases, options.rounds):
        print(line)


@dataclass(frozen=True)
class Case:
    """A network and its step by each engine."""

    size: Architecture
    steps: dict[str, Step]

    @classmethod
    def of(cls, grid: Sequence[int], sizes: dict, engines: Sequence[str]) -> "Case":
        space = StateSettings(at_surface=SURFACE).space(Grid.regular(*grid))
        bare = made.card(space)
        card = msgspec.structs.replace(bare, network=msgspec.structs.replace(bare.network, **sizes))
        fresh = ClimaX(stepping.architecture(card))
        initialise(fresh, torch.Generator().manual_seed(0))
        constants = {name: np.zeros(space.grid.shape, np.float32) for name in ("land_sea_mask", "orography")}
        weights = {name: array.numpy() for name, array in fresh.state_dict().items()}
        stepped = emulator.emulator(Checkpoint(card, weights, constants), space, "a fresh network")
        fields = np.random.default_rng(0).standard_normal((1, *space.shape), np.float32)
        normal = stepped.stepping.mean.numpy() + stepped.stepping.std.numpy() * fields
        return cls(fresh.size, {engine: _step(stepped, normal, engine) for engine in engines})


def _step(stepped: emulator.ClimaXEmulator, fields: np.ndarray, engine: str) -> Step:
    if engine == "torch":
        given = torch.from_numpy(fields)
        return torch.inference_mode()(lambda: stepped.advance((given,), 0))
    kept = graph.of_ours(export.graph_of(export.Step(stepped)), export.card_of(stepped.stepping.card, stepped.channels))
    return lambda: kept(fields)


def table(cases: dict[str, Case], rounds: int) -> Iterator[str]:
    """Markdown."""
    peak = flops_a_second()
    engines = list(next(iter(cases.values())).steps)
    seconds = least(cases, rounds)
    names = ["patches", *(f"{engine}, s" for engine in engines), "attention", "Gflop", "attention", "floor, s"]
    yield f"| {peak / 1e9:.0f} Gflop/s | {' | '.join(names)} |"
    yield "|---|" + "---|" * len(names)
    for name, case in cases.items():
        every, own = flops(case.size)
        share = "" if "torch" not in engines else f"{attention_share(case.steps['torch']):.0%}"
        took = " | ".join(f"{seconds[name, engine]:.3f}" for engine in engines)
        yield (f"| {name} | {case.size.tokens} | {took} | {share} | {every / 1e9:.1f} | {own / every:.0%} | "
               f"{every / peak:.3f} |")


def least(cases: dict[str, Case], rounds: int) -> dict[tuple[str, str], float]:
    """Processor seconds of a step by case and engine, the least of `rounds` after one to begin with, by turns."""
    each = {(name, engine): step for name, case in cases.items() for engine, step in case.steps.items()}
    found = [{key: taken(step) for key, step in each.items()} for _ in range(rounds + 1)][1:]
    return {key: min(one[key] for one in found) for key in each}


def taken(step: Step) -> float:
    """Processor seconds."""
    began = time.process_time()
    step()
    return time.process_time() - began


def attention_share(step: Step) -> float:
    """Of the processor time of a step by PyTorch, that of products among patches and of bringing them together."""
    spent: list[float] = []

    @contextmanager
    def timed(where: object, name: str) -> Iterator[None]:
        real = getattr(where, name)

        def measured(*arguments: object) -> object:
            began = time.process_time()
            result = real(*arguments)
            spent.append(time.process_time() - began)
            return result

        with mock.patch.object(where, name, measured):
            yield

    with (timed(network.functional, "scaled_dot_product_attention"), timed(windows.Windows, "split"),
          timed(windows.Windows, "joined")):
        whole = taken(step)
    return sum(spent) / whole


def flops(size: Architecture) -> tuple[float, float]:
    """Of a step, and of its attention alone."""
    length, width, pixels = size.tokens, size.embed_dim, size.patch**2
    linear = 24 * length * width**2 * size.depth  # with an MLP four times as wide
    linear += 2 * length * size.variables * (pixels + 1) * (size.heads + width) + 2 * length * width**2
    linear += 2 * length * width * (2 * width + size.outputs * pixels)
    pairs = sum(seen(size, shifted=number % 2 == 1) for number in range(size.depth))
    return linear + 4 * width * pairs, 4 * width * pairs


def seen(size: Architecture, shifted: bool) -> int:
    """Pairs of patches that see each other in a block."""
    if size.window is None:
        return size.tokens**2
    return int((np.bincount(windows.numbers(size.patches, size.window, shifted).ravel()) ** 2).sum())


def flops_a_second() -> float:
    """What the core reaches in products of matrices, float32, by the faster of PyTorch and ONNX Runtime."""
    matrix, info = torch.randn(1024, 1024), helper.make_tensor_value_info
    whole = [info(name, TensorProto.FLOAT, matrix.shape) for name in ("one", "other", "product")]
    node = helper.make_node("MatMul", ["one", "other"], ["product"])
    model = helper.make_model(helper.make_graph([node], "product", whole[:2], whole[2:]), ir_version=10,
                              opset_imports=[helper.make_opsetid("", export.OPSET)])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    run = onnxruntime.InferenceSession(model.SerializeToString(), options)
    given = {"one": matrix.numpy(), "other": matrix.numpy()}
    products = (lambda: matrix @ matrix, lambda: run.run(None, given))
    return 2 * 1024**3 / min(taken(product) for product in products for _ in range(20))


if __name__ == "__main__":
    program.run(main, "attention")
