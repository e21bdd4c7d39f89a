"""Twenty members through a network of the shipped size: collapsed, as it runs, and by its definition; one thread."""

import pytest
import torch

from networks.climax import collapsed
from networks.climax.network import Architecture, ClimaX, initialise

SIZE = Architecture(nlat=32, nlon=64, variables=41, outputs=38, patch=2, embed_dim=192, depth=6, heads=3)
MEMBERS, LEAD = 20, 0.06
GROUP = f"{MEMBERS} members, D{SIZE.embed_dim} depth {SIZE.depth} patch {SIZE.patch}, float32"


@pytest.fixture
def network():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    made = ClimaX(SIZE)
    initialise(made, torch.Generator().manual_seed(0))
    yield made.eval()
    torch.set_num_threads(before)


@pytest.fixture
def members():
    return torch.randn(MEMBERS, 1, SIZE.variables, SIZE.nlat, SIZE.nlon, generator=torch.Generator().manual_seed(1))


def test_collapsed(benchmark, network, members):
    benchmark.group = GROUP
    forward = collapsed.Settled(network, LEAD, range(SIZE.variables), range(SIZE.outputs))
    benchmark(lambda: [forward(member) for member in members])


@torch.inference_mode()
def test_plain(benchmark, network, members):
    benchmark.group = GROUP
    lead = torch.tensor([LEAD])
    benchmark(lambda: [network(member, lead) for member in members])
