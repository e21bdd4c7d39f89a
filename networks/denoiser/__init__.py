"""What a climate's states look like behind noise: a correction on the Wiener filter of a Gaussian climate, a kind of
network (`networks.kinds`)."""

from typing import TYPE_CHECKING

from networks.denoiser.card import DenoiserCard as NetworkCard
from networks.denoiser.card import Settings
from networks.kinds import ENSEMBLES

if TYPE_CHECKING:
    from networks.training import config
    from networks.training.task import Data, Task

__all__ = ["IGNORES", "NetworkCard", "Settings", "make_task"]
IGNORES = ("predicts", "damping", "unobserved", *ENSEMBLES)


def make_task(settings: "config.Settings", sizes: Settings, data: "Data") -> "Task":
    """The training of one, with the data as the shards hold them."""
    from networks.denoiser import task

    return task.of(settings, sizes, data)
