"""ClimaX (Nguyen et al. 2023, arXiv 2301.10343), a kind of network (`networks.kinds`)."""

from pathlib import Path
from typing import TYPE_CHECKING

from contracts.state import StateSpace
from networks.climax.card import ClimaXCard as NetworkCard
from networks.climax.sizes import Sizes as Settings

if TYPE_CHECKING:
    from networks.emulator import Steps
    from networks.training import config
    from networks.training.task import Data, Task

__all__ = ["NetworkCard", "Settings", "make_task", "steps"]


def make_task(settings: "config.Settings", sizes: Settings, data: "Data") -> "Task":
    """The training of one, with the data as the shards hold them."""
    from networks.climax import task

    return task.of(settings, sizes, data)


def steps(weights: Path, space: StateSpace) -> "Steps":
    """Steps with trained weights, as forecasts make them on a CPU."""
    from networks.climax import passes

    return passes.on_cpu(weights, space)
