"""What the training times say by themselves, in two passes over them: the map that is to be beaten, and scales.

    middle = mean B c      size² = area mean of the variance of B c      m = mean (y - B c)
    s² = half of the mean of (y - g)² at the place, half of it along the row, at least (LEAST x that of the channel)²

A map errs more in times that it was not made of. So the training times are cut into FOLDS, one after the other: what a
fold has left is told about the map of all others, in s and in the training itself.  Anomalies of members have no mean,
and no map.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from networks.downscale.network import Downscaler

LEAST = 0.15
FOLDS = 5
Fields = Callable[[], Iterable[Tensor]]  # pieces of y (B, channel, lat, lon), the same ones each time


@dataclass(frozen=True)
class Folds:
    """The map of all times but those of a fold, `maps` (fold, channel, lat, lon), of times to `last` (fold,)."""

    last: np.ndarray  # s since 1970
    maps: Tensor

    def map(self, seconds: np.ndarray) -> Tensor:
        """(B, channel, lat, lon) of training times."""
        return self.maps[torch.from_numpy(np.searchsorted(self.last, seconds)).to(self.maps.device)]


def cut(numbers: np.ndarray) -> list[np.ndarray]:
    """Numbers of the times of each fold, none of them empty."""
    return [part for part in np.array_split(np.sort(numbers), FOLDS) if len(part)]


@torch.no_grad()
def fit(network: Downscaler, folds: Sequence[Fields], area: Tensor) -> Tensor:
    """Fill the buffers of `network`; returns the map of all but each fold (fold, channel, lat, lon). `area` (lat, lon)
    are weights of mean one."""
    quantity, none = network.quantity, torch.zeros_like(network.map, dtype=torch.float64)
    there, square, off, count = none, none, [], []
    for fields in folds:
        off.append(none.clone())
        count.append(0)
        for y in fields():
            bilinear = quantity.scales.bilinear(quantity.coarse(y)).double()
            there, square = there + bilinear.sum(0), square + bilinear.square().sum(0)
            off[-1] += (y - bilinear).sum(0) * quantity.has_mean
            count[-1] += len(y)
    total = sum(count)
    middle = there / total * quantity.has_mean
    network.middle.copy_(middle)
    network.size.copy_(_positive((area * (square / total - middle**2)).mean((-2, -1), keepdim=True)).sqrt())
    all_off = torch.stack(off).sum(0)
    network.map.copy_(all_off / total)
    others = [(all_off - own) / max(1, total - n) for own, n in zip(off, count, strict=True)]
    maps = torch.stack(others if len(folds) > 1 else off).float()
    network.scale.copy_(_left(network, folds, maps, area))
    return maps


def _left(network: Downscaler, folds: Sequence[Fields], maps: Tensor, area: Tensor) -> Tensor:
    """s"""
    quantity, square, count = network.quantity, torch.zeros_like(network.scale, dtype=torch.float64), 0
    for fields, of_others in zip(folds, maps, strict=True):
        for y in fields():
            coarse = quantity.coarse(y)
            guess = quantity.closed(quantity.scales.bilinear(coarse) + of_others, coarse)
            square, count = square + (y - guess).double().square().sum(0), count + len(y)
    square = square / count
    whole = (area * square).mean((-2, -1), keepdim=True)
    return torch.maximum((square + square.mean(-1, keepdim=True)) / 2, _positive(LEAST**2 * whole)).sqrt()


def _positive(x: Tensor) -> Tensor:
    return x.clamp(min=torch.finfo(torch.float32).tiny)
