"""From a background and a table to the first guess: what every analysis does before it analyses.

    found = observe(H, X)                        # H(x) of the members, where H has its rows
    guess = judge(table, found, check, seed)     # the fate of every row, and what of it the analysis sees

A program whose processes share members or rows gathers what each `observe`d, array by array, before it `judge`s; one
without processes does nothing in between.  With `slots` observations are compared at their own times (`own_time`).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from contracts.observations import Observations
from contracts.variables import Flag
from obsoperator import own_time
from obsoperator.departures import BackgroundCheck, FirstGuess, first_guess
from obsoperator.forward import Forward
from obsoperator.own_time import AtSlots


@dataclass(frozen=True)
class Equivalents:
    """What k members say of n rows: `hx` (n, k) at the analysis time, pressure of their `ground` (n, k) Pa, `flag` (n,)
    `passed` where a row can be compared, else the reason; with slots `own` (n, k), H(x) at the observations' own
    times."""

    hx: np.ndarray
    ground: np.ndarray
    flag: np.ndarray
    own: np.ndarray | None = None

    def each(self, change: Callable[[np.ndarray], np.ndarray], flag: np.ndarray) -> "Equivalents":
        """The same with its arrays (n, k) changed and another `flag`: those of more members or rows."""
        return Equivalents(change(self.hx), change(self.ground), flag, None if self.own is None else change(self.own))


def observe(H: Forward, X: np.ndarray, slots: AtSlots | None = None) -> Equivalents:
    """Of members `X` (k, channel, column) at the analysis time, and at `slots` of the n rows of H."""
    found = Equivalents(H.apply(X).T, H.ground_pressure(X).T, H.flag)
    if slots is None:
        return found
    flag = np.where(slots.between.inside | (H.flag != Flag.passed), H.flag, np.int8(Flag.out_of_window))
    return replace(found, flag=flag, own=slots.observed(H).T)


def judge(table: Observations, found: Equivalents, check: BackgroundCheck, seed: tuple[int, ...],
          method: str = "4d") -> FirstGuess:
    """The fate of every row of a table from what all members say of all its rows.

    `seed` of everything random: the experiment's and the time.  With slots `method` "4d" or "fgat" says what stands for
    H(x), see `own_time`.
    """
    hx, drift = (found.hx, None) if found.own is None else own_time.compared(method, found.hx, found.own)
    return first_guess(table, hx, found.ground, found.flag, check, seed, drift)
