"""Trained weights and the linear latent that they stand about, as one."""

import hashlib
from pathlib import Path

import torch

from contracts.config import Experiment
from contracts.errors import UserError
from contracts.state import StateSpace
from networks import checkpoint as checkpoints
from networks import planes, unseen
from networks.autoencoder.card import AutoencoderCard
from networks.autoencoder.network import Autoencoder
from networks.checkpoint import Checkpoint
from networks.latent import card as latents
from networks.latent.operator import Operator
from networks.loading import fill


def read(weights: Path, latent: Path, space: StateSpace, experiment: Experiment | None = None,
         dtype: torch.dtype = torch.float32) -> Autoencoder:
    """The autoencoder of `weights` about the linear `latent`, its weights fixed; gradients by states and latent vectors
    go through it.

    Raises UserError where one of both is not there, damaged or for other states, where they do not belong together, and
    where one of them was made from times of the `experiment`.
    """
    linear = Operator.of(latents.read(latent, space, experiment), dtype=dtype)
    found = checkpoints.read(weights)
    _refuse_other(weights, latent, found, space)
    unseen.refuse_times_of(experiment, weights, found.card.seen, "[neural]")
    own = found.card.network
    network = Autoencoder(space, own.hidden, own.layers, linear, planes.of(found.card, found.constants))
    fill(network, found, weights)
    return network.to(dtype).requires_grad_(False).eval()


def _refuse_other(weights: Path, latent: Path, found: Checkpoint, space: StateSpace) -> None:
    own = found.card.network
    if not isinstance(own, AutoencoderCard):
        raise UserError(f"{weights}: expected weights of an autoencoder, got those of a {found.card.kind}")
    if (sha256 := hashlib.sha256(latent.read_bytes()).hexdigest()) != own.latent_sha256:
        raise UserError(f"{weights}: was trained about a latent of sha256 {own.latent_sha256[:12]}…, and {latent} has "
                        f"{sha256[:12]}…; name that latent, or train again: {found.card.command}")
    names = tuple(channel.name for channel in space.channels)
    if found.card.outputs != names or not space.grid.is_same(found.card.horizontal):
        raise UserError(f"{weights}: was trained for {len(found.card.outputs)} channels on the "
                        f"{found.card.horizontal}, and [state] has {len(names)} on the {space.grid}; train one for "
                        f"these: {found.card.command}")
