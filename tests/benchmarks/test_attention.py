"""The flops of a step, as `attention` writes them down, are those that PyTorch counts."""

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from networks.climax import collapsed
from networks.climax.network import Architecture, ClimaX, initialise
from tests.benchmarks import attention

SIZE = Architecture(nlat=16, nlon=24, variables=5, outputs=3, patch=2, embed_dim=24, depth=3, heads=3)


@pytest.mark.parametrize("size", [SIZE, replace(SIZE, window=(4, 6)), replace(SIZE, patch=4)],
                         ids=["all", "windows", "patch 4"])
def test_flops_are_those_that_are_counted(size):
    network = ClimaX(size)
    initialise(network, torch.Generator().manual_seed(0))
    step = collapsed.Settled(network, 0.06, range(size.variables), range(size.outputs))
    with FlopCounterMode(display=False) as counted, torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        step(torch.randn(1, size.variables, size.nlat, size.nlon))  # bfloat16 forms the products one by one
    assert attention.flops(size)[0] == pytest.approx(counted.get_total_flops(), rel=0.01)
