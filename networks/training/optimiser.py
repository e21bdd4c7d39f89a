"""What moves the weights: AdamW alone, or Muon for the matrices in the network's middle and AdamW for all else.

AdamW (Loshchilov & Hutter 2019) does not decay embeddings, biases and norms.  Muon (Jordan et al. 2024; Liu et al.
2025, arXiv 2502.16982) makes the momentum of each matrix orthogonal before it steps; scaled as in the second it takes
AdamW's learning rates.
"""

from collections.abc import Iterable
from typing import Literal

import torch
from torch import nn

from networks.training.task import Roles

Name = Literal["adamw", "muon"]
PLAIN = Roles()


class Optimiser:
    """One or two of torch's optimisers, used as one."""

    def __init__(self, network: nn.Module, name: Name, weight_decay: float, roles: Roles = PLAIN):
        named = {key: parameter for key, parameter in network.named_parameters() if parameter.requires_grad}
        muon = roles.hidden & named.keys() if name == "muon" else frozenset()
        still = roles.still | {key for key, parameter in named.items() if parameter.dim() < 2}
        groups = [{"params": _chosen(named, named.keys() - muon - still), "weight_decay": weight_decay},
                  {"params": _chosen(named, (still & named.keys()) - muon), "weight_decay": 0.0}]
        self._parts: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, betas=(0.9, 0.99), fused=True)]
        if muon:
            matrices = _chosen(named, muon)
            self._parts += [torch.optim.Muon(matrices, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")]

    def zero_grad(self) -> None:
        for part in self._parts:
            part.zero_grad(set_to_none=True)

    def step(self, rate: float) -> None:
        """One step with the learning rate `rate`."""
        for part in self._parts:
            for group in part.param_groups:
                group["lr"] = rate
            part.step()

    def state_dict(self) -> list[dict]:
        return [part.state_dict() for part in self._parts]

    def load_state_dict(self, states: list[dict]) -> None:
        for part, state in zip(self._parts, states, strict=True):
            part.load_state_dict(state)


def _chosen(named: dict[str, nn.Parameter], keys: Iterable[str]) -> list[nn.Parameter]:
    wanted = set(keys)
    return [parameter for key, parameter in named.items() if key in wanted]
