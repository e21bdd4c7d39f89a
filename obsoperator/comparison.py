"""From a background and a table to the first guess: what every analysis does before it analyses.

    found = observe(H, X)                        # H(x) of the members, where H has its rows
    guess = judge(table, found, check, seed)     # the fate of every row, and what of it the analysis sees

A program whose processes share rows has each `decide` of its own, with a way to put together what all found, and tells
once, with `tell`, what `judge` does.  With `slots` observations are compared at their own times (`own_time`).
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from contracts.observations import Observations
from contracts.variables import Flag
from obsoperator import own_time
from obsoperator.departures import BackgroundCheck, FirstGuess, first_guess, strange_errors
from obsoperator.forward import Forward
from obsoperator.own_time import AtSlots

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Equivalents:
    """What k members say of n rows: `hx` (n, k) at the analysis time, pressure of their `ground` (n, k) Pa, `flag` (n,)
    `passed` where a row can be compared, else the reason; with slots `own` (n, k), H(x) at the observations' own
    times."""

    hx: np.ndarray
    ground: np.ndarray
    flag: np.ndarray
    own: np.ndarray | None = None


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
    guess = decide(table, found, check, seed, method)
    tell(table, guess.table.flag, check)
    return guess


def decide(table: Observations, found: Equivalents, check: BackgroundCheck, seed: tuple[int, ...], method: str = "4d",
           of_all: Callable[[np.ndarray], np.ndarray] = lambda of_these: of_these) -> FirstGuess:
    """The same without a word; `of_all` as in `departures.first_guess`."""
    hx, drift = (found.hx, None) if found.own is None else own_time.compared(method, found.hx, found.own)
    return first_guess(table, hx, found.ground, found.flag, check, seed, drift, of_all)


def tell(table: Observations, flag: np.ndarray, check: BackgroundCheck) -> None:
    """Warn of rows of a `table` as it came whose fate `flag` (nobs,) is to have an error that no observation has."""
    for line in strange_errors(table, flag, check):
        log.warning("%s", line)
