"""ClimaX (Nguyen et al. 2023, arXiv 2301.10343), a kind of network (`networks.kinds`)."""

from pathlib import Path
from typing import TYPE_CHECKING

from contracts.state import StateSpace
from networks.climax.card import ClimaXCard as NetworkCard
from networks.climax.sizes import Sizes as Settings

if TYPE_CHECKING:
    from networks.emulator import Emulator
    from networks.training import config
    from networks.training.task import Data, Task

__all__ = ["NetworkCard", "Settings", "make_emulator", "make_task"]


def make_task(settings: "config.Settings", sizes: Settings, data: "Data") -> "Task":
    """The training of one, with the data as the shards hold them."""
    from networks.climax import task

    return task.of(settings, sizes, data)


def make_emulator(weights: Path, space: StateSpace) -> "Emulator":
    """One with trained weights that stay, for states of `space`; raises UserError where they do not fit."""
    from networks.climax import emulator

    return emulator.emulator(emulator.load(weights), space, str(weights))
