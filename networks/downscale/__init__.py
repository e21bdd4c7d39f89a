"""Spread and members of ensembles from a coarse grid to a finer one, a kind of network (`networks.kinds`)."""

from typing import TYPE_CHECKING

from networks.downscale.card import DownscaleCard as NetworkCard
from networks.downscale.card import Settings
from networks.kinds import ENSEMBLES

if TYPE_CHECKING:
    from networks.training import config
    from networks.training.task import Data, Task

__all__ = ["IGNORES", "NetworkCard", "Settings", "make_task"]
IGNORES = ("predicts", "damping", "unobserved", "phases.rollout", "phases.noise", "phases.mixing", *ENSEMBLES)


def make_task(settings: "config.Settings", sizes: Settings, data: "Data") -> "Task":
    """The training of one, with the data as the shards hold them."""
    from networks.downscale import task

    return task.of(settings, sizes, data)
