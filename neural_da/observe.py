"""From background and table to what a method sees: H(x), the fate of every observation, and a term for each time.

A row belongs to the slot nearest to its own time, where a method asks for slots, else to the analysis time.  Its H(x)
is that of the background there; what the mean changes from the analysis time to the slot is the drift, which its
analysis' equivalent is given too (`obsoperator.own_time`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import torch

from contracts import times
from contracts.observations import Departures, Observations
from contracts.state import StateSpace
from contracts.static import Static
from contracts.variables import Flag
from neural_da.config import Settings
from neural_da.problem import Term
from obsoperator import Forward, departures, tensors
from obsoperator.departures import FirstGuess

AT_ANALYSIS = timedelta()


@dataclass(frozen=True)
class Compared:
    """Every row with its fate and its background's H(x), and H of all rows; row i stands at `offsets[slot[i]]`."""

    guess: FirstGuess
    forward: Forward
    offsets: Sequence[timedelta]
    slot: np.ndarray  # (nobs,)

    def final(self, analysis: np.ndarray) -> Departures:
        """The rows of `departures.nc`, from the analysis (k, channel, column)."""
        return self.guess.with_analysis(self.forward.apply(analysis).T)


@dataclass(frozen=True)
class Observed:
    """What H is made from, whichever the table."""

    settings: Settings
    space: StateSpace
    static: Static

    def forward(self, table: Observations) -> Forward:
        """H of the rows of a table."""
        return Forward.of(table, self.space, self.static, self.settings.neural.max_height_difference_m)

    def terms(self, compared: Compared) -> tuple[Term, ...]:
        """Those times that have observations to assimilate."""
        chosen = compared.guess.table.flag == Flag.assimilated
        rows = [np.flatnonzero(chosen & (compared.slot == number)) for number in range(len(compared.offsets))]
        return tuple(self._term(offset, compared, of_it)
                     for offset, of_it in zip(compared.offsets, rows, strict=True) if of_it.size)

    def _term(self, offset: timedelta, compared: Compared, rows: np.ndarray) -> Term:
        device, table = self.settings.neural.device, compared.guess.table.select(rows)
        variance = table.error.astype(np.float64) ** 2
        return Term(offset, table, rows, tensors.on(compared.forward.select(rows), device, torch.float64),
                    torch.tensor(table.value, device=device), torch.tensor(variance, device=device))

    def compare(self, table: Observations, background: np.ndarray, slots: Mapping[timedelta, np.ndarray],
                time: datetime) -> Compared:
        """The fate of every row from `background` (k, channel, column) and that of the `slots`, none where H(x) is to
        be at the analysis time."""
        forward, drift = self.forward(table), None
        hx, flag = forward.apply(background).T, forward.flag
        offsets: Sequence[timedelta] = (AT_ANALYSIS,)
        slot = np.zeros(len(table), int)
        if slots:
            offsets = sorted([AT_ANALYSIS, *slots])
            slot, inside = nearest(table.time - times.to_seconds(time), offsets)
            flag = np.where(inside | (flag != Flag.passed), flag, np.int8(Flag.out_of_window))
            own = self._at_slots(forward, {AT_ANALYSIS: background, **slots}, offsets, slot)
            hx, drift = own, own.mean(axis=1) - hx.mean(axis=1)
        seed = self.settings.experiment.seed, int(times.name(time))
        guess = departures.first_guess(table, hx, forward.ground_pressure(background).T, flag,
                                       self.settings.background_check, seed, drift)
        return Compared(guess, forward, offsets, slot)

    @staticmethod
    def _at_slots(forward: Forward, states: Mapping[timedelta, np.ndarray], offsets: Sequence[timedelta],
                  slot: np.ndarray) -> np.ndarray:
        """H(x) (nobs, k) of each row at its slot."""
        hx = np.full((forward.flag.size, len(states[AT_ANALYSIS])), np.nan)
        for number, offset in enumerate(offsets):
            rows = np.flatnonzero(slot == number)
            if rows.size:
                hx[rows] = forward.select(rows).apply(states[offset]).T
        return hx


def nearest(seconds: np.ndarray, offsets: Sequence[timedelta]) -> tuple[np.ndarray, np.ndarray]:
    """Of times (n,) in s from the analysis time the number of the nearest of the `offsets`, ascending, and whether they
    lie no further beyond the first or the last one than half a slot."""
    at = np.array([offset.total_seconds() for offset in offsets])
    between = (at[1:] + at[:-1]) / 2
    half = (at[1:] - at[:-1]).max(initial=0.0) / 2
    return np.searchsorted(between, seconds, side="right"), (at[0] - half <= seconds) & (seconds <= at[-1] + half)
