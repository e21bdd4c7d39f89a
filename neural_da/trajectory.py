"""A model inside an analysis: from the state at the beginning of a window to those at its slots, differentiable.

    x(t_i) = M(x(t_{i-1})),      M one or more steps of an emulator (networks.emulator)

What autograd keeps of a step for the way back decides how much memory a gradient takes.  With `recompute` only the
states between steps are kept, and each step is made a second time on the way back: the same bits, less memory.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import checkpoint

from contracts import times
from contracts.config import Experiment
from contracts.errors import UserError
from contracts.state import StateSpace
from networks import card as cards
from networks import passes, starter, unseen
from networks.checkpoint import card_path
from networks.emulator import Emulator


@dataclass(frozen=True)
class Trajectory:
    """States of `space` carried from `begin` on by an emulator with a history of one time."""

    emulator: Emulator
    space: StateSpace
    dtype: torch.dtype  # of the emulator
    recompute: bool = False  # steps on the way back, instead of keeping what they need

    def states(self, x: Tensor, begin: datetime, offsets: Sequence[timedelta]) -> list[Tensor]:
        """`x` (channel, column) at `begin` -> those at the `offsets`, ascending: `x` itself at 0, all of its type."""
        fields, here, found = x.to(self.dtype).unflatten(-1, self.space.grid.shape)[None], timedelta(), []
        for offset in offsets:
            for _ in range(self.steps(offset - here)):
                fields, here = self._step(fields, times.to_seconds(begin + here)), here + self.emulator.step
            found.append(fields[0].flatten(-2).to(x.dtype) if here else x)
        return found

    def members(self, X: np.ndarray, begin: datetime, offsets: Sequence[timedelta],
                threads: int) -> dict[timedelta, np.ndarray]:
        """Members `X` (k, channel, column) at `begin` carried to the `offsets` after it, ascending: the bits of
        forecasts."""
        def carry(x: np.ndarray) -> list[np.ndarray]:
            with torch.no_grad():
                return [state.numpy() for state in self.states(torch.from_numpy(x), begin, offsets)]

        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            found = list(pool.map(carry, X))
        return {offset: np.stack([states[i] for states in found]) for i, offset in enumerate(offsets)}

    def steps(self, duration: timedelta) -> int:
        """How many the model takes for a `duration`; raises UserError where that is no whole number."""
        steps, rest = divmod(duration, self.emulator.step)
        if rest or steps < 0:
            raise UserError(f"[slots] are {duration / timedelta(hours=1):g} h apart, and the model of the window steps "
                            f"{self.emulator.step / timedelta(hours=1):g} h: expected a multiple of that")
        return steps

    def memory(self, steps: int) -> float:
        """Bytes that a gradient through so many steps keeps: counted in one step from a state of zeros."""
        fields = torch.zeros(1, *self.space.shape, dtype=self.dtype, requires_grad=True)
        state, of_step = fields.numel() * fields.element_size(), kept(self.emulator, fields)
        return float(of_step + steps * state if self.recompute else steps * of_step)

    def _step(self, fields: Tensor, seconds: int) -> Tensor:
        if self.recompute and torch.is_grad_enabled():
            return checkpoint(_advance, self.emulator, fields, seconds, use_reentrant=False, preserve_rng_state=False)
        return _advance(self.emulator, fields, seconds)


def _advance(emulator: Emulator, fields: Tensor, seconds: int) -> Tensor:
    (later,) = emulator.advance((fields,), seconds)
    return later


def kept(emulator: Emulator, fields: Tensor) -> int:
    """Bytes that autograd keeps of one step from `fields`, weights not counted."""
    weights = {part.untyped_storage().data_ptr() for part in (*emulator.parameters(), *emulator.buffers())}
    sizes: dict[int, int] = {}

    def count(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(count, lambda tensor: tensor):
        later = _advance(emulator, fields, 0)  # held until all is counted, so that no memory is counted twice
    del later
    return sum(sizes.values())


def read(name: str, space: StateSpace, experiment: Experiment | None, dtype: torch.dtype,
         recompute: bool) -> Trajectory:
    """With the weights of that `name`; raises UserError where they do not fit, or have seen times of the experiment."""
    weights = starter.find(name, ".safetensors")
    unseen.refuse_times_of(experiment, weights, cards.read(card_path(weights), weights).seen, "[neural]")
    emulator = passes.emulator_of(weights, space)
    if emulator.history != 1 or emulator.stochastic or emulator.parameter_names:
        raise UserError(f"{weights}: needs several times, draws or parameters, and a window is carried from one state "
                        "alone; name weights that need none")
    return Trajectory(emulator.to(dtype), space, dtype, recompute)

