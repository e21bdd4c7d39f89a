"""A model of another package behind the protocol of forecast models, one member after the other.

One by one, because many of these models draw their random numbers from what the process draws from: a member that is
alone, with a seed of its own, has the same bits however members are batched.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from contracts.errors import UserError
from contracts.state import StateSpace
from model_server.models.base import Batch, Restart
from model_server.models.foreign.exchange import Exchange

OWN = "own"  # in a restart
Periods = tuple[tuple[datetime, datetime], ...]  # first and last times

# fields (history, read, point), the time of the last, a seed -> fields (give, point) one step later
Run = Callable[[np.ndarray, datetime, int], np.ndarray]


def told(seen: tuple[datetime, datetime] | None) -> Periods:
    """What a model's training saw, from the options: such models do not say it themselves."""
    return () if seen is None else ((seen[0].astimezone(UTC), seen[1].astimezone(UTC)),)


def history(read: Sequence[timedelta], step: timedelta, whose: str) -> int:
    """How many states a model of this `step` reads, at these times before its start; raises UserError where they are
    others than the present and those before it."""
    if list(read) != [-step * back for back in reversed(range(len(read)))]:
        raise UserError(f"{whose} reads states of {', '.join(map(str, read))}; expected the present one and those "
                        f"before it, each its step of {step} earlier")
    return len(read)


@dataclass(frozen=True)
class Foreign:
    """Members one `time_step` later by `run`; `begin` (own, point) is what they have beside their channels at first."""

    name: str
    exchange: Exchange
    run: Run
    time_step: timedelta
    history: int
    begin: np.ndarray
    identity: Mapping[str, str] | None = None
    seen: Periods = ()

    @property
    def space(self) -> StateSpace:
        return self.exchange.space

    @property
    def keeps_restart(self) -> bool:
        return bool(self.exchange.own)

    def step(self, batch: Batch) -> Batch:
        """All members one `time_step` later."""
        seeds = [int(one.integers(2**31)) for one in batch.generators()] if batch.members else [0] * len(batch.data)
        before = [None] * len(batch.data) if batch.before is None else batch.before
        stepped = [self._member(batch.time, seed, *each)
                   for seed, *each in zip(seeds, before, batch.data, batch.restart, strict=True)]
        data, kept = zip(*stepped, strict=True)
        return Batch(batch.time + self.time_step, np.stack(data), kept)

    def _member(self, time: datetime, seed: int, before: np.ndarray | None, present: np.ndarray,
                kept: Restart | None) -> tuple[np.ndarray, Restart | None]:
        """Fields (channel, lat, lon) and the restart of one member."""
        states = [present] if before is None else [before, present]
        own = kept[OWN] if kept else np.stack([self.begin] * len(states))  # (history, own, point)
        fields = np.stack([self.exchange.into(*pair) for pair in zip(states, own, strict=True)])
        data, later = self.exchange.out_of(self.run(fields, time, seed), own[-1])
        return data, {OWN: np.stack([*own[1:], later])} if self.keeps_restart else None
