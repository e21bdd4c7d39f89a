"""The network of a flow: how an error grows out of noise, told the state, its forecast, the place and the date.

    q(θ) = cos θ n + sin θ r,   θ from 0 to π/2        n of the Gaussian `source`, r the error over its scale
    dq/dθ = N(q, θ; x, M(x)),   N learns E[cos θ r - sin θ n | q, x]
    r from n: `steps` of Heun's method from q = n;     E[r | q] = sin θ q + cos θ N

Flow matching (Lipman et al. 2022, arXiv 2210.02747) on the trigonometric interpolant (Albergo and Vanden-Eijnden 2023,
arXiv 2209.15571), which keeps the variance: where the errors are draws of the Gaussian and tell nothing of the state N
is zero, and before it has learned it is zero to the bit, so that r = n.

What N is told of a state ends where the states of the training did (`most`): beyond it N was never taught, and what it
makes up there would be in the next state, and grow from step to step.
"""

from collections.abc import Callable, Sequence
from math import pi

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, pixel_shuffle, pixel_unshuffle

from contracts.grid import Grid
from networks import planes, season
from networks.emulator import Precision
from networks.flow.source import Source
from networks.sphere import ToldBlock, silence

PATCH = 2  # points of the grid, in each direction
DATE = 2  # numbers of the year that N is told: its first harmonic
WAVES = 4  # harmonics of θ
TOLD = 64  # numbers that tell it


class Flow(nn.Module):
    """N, its source, the `scale` (channel, lat, lon) of errors, in standard deviations of the tendency, and `most`
    (field, lat), up to which the first fields of `conditions` are told, state and change; `winds` says which channels
    are components of one, by default none."""

    still: Tensor
    area: Tensor  # of each place, zero for channels that are no wind
    scale: Tensor
    most: Tensor

    def __init__(self, grid: Grid, channels: int, width: int, blocks: int, still: np.ndarray,
                 precision: Precision = "float32", winds: Sequence[bool] = ()):
        super().__init__()
        self.channels, self.precision = channels, precision
        self.source = Source(grid, channels)
        self.told = nn.Sequential(nn.Linear(2 * WAVES, TOLD), nn.GELU(), nn.Linear(TOLD, TOLD), nn.GELU())
        self.enter = nn.Conv2d((3 * channels + planes.COUNT + DATE) * PATCH**2, width, 1)
        self.blocks = nn.ModuleList(ToldBlock(width, TOLD) for _ in range(blocks))
        self.leave = nn.Conv2d(width, channels * PATCH**2, 1)
        silence(self.leave)
        self.register_buffer("scale", torch.ones(channels, *grid.shape))
        self.register_buffer("most", torch.full((2 * channels, grid.shape[0]), torch.finfo(torch.float32).max))
        of_winds = np.asarray(winds or [False] * channels, np.float32)[:, None, None] * grid.area_weights
        self.register_buffer("area", torch.tensor(of_winds, dtype=torch.float32), persistent=False)
        self.register_buffer("still", torch.tensor(still, dtype=torch.float32), persistent=False)

    def forward(self, q: Tensor, theta: Tensor, told: Tensor) -> Tensor:
        """N (B, channel, lat, lon) of q at θ = `theta` (B,), `told` the fields of `conditions`."""
        x = pixel_unshuffle(torch.cat([q, told], dim=1), PATCH)
        with torch.autocast(q.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            x, waves = self.enter(x), self.told(self.waves(theta))
            for block in self.blocks:
                x = block(x, waves)
            found = self.leave(gelu(x))
        return pixel_shuffle(found.float(), PATCH)

    def conditions(self, state: Tensor, change: Tensor, seconds: np.ndarray) -> Tensor:
        """(B, field, lat, lon): a normalised state, the forecast less it in standard deviations of the tendency, the
        place, and the date of the times `seconds` (B,)."""
        date = torch.tensor(season.basis(seconds, 1 + DATE)[:, 1:], dtype=state.dtype, device=state.device)
        date = date[..., None, None].expand(-1, -1, *state.shape[-2:])
        most = self.most[..., None]
        known = torch.cat([state, change], dim=1).clamp(-most, most)
        return torch.cat([known, self.still.expand(len(state), -1, -1, -1), date], dim=1)

    def unmoving(self, r: Tensor) -> Tensor:
        """`r` (B, channel, lat, lon) less a number for each wind: the error, scale times that, has no mean of it over
        the globe."""
        share = self.area * self.scale
        whole = share.sum(dim=(-2, -1), keepdim=True).clamp(min=torch.finfo(share.dtype).tiny)
        return r - (share * r).sum(dim=(-2, -1), keepdim=True) / whole

    def waves(self, theta: Tensor) -> Tensor:
        """(B, 2 WAVES)"""
        angle = theta[:, None] * torch.arange(1, WAVES + 1, dtype=theta.dtype, device=theta.device)
        return torch.cat([angle.sin(), angle.cos()], dim=1)


Velocity = Callable[[Tensor, float], Tensor]  # N of q at θ, for given conditions


def velocity(flow: Flow, told: Tensor) -> Velocity:
    """N of one set of conditions, without what is finer than the source: the forecast gives none of it, and a network
    would make it grow from step to step at the poles, where points lie close together.  And without what it would move
    the winds' means over the globe by, which are left to the source: no place shows them, and nothing would bring back
    what N adds to them at each step."""
    return lambda q, theta: flow.unmoving(flow.source.smooth(flow(q, q.new_full((len(q),), theta), told)))


def advanced(q: Tensor, theta: float, step: float, N: Velocity) -> Tensor:
    """q one step of Heun's method later."""
    first = N(q, theta)
    second = N(q + step * first, theta + step)
    return q + step / 2 * (first + second)


def angles(steps: int) -> np.ndarray:
    """(steps + 1,) θ from the source to the error."""
    return np.linspace(0.0, pi / 2, steps + 1)


def grown(q: Tensor, steps: int, N: Velocity) -> Tensor:
    """The error r, over its scale, that grows out of q of the source."""
    at = angles(steps)
    for theta, later in zip(at[:-1], at[1:], strict=True):
        q = advanced(q, float(theta), float(later - theta), N)
    return q


def estimate(q: Tensor, theta: float, N: Velocity) -> Tensor:
    """E[r | q] as N has it."""
    return np.sin(theta) * q + np.cos(theta) * N(q, theta)
