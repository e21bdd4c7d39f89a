"""A trained network as analyses use it."""

from pathlib import Path

from contracts.config import Experiment
from contracts.errors import UserError
from contracts.state import StateSpace
from networks import checkpoint as checkpoints
from networks import planes
from networks.checkpoint import Checkpoint
from networks.loading import fill
from networks.o2a import network
from networks.o2a.card import O2ACard
from networks.o2a.network import Corrector
from networks.unseen import refuse_times_of


def read(path: Path, prior_sha256: str, space: StateSpace, experiment: Experiment | None,
         about_forecasts: bool = False) -> tuple[Corrector, int]:
    """The network of a checkpoint and the number of draws that tell it a deviation, for states of `space` and analyses
    with the climate of those numbers, about its mean or `about_forecasts`; raises UserError where it does not fit, or
    has seen times of the `experiment`."""
    found = checkpoints.read(path)
    _refuse_misfit(path, found, prior_sha256, space)
    if bool(found.card.network.cycles) != about_forecasts:
        learned, asked = ("forecasts", "climate") if found.card.network.cycles else ("the climate", "ensemble")
        raise UserError(f"{path}: corrects analyses about {learned}, and [neural] background = \"{asked}\": make them "
                        "agree, or train with other [network] cycles")
    refuse_times_of(experiment, path, found.card.seen, "[neural]")
    corrector = Corrector(network.shape_of(found.card), space.grid, planes.of(found.card, found.constant_inputs))
    fill(corrector, found, path)
    return corrector.eval().requires_grad_(False), found.card.network.draws


def _refuse_misfit(path: Path, found: Checkpoint, prior_sha256: str, space: StateSpace) -> None:
    if not isinstance(found.card.network, O2ACard):
        raise UserError(f"{path}: expected weights of an o2a, which corrects optimal interpolation, got those of a "
                        f"{found.card.kind}")
    names = tuple(channel.name for channel in space.channels)
    if found.card.outputs != names or not space.grid.is_same(found.card.horizontal):
        raise UserError(f"{path}: was trained for {', '.join(found.card.outputs)} on the {found.card.horizontal}, and "
                        f"this experiment has {', '.join(names)} on the {space.grid}; train one for it")
    if found.card.network.prior_sha256 != prior_sha256:
        raise UserError(f"{path}: corrects analyses with the climate of sha256 {found.card.network.prior_sha256[:12]}… "
                        f"and [neural] prior is that of {prior_sha256[:12]}…; name that one, or train for this one")
