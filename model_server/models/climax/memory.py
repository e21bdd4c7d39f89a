"""How many members go through the network in one pass on a GPU.

The number decides the shapes of the products, and with them the last bits.  It follows from all of the card's memory,
not from what happens to be free, and is one of a few: 20 members on any card that holds them, at each start the same.
"""

from collections.abc import Sequence

import torch

from networks.climax.network import Architecture

PASSES = (20, 10, 5, 2, 1)
FLOAT = 4  # bytes
SHARE = 0.5  # of the memory; the rest is for the libraries' work space and for others


def members_of_a_pass(size: Architecture, devices: Sequence[torch.device]) -> int:
    """As many as half of the memory of the smallest device holds, at least one."""
    total = min(torch.cuda.mem_get_info(device)[1] for device in devices)
    return fitting(size, SHARE * total)


def fitting(size: Architecture, room: float) -> int:
    """The largest of PASSES that fits into `room` bytes, or one."""
    return next((members for members in PASSES if members * per_member(size) <= room), 1)


def per_member(size: Architecture) -> float:
    """Bytes that a member needs at the widest place of the forward pass: an estimate from above.

    In the aggregation pixels weighted by each head and their copy, (H, L, V (p² + 1)) twice; in a block the residual,
    its norm, q, k, v and the output with the hidden layer and its activation, L D (6 + 2 mlp_ratio).
    """
    aggregation = 2 * size.heads * size.tokens * size.variables * (size.patch**2 + 1)
    block = size.tokens * size.embed_dim * (6 + 2 * size.mlp_ratio)
    fields = 4 * (size.variables + size.outputs) * size.nlat * size.nlon
    return FLOAT * (max(aggregation, block) + fields)
