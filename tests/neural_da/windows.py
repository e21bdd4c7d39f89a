"""Small models of a window: one that changes nothing, one that shifts and mixes, linear, and a small ClimaX."""

from datetime import timedelta

import torch
from torch import Tensor

from networks.climax.emulator import ClimaXEmulator
from networks.emulator import Emulator, Seconds, State
from networks.latent import eof
from networks.latent.operator import Operator
from neural_da import latent_4d_var
from neural_da.latent_4d_var import Prepared
from neural_da.methods import Latent4DVar
from neural_da.trajectory import Trajectory
from tests.networks import climax_builders
from tests.neural_da import made

STEP = timedelta(hours=6)


class Still(Emulator):
    """Nothing changes."""

    channels, step = tuple(channel.name for channel in made.SPACE.channels), STEP

    def next(self, state: State, time: Seconds, draw: Tensor | None, parameters: Tensor | None) -> Tensor:
        return state[0]


class Drifting(Still):
    """All fields move east by a point and lose a tenth of what they have against their mean over longitude."""

    def next(self, state: State, time: Seconds, draw: Tensor | None, parameters: Tensor | None) -> Tensor:
        (fields,) = state
        mean = fields.mean(-1, keepdim=True)
        return mean + 0.9 * (fields.roll(1, -1) - mean)


def climax(dtype: torch.dtype = torch.float64) -> ClimaXEmulator:
    """With random weights, in the states of `made`."""
    checkpoint = climax_builders.checkpoint(climax_builders.card(made.SPACE))
    return ClimaXEmulator.of(checkpoint, [channel.name for channel in made.SPACE.channels]).settled().to(dtype)


def method(model: Emulator, of: eof.Eof | None = None, recompute: bool = False, **settings) -> Prepared:
    """In double precision, to convergence, where nothing else is asked for."""
    settings = {"precision": "float64", "tolerance": 1e-10, "iterations": 2000, "latent": "none"} | settings
    chosen = Latent4DVar(**settings)
    dtype = getattr(torch, chosen.precision)
    return Prepared(latent_4d_var.of_3d_var(chosen), Operator.of(of or made.latent(), dtype=dtype),
                    Trajectory(model.to(dtype), made.SPACE, dtype, recompute), timedelta(hours=24))
