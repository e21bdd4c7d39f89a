r"""What a trained network says of a latent, and what of that the observations say.

Trained against states of a climate N(m_c, c) it gives the mean mu and variance r of a latent z given observations *and*
that climate.  For Gaussians the likelihood of the observations alone has

    1/r' = 1/r - 1/c           z_o'/r' = mu/r - m_c/c

Both are kept as they stand here, precision and precision times value: an observation that says nothing has 0 and 0.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from contracts.config import Experiment
from contracts.errors import UserError
from contracts.state import StateSpace
from networks import checkpoint as checkpoints
from networks import planes, unseen
from networks.checkpoint import Checkpoint
from networks.latent.operator import Operator
from networks.loading import fill
from networks.o2l import network
from networks.o2l.card import O2LCard
from networks.o2l.network import Observer


@dataclass(frozen=True)
class Information:
    """Of a latent: `precision` 1/r (size,), and `weighted` z_o/r (size,)."""

    precision: Tensor
    weighted: Tensor

    def of_each(self, count: float) -> "Information":
        """What each of `count` estimates says that have their errors in common."""
        return Information(self.precision / count, self.weighted / count)

    def without(self, mean: Tensor, variance: Tensor) -> "Information":
        """Without the prior N(`mean`, `variance`) that is in it; where it says no more than that, nothing."""
        precision = (self.precision - 1 / variance).clamp(min=0)
        return Information(precision, torch.where(precision > 0, self.weighted - mean / variance, 0.0))


def combined(mean: Tensor, variance: Tensor, of: Information) -> tuple[Tensor, Tensor]:
    """Mean and variance of N(`mean`, `variance`) given the observations: each number of a latent by itself.

        p = 1 / (1/b + 1/r)          z_a = p (z_b/b + z_o/r) = z_b + p (z_o/r - z_b/r)
    """
    p = 1 / (1 / variance + of.precision)
    return mean + p * (of.weighted - of.precision * mean), p


def posterior(observer: Observer, gathered: np.ndarray, seconds: int) -> Information:
    """mu and r of one time, from its observations (2, size) by `gridding.gridded`."""
    observed = torch.from_numpy(gathered).unflatten(-1, (observer.shape.channels, *observer.grid.shape))
    with torch.no_grad():
        found = observer(observed[None], np.array([seconds]))
    precision = (-found.log_variance[0].double()).exp()
    return Information(precision, found.mean[0].double() * precision)


def climate(observer: Observer, seconds: int) -> tuple[Tensor, Tensor]:
    """m_c and c (size,) of a date."""
    with torch.no_grad():
        xi = observer.mean_of(np.array([seconds]))[0]
        return observer.latent.project(xi).double(), observer.climate.double().exp()


def read(path: Path, latent: Operator, latent_sha256: str, space: StateSpace,
         experiment: Experiment | None = None) -> Observer:
    """The network of a checkpoint, for states of `space` and the `latent` with those numbers; raises UserError where it
    does not fit, or has seen times of the `experiment`."""
    found = checkpoints.read(path)
    _refuse_misfit(path, found, latent_sha256, space)
    unseen.refuse_times_of(experiment, path, found.card.seen, "[neural]")
    observer = Observer(network.shape_of(found.card), latent, space.grid, planes.of(found.card, found.constant_inputs))
    fill(observer, found, path)
    return observer.eval().requires_grad_(False)


def _refuse_misfit(path: Path, found: Checkpoint, latent_sha256: str, space: StateSpace) -> None:
    if not isinstance(found.card.network, O2LCard):
        raise UserError(f"{path}: expected weights of an o2l, from observations to a latent, got those of a "
                        f"{found.card.kind}")
    names = tuple(channel.name for channel in space.channels)
    if found.card.outputs != names or not space.grid.is_same(found.card.horizontal):
        raise UserError(f"{path}: was trained for {', '.join(found.card.outputs)} on the {found.card.horizontal}, and "
                        f"this experiment has {', '.join(names)} on the {space.grid}; train one for it")
    if found.card.network.latent_sha256 != latent_sha256:
        raise UserError(f"{path}: knows the latent of sha256 {found.card.network.latent_sha256[:12]}…, and [neural] "
                        f"latent is that of {latent_sha256[:12]}…; name that latent, or train for this one")
