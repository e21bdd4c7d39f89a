"""From observations to a state: optimal interpolation, and a network that corrects it, a kind of network
(`networks.kinds`)."""

from typing import TYPE_CHECKING

from networks.kinds import ENSEMBLES
from networks.o2a.card import O2ACard as NetworkCard
from networks.o2a.card import Settings

if TYPE_CHECKING:
    from networks.training import config
    from networks.training.task import Data, Task

__all__ = ["IGNORES", "NetworkCard", "Settings", "make_task"]
IGNORES = ("predicts", "damping", "unobserved", "phases.rollout", "phases.noise", "phases.mixing", *ENSEMBLES)


def make_task(settings: "config.Settings", sizes: Settings, data: "Data") -> "Task":
    """The training of one, with the data as the shards hold them."""
    from networks.o2a import task

    return task.of(settings, sizes, data)
