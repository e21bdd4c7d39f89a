"""Who is before whom, as far as the blocks tell: a place, or several where a difference may be none.

Of two contestants one is better where the interval of the mean of their paired differences (`bootstrap`) leaves out
zero, and not distinguishable from the other where it does not.  The place of a contestant is then between

    first = 1 + how many are better          last = n - how many are worse

No correction is made for the number of pairs: of twenty contestants that are all alike some pairs will look different.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from verify import bootstrap


@dataclass(frozen=True)
class Place:
    """`first` to `last`, counted from 1, and which others are not distinguishable from it."""

    first: int
    last: int
    equals: tuple[int, ...]

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first} to {self.last}"


def places(values: np.ndarray) -> list[Place]:
    """Of each contestant, by `values` (contestant, block) of which less is better; ValueError for too few blocks."""
    count, blocks = values.shape
    if blocks < bootstrap.LEAST:
        raise ValueError(f"a rank needs at least {bootstrap.LEAST} blocks, got {blocks}")
    if not np.isfinite(values).all():
        raise ValueError("a rank needs a score of every block")
    difference = np.moveaxis(values[:, None] - values[None], -1, 0)  # (block, a, b), below zero where a is better
    low, high = bootstrap.interval(difference)
    better, worse = (high < 0).sum(axis=1), (low > 0).sum(axis=1)
    alike = (low <= 0) & (high >= 0)
    return [Place(1 + int(worse[a]), count - int(better[a]), tuple(b for b in range(count) if alike[a, b] and a != b))
            for a in range(count)]


def order(values: np.ndarray) -> Sequence[int]:
    """Contestants from the least mean to the largest; those that cannot be compared (NaN) last."""
    return [int(i) for i in np.argsort(values.mean(axis=1), kind="stable")]
