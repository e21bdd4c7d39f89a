"""H(x) of each observation at its own time t, from the background at slots around the analysis time t0.

Linear in time between H(x) of the two neighbouring slots (`contracts.slots`) s and s + 1:

    h_i(t) = H x_i(t_s) + a [H x_i(t_{s+1}) − H x_i(t_s)],     a = (t − t_s) / (t_{s+1} − t_s)

    instant   d = y − mean H x(t0)     Y of H x_i(t0)     as if all had been observed at the analysis time
    fgat      d = y − mean h(t)        Y of H x_i(t0)     first guess at appropriate time
    4d        d = y − mean h(t)        Y of h_i(t)        the four-dimensional LETKF

(fgat: Lorenc & Rawlins 2005, QJRMS 131, 3247; 4d: Hunt et al. 2004, Tellus A 56, 273; Hunt et al. 2007.)

What the mean changes from t0 to t is the drift, mean h(t) − mean H x(t0).  An analysis stands at t0 only: its
equivalents at t are taken to be H xᵃ(t0) + drift, its increment as it is at t0.  An observation before the first slot
or after the last one is out of the window.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from obsoperator.forward import Forward


@dataclass(frozen=True)
class Between:
    """Where n observations lie among slots: the number of the slot `before` (n,), the `weight` (n,) of the next one in
    0 … 1, and whether they are `inside` the slots (n,)."""

    before: np.ndarray
    weight: np.ndarray
    inside: np.ndarray

    @classmethod
    def of(cls, time: np.ndarray, slots: np.ndarray) -> "Between":
        """From times (n,) and at least two slots (slot,) in ascending order, both in s."""
        before = np.clip(np.searchsorted(slots, time, side="right") - 1, 0, slots.size - 2)
        weight = (time - slots[before]) / (slots[before + 1] - slots[before])
        return cls(before, np.clip(weight, 0.0, 1.0), (slots[0] <= time) & (time <= slots[-1]))

    @classmethod
    def nearest(cls, time: np.ndarray, slots: np.ndarray) -> "Between":
        """The same, each observation at the slot nearest to it, the later of two equally near ones; inside up to half a
        slot beyond the ends."""
        at = np.searchsorted((slots[1:] + slots[:-1]) / 2, time, side="right")
        before, half = np.minimum(at, slots.size - 2), np.diff(slots)[[0, -1]] / 2
        inside = (slots[0] - half[0] <= time) & (time <= slots[-1] + half[1])
        return cls(before, (at - before).astype(float), inside)

    def select(self, rows: slice) -> "Between":
        """Some of the observations."""
        return Between(self.before[rows], self.weight[rows], self.inside[rows])

    def needs(self, slot: int) -> np.ndarray:
        """(n,) numbers of the observations that need H(x) at a slot."""
        return np.flatnonzero((self.before == slot) & (self.weight < 1) | (self.before == slot - 1) & (self.weight > 0))


@dataclass(frozen=True)
class AtSlots:
    """The background at slots: where observations lie `between` them, and its members there, `states(slot)` (member,
    channel, column) of each of the `count` slots, asked for in order and once."""

    between: Between
    count: int
    states: Callable[[int], np.ndarray]

    def observed(self, H: Forward) -> np.ndarray:
        """h(t) (member, n) of the n rows of H."""
        between, at_slot = self.between, self.states(0)
        h = np.full((2, len(at_slot), between.before.size), np.nan)  # at the slot before and at the next one
        for slot in range(self.count):
            at_slot = self.states(slot) if slot else at_slot
            rows = between.needs(slot)
            if rows.size:
                found, next_one = H.select(rows).apply(at_slot), (between.before[rows] != slot).astype(int)
                h[next_one, :, rows] = found.T
        before, after = np.where(between.weight < 1, h[0], h[1]), np.where(between.weight > 0, h[1], h[0])
        return before + between.weight * (after - before)


def compared(method: str, hx: np.ndarray, own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What stands for H(x) (n, k) with `method` "fgat" or "4d", and the drift (n,); from H(x) at the analysis time `hx`
    and at the observations' `own` times (n, k)."""
    drift = own.mean(axis=1) - hx.mean(axis=1)
    return (own if method == "4d" else hx + drift[:, None]), drift
