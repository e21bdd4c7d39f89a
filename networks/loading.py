"""Weights of a checkpoint into a network of torch."""

import numpy as np
import torch
from torch import nn

from networks import checkpoint as checkpoints
from networks.checkpoint import Checkpoint


def fill(network: nn.Module, found: Checkpoint, whose: object) -> None:
    """Fill the network with the weights of `found`; raises UserError, which names `whose` they are, where they do not
    fit."""
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    checkpoints.refuse_mismatch(str(whose), expected, {name: array.shape for name, array in found.weights.items()})
    network.load_state_dict({name: torch.from_numpy(np.ascontiguousarray(array))
                             for name, array in found.weights.items()})
