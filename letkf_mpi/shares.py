"""Arrays that many processes need whole and make by shares: how that is done is a matter of those who know them.

    by_shares(count, make)      make(slice) gives arrays (…, n) of a part of `count` things, which stand side by side
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

Make = Callable[[slice], Sequence[np.ndarray]]


class ByShares(Protocol):
    """What gives the arrays that `make` makes of all of `count` things."""

    def __call__(self, count: int, make: Make) -> Sequence[np.ndarray]: ...


def alone(count: int, make: Make) -> Sequence[np.ndarray]:
    """For one process: all at once."""
    return make(slice(0, count))
