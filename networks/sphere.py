"""Convolutions on a latitude-longitude grid: round in longitude, and across the poles.

Beyond the last row lies that row again, half way round the globe: what a walk over the pole would meet.
"""

import torch
from torch import Tensor, nn


def padded(x: Tensor) -> Tensor:
    """(…, lat, lon) -> (…, lat + 2, lon + 2)"""
    half = x.shape[-1] // 2
    x = torch.cat([x[..., :1, :].roll(half, -1), x, x[..., -1:, :].roll(half, -1)], dim=-2)
    return torch.cat([x[..., -1:], x, x[..., :1]], dim=-1)


class Convolution(nn.Conv2d):
    """Of 3 x 3 points."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__(inputs, outputs, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, input, lat, lon) -> (B, output, lat, lon)"""
        return super().forward(padded(x))


def silence(layer: nn.Module) -> None:
    """Let a layer say nothing before it has learned."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


class Block(nn.Module):
    """x + what two convolutions make of it, nothing before it has learned."""

    def __init__(self, width: int):
        super().__init__()
        self.first, self.second = Convolution(width, width), Convolution(width, width)
        silence(self.second)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, lat, lon) -> the same shape"""
        return x + self.second(nn.functional.gelu(self.first(nn.functional.gelu(x))))


class ToldBlock(nn.Module):
    """The same where the convolutions are told some `numbers` of each field; nothing before it has learned."""

    def __init__(self, width: int, numbers: int):
        super().__init__()
        self.first, self.second = Convolution(width, width), Convolution(width, width)
        self.told = nn.Linear(numbers, 2 * width)
        silence(self.second)
        silence(self.told)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        """(B, width, lat, lon) and (B, number) -> (B, width, lat, lon)"""
        factor, shift = self.told(told)[..., None, None].chunk(2, dim=1)
        return x + self.second(nn.functional.gelu(self.first(nn.functional.gelu(x)) * (1 + factor) + shift))
