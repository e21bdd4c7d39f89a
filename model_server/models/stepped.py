"""An emulator behind the protocol of forecast models: members in passes, and what a stochastic one remembers of them.

A network with noise makes members of the same state differ: each draws its own numbers from (seed, time, member), and
what it remembers of them is kept in its restart.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from contracts import times
from contracts.state import StateSpace
from model_server.models.base import Batch
from networks.noise import Noise
from networks.passes import Passes

NOISE = "noise"  # in a restart


@dataclass(frozen=True)
class Stepped:
    """Members one `time_step` later by `passes`."""

    space: StateSpace
    name: str
    time_step: timedelta
    passes: Passes
    seen: tuple[tuple[datetime, datetime], ...] = ()  # as the card says
    identity: Mapping[str, str] | None = None  # the weights and what they are multiplied in
    noise: Noise | None = None  # of a network that has it
    noise_factor: float = 1.0
    history: int = 1

    @property
    def keeps_restart(self) -> bool:
        return self.noise is not None

    def step(self, batch: Batch) -> Batch:
        """All members one `time_step` later."""
        seconds, later = times.to_seconds(batch.time), batch.time + self.time_step
        if self.noise is None:
            return Batch(later, self.passes.step(batch.data, seconds), (None,) * len(batch.data))
        kept = [(own or {}).get(NOISE) for own in batch.restart]
        noise = [self.noise.next(*pair) for pair in zip(kept, batch.generators(), strict=True)]
        data = self.passes.step(batch.data, seconds, np.float32(self.noise_factor) * np.stack(noise))
        return Batch(later, data, tuple({NOISE: one} for one in noise))
