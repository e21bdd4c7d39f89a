"""One step later: the one definition that training, skill, forecasts and variational analyses share.

A network that carries states forward stands behind an `Emulator`: fields in SI units in, fields in SI units out,
differentiable all the way.  What a network does not use, draws or parameters, is refused rather than ignored.
"""

from datetime import timedelta
from typing import Literal, Protocol

import numpy as np
from torch import Tensor, nn

from networks.noise import Noise

State = tuple[Tensor, ...]  # fields (B, channel, lat, lon) of `history` times, one step apart, the present ones last
Precision = Literal["float32", "tf32", "bfloat16"]  # of the products of a step
Seconds = int | np.ndarray  # valid time of the present fields since 1970, one for all or (B,)


class Emulator(nn.Module):
    """A network as a step in time; a kind of network says in `next` what its step is."""

    channels: tuple[str, ...]  # of the fields, in order
    step: timedelta
    history: int = 1  # times that a state holds
    stochastic: bool = False  # whether a step takes random numbers
    noise: Noise | None = None  # which ones, where they remain from step to step
    parameter_names: tuple[str, ...] = ()  # what may be told about the model itself

    def advance(self, state: State, time: Seconds, steps: int = 1, draws: Tensor | None = None,
                parameters: Tensor | None = None) -> State:
        """The state `steps` steps later.

        `draws` (steps, B, …) are the random numbers of a stochastic network, `parameters` (B, parameter) those of
        one that has parameters.  Raises ValueError where the state has another number of times, or where draws or
        parameters are lacking or not used.
        """
        self._refuse_other(state, steps, draws, parameters)
        seconds = int(self.step.total_seconds())
        for number in range(steps):
            draw = None if draws is None else draws[number]
            state = (*state[1:], self.next(state, time + number * seconds, draw, parameters))
        return state

    def next(self, state: State, time: Seconds, draw: Tensor | None, parameters: Tensor | None) -> Tensor:
        """The fields one step after `state`."""
        raise NotImplementedError

    def _refuse_other(self, state: State, steps: int, draws: Tensor | None, parameters: Tensor | None) -> None:
        whose = type(self).__name__
        if len(state) != self.history:
            raise ValueError(f"{whose}: expected a state of {self.history} times, got {len(state)}")
        if self.stochastic != (draws is not None) or (draws is not None and len(draws) != steps):
            expected = f"draws for {steps} steps" if self.stochastic else "no draws, it takes none"
            raise ValueError(f"{whose}: expected {expected}, got {'none' if draws is None else len(draws)}")
        if bool(self.parameter_names) != (parameters is not None):
            expected = ", ".join(self.parameter_names) or "no parameters, it takes none"
            raise ValueError(f"{whose}: expected {expected}, got {'none' if parameters is None else 'some'}")


class Steps(Protocol):
    """Steps forward, in whatever batches: what a validation and a free run ask for."""

    def __call__(self, fields: Tensor, seconds: np.ndarray) -> Tensor:
        """Fields (B, channel, lat, lon) at the times `seconds` (B,) -> those one step later."""
        ...
