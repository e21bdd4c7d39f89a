"""H(x) of one quantity as a gather and a formula.

    H(x)_i = formula(x[entry_1i], …, x[entry_mi])          for the rows i of the quantity

`entry` says which numbers of a state an observation needs, the formula what is made of them.  A formula knows nothing
of grids and uses + - * / ** only: the same lines serve NumPy, torch (`tensors`) and complex numbers, whose step along
the imaginary axis gives a derivative to the last bits.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np

from contracts.variables import Flag

AT_ONCE = 16_384  # numbers that a formula is given of each entry: so many stay in the cache of a core

Rows = np.ndarray | slice


@dataclass(frozen=True)
class Formula(ABC):
    """A map from m numbers for each of n rows to one; its fields are its arrays (…, n)."""

    @abstractmethod
    def __call__(self, x: Sequence[Any]) -> Any:
        """m arrays (…, n) -> (…, n)"""

    def each(self, change: Callable[[Any], Any]) -> Self:
        """The same formula with its arrays changed: some of their rows, or on another device."""
        return replace(self, **{field.name: change(getattr(self, field.name)) for field in fields(self)})

    def at(self, rows: Rows) -> Self:
        """The formula of some of its rows."""
        return self.each(lambda array: array[..., rows])


@dataclass(frozen=True)
class Part:
    """H of n rows of a table: `rows` (n,) their numbers there, `flag` (n,) `passed` where H(x) means something, else
    the reason; `entry` (m, n) into channel * column of a state, and the `formula` of what stands there.

    Each of the m lies in one piece for all rows, as it is read, however the rows were chosen.
    """

    rows: np.ndarray
    flag: np.ndarray
    entry: np.ndarray
    formula: Formula

    def __post_init__(self) -> None:
        object.__setattr__(self, "entry", np.ascontiguousarray(self.entry))
        object.__setattr__(self, "formula", self.formula.each(np.ascontiguousarray))

    def select(self, which: Rows) -> "Part":
        """Some of its rows, by mask, index or slice."""
        return Part(self.rows[which], self.flag[which], self.entry[:, which], self.formula.at(which))

    def existing(self) -> "Part":
        """The rows that have an H(x), be it for departures only.

        A station too far from the model's orography has one; what has none is not evaluated: its numbers mean nothing,
        and the gradient of a NaN that is not looked at, 0 * NaN, is NaN.
        """
        exists = (self.flag == Flag.passed) | (self.flag == Flag.height_difference)
        return self if exists.all() else self.select(exists)

    def apply(self, states: np.ndarray) -> np.ndarray:
        """H(x) (n, member) in double precision of `states` (channel * column, member) of any precision.

        An entry of all members lies in one piece.  Element by element, so that the bits of a member do not depend on
        how many stand beside it.
        """
        values = np.empty((self.rows.size, states.shape[1]))
        at_once = max(1, AT_ONCE // max(1, states.shape[1]))
        for first in range(0, self.rows.size, at_once):
            here = slice(first, first + at_once)
            gathered = [states.take(index, axis=0).astype(np.float64, copy=False) for index in self.entry[:, here]]
            values[here] = self.formula.at(here).each(lambda array: array[..., None])(gathered)
        return values
