"""Twenty members through a network of the shipped size: collapsed, as it runs, by PyTorch and by ONNX Runtime, and by
its definition; one thread."""

from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from networks.climax import collapsed
from networks.climax.network import Architecture, ClimaX, initialise
from networks.onnx.export import OPSET

SIZE = Architecture(nlat=32, nlon=64, variables=41, outputs=38, patch=2, embed_dim=192, depth=6, heads=3)
MEMBERS, LEAD = 20, 0.06
GROUP = f"{MEMBERS} members, D{SIZE.embed_dim} depth {SIZE.depth} patch {SIZE.patch}, float32"


@pytest.fixture
def network(benchmark):
    """Shallow where nothing is timed."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield made(replace(SIZE, depth=1) if benchmark.disabled else SIZE)
    torch.set_num_threads(before)


def made(size: Architecture) -> ClimaX:
    network = ClimaX(size)
    initialise(network, torch.Generator().manual_seed(0))
    return network.eval()


def as_it_runs(network: ClimaX) -> collapsed.Settled:
    return collapsed.Settled(network, LEAD, range(SIZE.variables), range(SIZE.outputs)).eval()


@pytest.fixture
def members(benchmark):
    count = 1 if benchmark.disabled else MEMBERS
    return torch.randn(count, 1, SIZE.variables, SIZE.nlat, SIZE.nlon, generator=torch.Generator().manual_seed(1))


@torch.inference_mode()
def test_collapsed(benchmark, network, members):
    benchmark.group, forward = GROUP, as_it_runs(network)
    benchmark.extra_info["float32 flops"] = len(members) * flops(forward, members[0])
    benchmark(lambda: [forward(member) for member in members])


def flops(forward: collapsed.Settled, member: torch.Tensor) -> int:
    """Of its products of matrices."""
    with FlopCounterMode(display=False) as counter, torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        forward(member)
    return counter.get_total_flops()


def test_flops_are_those_of_the_products_of_matrices():
    """Of a block 12 D² + 2 L D multiplications for each of L tokens."""
    member, L, D = torch.zeros(1, SIZE.variables, SIZE.nlat, SIZE.nlon), SIZE.tokens, SIZE.embed_dim
    one, two = (flops(as_it_runs(made(replace(SIZE, depth=depth))), member) for depth in (1, 2))
    assert two - one == 2 * L * (12 * D**2 + 2 * L * D)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of torch about its own calls
def test_by_onnxruntime(benchmark, network, members):
    """`[model.options] engine`"""
    benchmark.group, forward = GROUP, as_it_runs(network)
    benchmark.extra_info["float32 flops"] = len(members) * flops(forward, members[0])
    graph = torch.onnx.export(forward, (members[0],), dynamo=True, input_names=["x"], opset_version=OPSET,
                              verbose=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    content = graph.model_proto.SerializeToString()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    given = [{"x": member.numpy()} for member in members]
    found = benchmark(lambda: [session.run(None, each)[0] for each in given])
    with torch.inference_mode():
        np.testing.assert_allclose(found[0], forward(members[0]).numpy(), atol=1e-4)


@torch.inference_mode()
def test_plain(benchmark, network, members):
    benchmark.group = GROUP
    lead = torch.tensor([LEAD])
    benchmark(lambda: [network(member, lead) for member in members])
