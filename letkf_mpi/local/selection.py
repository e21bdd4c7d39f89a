"""A limit on the number of local observations of each kind: the nearest are kept.

Where thousands of aircraft reports surround a point, most are redundant and their errors are not independent as R
has it; a limit also bounds the cost of a point (Hamrud, Bonavita & Isaksen 2015, MWR 143, 4847).  Nearest is what has
the largest taper ρ, which weighs horizontal and vertical distance together.

One number limits each quantity.  A table names kinds: a quantity, of which so many are kept whatever reported them, or
a message type, of which so many of each quantity are kept.  Message types come first, quantities then choose among
what they left; what is not named is not limited.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from contracts.variables import Quantity


@dataclass(frozen=True)
class Limit:
    """At most `most` (n,) of those of the observations that share a `kind` (n,); both of every row of a table."""

    kind: np.ndarray
    most: np.ndarray

    @cached_property
    def number(self) -> np.ndarray:
        """(n,) the kinds counted from 0."""
        return np.unique(self.kind, return_inverse=True)[1].reshape(-1)

    @cached_property
    def most_of_each(self) -> np.ndarray:
        """(kind,)"""
        return self.most[np.unique(self.kind, return_index=True)[1]]

    def kept(self, rows: np.ndarray, taper: np.ndarray) -> np.ndarray:
        """Mask (p,) of the `rows` (p,) to keep, those of the largest `taper` (p,)."""
        return nearest(self.kind[rows], taper, self.most[rows])


def limits(chosen: int | Mapping[str, int] | None, quantity: np.ndarray, message_type: np.ndarray) -> tuple[Limit, ...]:
    """What [localization] nearest means for a table of observations by `quantity` and `message_type` (n,)."""
    if chosen is None:
        return ()
    if isinstance(chosen, int):
        return (Limit(quantity, np.full(quantity.size, chosen)),)
    types = {name.encode(): most for name, most in chosen.items() if name not in Quantity.__members__}
    quantities = {Quantity[name].value: most for name, most in chosen.items() if name in Quantity.__members__}
    of_type = np.unique(message_type, return_inverse=True)[1].reshape(-1) * (max(Quantity) + 1) + quantity
    found = (Limit(of_type, _most(message_type, types)), Limit(quantity, _most(quantity, quantities)))
    return tuple(limit for limit, named in zip(found, (types, quantities), strict=True) if named)


def _most(column: np.ndarray, named: Mapping) -> np.ndarray:
    """(n,) the limit of each row by what stands in its `column`; more than there are rows where it is not named."""
    return np.array([named.get(value, column.size + 1) for value in column.tolist()], dtype=np.intp)


def nearest(kind: np.ndarray, taper: np.ndarray, most: int | np.ndarray) -> np.ndarray:
    """Mask (p,) of at most `most` ≥ 1 observations of each `kind` (p,), those of the largest `taper` (p,).

    `most` is one number or that of each observation's kind (p,).  Of equal ones the first are kept, so that the choice
    follows from the table alone.
    """
    order = np.lexsort((-taper, kind))  # by kind, then from near to far; stable
    sorted_kind = kind[order]
    starts = np.searchsorted(sorted_kind, sorted_kind)  # where each kind begins
    rank = np.empty(kind.size, np.intp)
    rank[order] = np.arange(kind.size) - starts
    return rank < most
