"""From background and table to what a method sees: H(x), the fate of every observation, and a term for each time.

A row belongs to the slot nearest to its own time, where a method asks for slots, else to the analysis time.  Its H(x)
is that of the background there; what the mean changes from the analysis time to the slot is the drift, which its
analysis' equivalent is given too (`obsoperator.own_time`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
from obsoperator import Forward, comparison, tensors
from obsoperator.departures import FirstGuess
from obsoperator.own_time import AtSlots, Between

AT_ANALYSIS = timedelta()


@dataclass(frozen=True)
class Compared:
    """Every row with its fate and its background's H(x), and H of all rows; row i stands at `offsets[slot[i]]`, with
    slots where it lies nearest `between` them."""

    guess: FirstGuess
    forward: Forward
    offsets: Sequence[timedelta]
    slot: np.ndarray  # (nobs,)
    between: Between | None = None

    def terms(self) -> tuple[Term, ...]:
        """Those times that have observations to assimilate."""
        chosen = self.guess.table.flag == Flag.assimilated
        rows = [np.flatnonzero(chosen & (self.slot == number)) for number in range(len(self.offsets))]
        return tuple(self._term(offset, of_it)
                     for offset, of_it in zip(self.offsets, rows, strict=True) if of_it.size)

    def _term(self, offset: timedelta, rows: np.ndarray) -> Term:
        table = self.guess.table.select(rows)
        variance = table.error.astype(np.float64) ** 2
        return Term(offset, table, rows, tensors.on(self.forward.select(rows)), torch.tensor(table.value),
                    torch.tensor(variance))

    def final(self, analysis: np.ndarray, slots: Mapping[timedelta, np.ndarray] | None = None) -> Departures:
        """The rows of `departures.nc`, from the analysis (k, channel, column) and, where it was carried there, that at
        the `slots`; else with the background's drift."""
        if not slots or self.between is None:
            return self.guess.with_analysis(self.forward.apply(analysis).T)
        own = _at_slots(self.between, {AT_ANALYSIS: analysis, **slots}).observed(self.forward)
        return replace(self.guess, drift=None).with_analysis(own.T)


def compare(settings: Settings, space: StateSpace, static: Static, table: Observations, background: np.ndarray,
            slots: Mapping[timedelta, np.ndarray], time: datetime) -> Compared:
    """The fate of every row from `background` (k, channel, column) and that at the `slots`, none where H(x) is to be at
    the analysis time."""
    forward = Forward.of(table, space, static, settings.neural.max_height_difference_m)
    states = {AT_ANALYSIS: background, **slots}
    offsets, between, at_slots, slot = tuple(sorted(states)), None, None, np.zeros(len(table), int)
    if slots:
        seconds = np.array([offset.total_seconds() for offset in offsets])
        between = Between.nearest(table.time - times.to_seconds(time), seconds)
        slot, at_slots = between.before + between.weight.astype(int), _at_slots(between, states)
    seed = settings.experiment.seed, int(times.name(time))
    guess = comparison.judge(table, comparison.observe(forward, background, at_slots), settings.background_check, seed)
    return Compared(guess, forward, offsets, slot, between)


def _at_slots(between: Between, states: Mapping[timedelta, np.ndarray]) -> AtSlots:
    """The `states` (k, channel, column) in the order of their offsets."""
    return AtSlots(between, len(states), lambda slot: states[sorted(states)[slot]])
