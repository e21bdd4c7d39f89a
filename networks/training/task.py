"""What one training is: the seam between the loop, which knows no network, and the kinds of networks.

The loop draws batches, steps the optimiser, keeps the place, the curves and the best weights; a task says what is
minimised and how good it is.  A kind of network makes its task from the settings and the data (`networks.kinds`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from networks.checkpoint import Checkpoint
from networks.data.shards import Series
from networks.emulator import Precision
from networks.training.config import Phase
from networks.training.statistics import Statistics


@dataclass(frozen=True)
class Data:
    """What a task is made from beside the settings."""

    series: Series
    statistics: Statistics
    device: torch.device
    precision: Precision


@dataclass(frozen=True)
class Batch:
    """Some samples: the fields of each at `span` + 1 times, one step apart."""

    fields: np.ndarray  # float32 (span + 1, B, channel, lat, lon)
    seconds: np.ndarray  # (span + 1, B), valid times since 1970


@dataclass
class Place:
    """Where a training is: the next step is batch `batch` of `epoch` of `phase`, all counted from 0."""

    phase: int = 0
    epoch: int = 0
    batch: int = 0
    step: int = 0  # of the whole training
    loss_sum: float = 0.0  # of the epoch so far
    best_loss: float = float("inf")  # of the phase
    worse: int = 0  # epochs since


@dataclass(frozen=True)
class Score:
    """One line of scores.csv."""

    lead_hours: int
    channel: str
    kind: str  # "forecast" of what is trained, or the name of a reference
    rmse: float
    acc: float


@dataclass(frozen=True)
class Validated:
    """What unseen data say of the present weights: the loss that decides whether they are the best, and scores."""

    loss: float
    scores: tuple[Score, ...]


@dataclass(frozen=True)
class Roles:
    """Parameters by name that an optimiser treats apart; what is neither is plain."""

    hidden: frozenset[str] = frozenset()  # matrices that map hidden vectors to hidden vectors, for Muon
    still: frozenset[str] = frozenset()  # embeddings and the like, not decayed; nor is what has fewer than two axes


class Task(Protocol):
    """One training of one network."""

    @property
    def network(self) -> nn.Module:
        """What is trained, on its device; what its state_dict holds is kept and resumed."""
        ...

    @property
    def roles(self) -> Roles: ...

    def span(self, phase: Phase) -> int:
        """Steps of time that a sample of `phase` reaches beyond its first state."""
        ...

    def loss(self, batch: Batch, place: Place) -> Tensor:
        """What is minimised, a scalar; whatever is random in it follows from the seed and `place`."""
        ...

    def scores(self, place: Place) -> Validated:
        """How good the network is on data that it is not trained on, by the measure of the phase of `place`."""
        ...

    def references(self) -> list[Score]:
        """The same scores of what needs no network, for comparison."""
        ...

    def checkpoint(self, best: Mapping[str, Tensor]) -> Checkpoint:
        """The weights `best` with their card, ready to serve."""
        ...
