"""What the training times say by themselves, in two passes over them: the map that is to be beaten, and scales.

    middle = mean B c      size² = area mean of the variance of B c      m = mean (y - B c) of the last days
    s² = half of the mean of (y - g)² at the place, half of it along the row, at least (LEAST x that of the channel)²

What interpolation misses at a place differs by season, so that a map is of some days.  It errs more in times that it
was not made of: so the training times are cut into folds of FOLD days, and what a fold has left is told about the map
of as many days around it, without itself and its neighbours, in s and in the training itself.  Anomalies of members
have no mean, and no map.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from networks.downscale.network import DAY, Downscaler

LEAST = 0.15
FOLD = 5  # days
Fields = Callable[[], Iterable[Tensor]]  # pieces of y (B, channel, lat, lon), the same ones each time


@dataclass(frozen=True)
class Fold:
    """Some training times one after the other: their numbers, and the first and last of them in s since 1970."""

    numbers: np.ndarray
    first: int
    last: int

    @property
    def middle(self) -> float:
        return (self.first + self.last) / 2


@dataclass(frozen=True)
class Maps:
    """A map for each of some `folds`, `maps` (fold, channel, lat, lon)."""

    folds: Sequence[Fold]
    maps: Tensor

    def map(self, seconds: np.ndarray) -> Tensor:
        """(B, channel, lat, lon) of training times."""
        which = np.searchsorted([fold.last for fold in self.folds], seconds)
        return self.maps[torch.from_numpy(which).to(self.maps.device)]


def cut(numbers: np.ndarray, seconds: np.ndarray) -> list[Fold]:
    """Folds of the times with these `numbers` of all times `seconds`."""
    numbers = np.sort(numbers)
    which = (seconds[numbers] - seconds[numbers[0]]) // (FOLD * DAY)
    parts = [numbers[which == one] for one in np.unique(which)]
    return [Fold(part, int(seconds[part[0]]), int(seconds[part[-1]])) for part in parts]


def around(folds: Sequence[Fold], days: float) -> list[np.ndarray]:
    """Numbers of the folds that the map of each is made of: those within half of `days`, but itself and its neighbours;
    where there are none, all others; where there is no other, itself."""
    middle = np.array([fold.middle for fold in folds])
    far = np.abs(np.arange(len(folds))[:, None] - np.arange(len(folds)))
    near = (np.abs(middle[:, None] - middle) <= (days + FOLD) / 2 * DAY) & (far > 1)
    near |= ~near.any(axis=1, keepdims=True) & (far > 0)
    near |= ~near.any(axis=1, keepdims=True)
    return [np.flatnonzero(row) for row in near]


@torch.no_grad()
def fit(network: Downscaler, folds: Sequence[Fold], fields: Sequence[Fields], days: float, area: Tensor) -> Maps:
    """Fill the buffers of `network` by the `fields` of each of the `folds`; maps are of so many `days`. `area`
    (lat, lon) are weights of mean one."""
    quantity, none = network.quantity, torch.zeros_like(network.map, dtype=torch.float64)
    there, square, off, count = none, none, [], []
    for of_fold in fields:
        off.append(none.clone())
        count.append(0)
        for y in of_fold():
            bilinear = quantity.scales.bilinear(quantity.coarse(y)).double()
            there, square = there + bilinear.sum(0), square + bilinear.square().sum(0)
            off[-1] += (y - bilinear).sum(0) * quantity.has_mean
            count[-1] += len(y)
    total = sum(count)
    middle = there / total * quantity.has_mean
    network.middle.copy_(middle)
    network.size.copy_(_positive((area * (square / total - middle**2)).mean((-2, -1), keepdim=True)).sqrt())
    sums, numbers = torch.stack(off), torch.tensor(count, device=none.device)

    def mean(chosen: np.ndarray) -> Tensor:
        return (sums[chosen].sum(0) / numbers[chosen].sum()).float()

    last = [number for number, fold in enumerate(folds) if fold.last > folds[-1].last - days * DAY]
    network.map.copy_(mean(np.array(last)))
    maps = torch.stack([mean(chosen) for chosen in around(folds, days)])
    network.scale.copy_(_left(network, fields, maps, area))
    return Maps(folds, maps)


def _left(network: Downscaler, fields: Sequence[Fields], maps: Tensor, area: Tensor) -> Tensor:
    """s"""
    quantity, square, count = network.quantity, torch.zeros_like(network.scale, dtype=torch.float64), 0
    for of_fold, of_others in zip(fields, maps, strict=True):
        for y in of_fold():
            coarse = quantity.coarse(y)
            guess = quantity.closed(quantity.scales.bilinear(coarse) + of_others, coarse)
            square, count = square + (y - guess).double().square().sum(0), count + len(y)
    square = square / count
    whole = (area * square).mean((-2, -1), keepdim=True)
    return torch.maximum((square + square.mean(-1, keepdim=True)) / 2, _positive(LEAST**2 * whole)).sqrt()


def _positive(x: Tensor) -> Tensor:
    return x.clamp(min=torch.finfo(torch.float32).tiny)
