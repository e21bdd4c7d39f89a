"""Flow matching on the errors of a forecast network, a kind of network (`networks.kinds`)."""

from pathlib import Path
from typing import TYPE_CHECKING

from contracts.state import StateSpace
from networks.flow.card import FlowCard as NetworkCard
from networks.flow.card import Settings
from networks.kinds import ENSEMBLES

if TYPE_CHECKING:
    from networks.emulator import Emulator
    from networks.training import config
    from networks.training.task import Data, Task

__all__ = ["IGNORES", "NetworkCard", "Settings", "make_emulator", "make_task"]
IGNORES = ("predicts", "damping", "unobserved", "phases.rollout", "phases.mixing", *ENSEMBLES)


def make_task(settings: "config.Settings", sizes: Settings, data: "Data") -> "Task":
    """The training of one, with the data as the shards hold them."""
    from networks.flow import task

    return task.of(settings, sizes, data)


def make_emulator(weights: Path, space: StateSpace) -> "Emulator":
    """One with trained weights that stay, for states of `space`; raises UserError where they do not fit."""
    from networks.flow import emulator

    return emulator.read(weights, space)
