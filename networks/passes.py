"""Members through an emulator: on which devices, how many at once, how many side by side.

Members go through the network `at_once` at a time, the last group filled up with copies, so that each product has the
same shape and a member the same bits whatever it is batched with.  On a CPU one member at a time fills a core, and
members run side by side, one thread each.  On several GPUs the passes go round the devices.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np
import torch

from contracts import control_groups
from contracts.errors import UserError
from contracts.state import StateSpace
from networks import card as cards
from networks import kinds
from networks.checkpoint import card_path
from networks.emulator import Emulator, Seconds, Steps

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Lane:
    """An emulator on one device, for passes of `at_once` members."""

    device: torch.device
    emulator: Emulator
    at_once: int

    @torch.inference_mode()
    def pass_through(self, members: np.ndarray, seconds: np.ndarray, draws: np.ndarray | None) -> np.ndarray:
        """At most `at_once` members (member, channel, lat, lon), in a pass of always the same shape."""
        rows = np.minimum(np.arange(self.at_once), len(members) - 1)
        drawn = None if draws is None else self._moved(draws[rows])[None]
        (later,) = self.emulator.advance((self._moved(members[rows]),), seconds[rows], draws=drawn)
        return later[: len(members)].cpu().numpy()

    def _moved(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, np.float32)).to(self.device)


@dataclass(frozen=True)
class Passes:
    """Lanes on devices of one kind, with `threads` side by side on each."""

    lanes: tuple[Lane, ...]
    threads: int

    @classmethod
    def of(cls, emulators: Sequence[Emulator], devices: Sequence[torch.device] = (CPU,), at_once: int = 1,
           threads: int | None = None) -> "Passes":
        """One emulator to a device, which it goes to; on a CPU by default as many side by side as it has cores."""
        lanes = [Lane(device, one.to(device), at_once) for one, device in zip(emulators, devices, strict=True)]
        on_gpu = devices[0].type == "cuda"
        return cls(tuple(lanes), threads=1 if on_gpu else threads or control_groups.processors())

    def step(self, members: np.ndarray, seconds: Seconds, draws: np.ndarray | None = None) -> np.ndarray:
        """All members (member, channel, lat, lon), valid at `seconds` since 1970, one step later.

        `draws` (member, …) float32 are the random numbers of a stochastic network.  The groups go round the devices in
        fixed turn.
        """
        size = self.lanes[0].at_once
        when = np.broadcast_to(seconds, len(members))
        groups = [(members[i : i + size], when[i : i + size], None if draws is None else draws[i : i + size])
                  for i in range(0, len(members), size)]
        with ExitStack() as stack:
            pools = [stack.enter_context(_pool(self.threads)) for _ in self.lanes]
            work = zip(cycle(zip(pools, self.lanes, strict=True)), groups, strict=False)
            later = [pool.submit(lane.pass_through, *group) for (pool, lane), group in work]
        return np.concatenate([one.result() for one in later])


def emulator_of(weights: Path, space: StateSpace) -> Emulator:
    """The emulator of trained weights of any kind, for states of `space`.

    Raises UserError where they do not fit, make no forecasts, or several of one state.
    """
    card = cards.read(card_path(weights), weights)
    make = getattr(kinds.module(card.kind), "make_emulator", None)
    if make is None:
        raise UserError(f"{weights}: a network of the kind {card.kind} makes no forecasts; name others")
    emulator: Emulator = make(weights, space)
    if emulator.stochastic:
        raise UserError(f"{weights}: draws random numbers at each step, and one forecast of a state is asked for; name "
                        "weights without noise")
    return emulator


def steps_of(emulator: Emulator) -> Steps:
    """Steps on a CPU with the bits of forecasts, one member at a time."""
    members = Passes.of([emulator])
    return lambda fields, seconds: torch.from_numpy(members.step(fields.numpy(), seconds))


def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads that torch does not split any further."""
    return ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
