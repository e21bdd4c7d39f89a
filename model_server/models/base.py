"""What a forecast model is to this system: something that carries an ensemble from one time to the next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol, runtime_checkable

import numpy as np

from contracts.state import StateSpace
from contracts.static import Static

Restart = Mapping[str, np.ndarray]  # what a model keeps of one member for itself; nobody else looks inside
MODEL_STREAM, NOISE_STREAM = 5, 6  # tell these draws from one another and from others of the same seed and time


@dataclass(frozen=True)
class Batch:
    """Some members at one time.

    `data` float32 (member, channel, lat, lon), in SI units, is what the programs exchange.  `restart` has one entry per
    member, None for a model that keeps nothing: what its last step left, valid at the same time, whose fields the
    analysis may since have changed in `data`; empty where an experiment begins from fields alone.

    Who the members are: `members`, their numbers, from 1 on in an ensemble and 0 in a nature run, and the `seed` of the
    experiment.  `before` (member, channel, lat, lon) float32, for a model with `history` = 2, is what each of them was
    one `time_step` earlier: the analysis of that time as it was written, or with the present increment added to it
    ([model] before = "shifted"); when an experiment begins it is `data`.

    `parameters` (member, parameter) float64, where the experiment names some of its model: with which values of the
    model's own `PARAMETERS`, in their order and within their ranges, each of them goes on.
    """

    time: datetime
    data: np.ndarray
    restart: tuple[Restart | None, ...]
    members: tuple[int, ...] = ()
    seed: int = 0
    before: np.ndarray | None = None
    parameters: np.ndarray | None = None

    def __post_init__(self):
        if len(self.data) != len(self.restart):
            raise ValueError(f"{len(self.data)} members but {len(self.restart)} restart entries")
        if self.members and len(self.members) != len(self.data):
            raise ValueError(f"{len(self.data)} members but {len(self.members)} numbers of members")
        if self.before is not None and self.before.shape != self.data.shape:
            raise ValueError(f"expected states before of shape {self.data.shape}, got {self.before.shape}")
        if self.parameters is not None and len(self.parameters) != len(self.data):
            raise ValueError(f"{len(self.data)} members but parameters of {len(self.parameters)}")

    def generators(self, stream: int = MODEL_STREAM) -> tuple[np.random.Generator, ...]:
        """One for each member, anew at each call: its draws follow from (seed, time, member) alone.

        Raises ValueError where the members have no numbers.
        """
        if not self.members:
            raise ValueError("these members have no numbers, so nothing can be drawn for them")
        when = int(self.time.strftime("%Y%m%d%H%M%S"))  # never negative, as seconds since 1970 may be
        return tuple(np.random.default_rng((self.seed, when, member, stream)) for member in self.members)


class ForecastModel(Protocol):
    """A member's forecast depends on that member alone, never on its neighbours in the batch.

    What is random in it comes from `Batch.generators`, and what it remembers of a member from that member's restart or
    from `Batch.before`: then the bits are the same however members are batched, and after a restart.
    """

    name: str  # with everything that a restart depends on, such as speedy-t21
    space: StateSpace
    time_step: timedelta
    history: int  # states a step needs: 1, the present one, or 2, also the one before it
    keeps_restart: bool

    def step(self, batch: Batch) -> Batch:
        """Fields (member, channel, lat, lon) and restarts one `time_step` later; `advance` adds the rest."""
        ...


def seen_by(model: ForecastModel) -> tuple[tuple[datetime, datetime], ...]:
    """First and last times, in UTC, of the states that `model` was made from; none where it does not say `seen`."""
    return getattr(model, "seen", ())


def identity_of(model: ForecastModel, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the steps of `model` follow from beside its name and filter, such as its weights.

    The `options` that it was made with where it does not say `identity`.
    """
    said = getattr(model, "identity", None)
    return options if said is None else said


@runtime_checkable
class NatureModel(ForecastModel, Protocol):
    """A model that can also begin a run of its own, which needs a climate that does not drift."""

    static: Static

    def cold_start(self, time: datetime) -> Batch:
        """One member from rest; the first months are spin-up."""
        ...

    def adopt(self, restarts: Sequence[Restart], time: datetime) -> Batch:
        """Members from restarts of this kind of model, of any resolution, taken to be valid at `time`."""
        ...


def begun(model: ForecastModel, batch: Batch, members: Sequence[int], seed: int) -> Batch:
    """`batch` with its `members` named, as they begin: for a model that needs two states the same one twice."""
    return replace(batch, members=tuple(members), seed=seed, before=batch.data if model.history == 2 else None)


def advance(model: ForecastModel, batch: Batch) -> Batch:
    """The batch one step of `model` later, in float32 as in the files.

    Who the members are and what they were before is carried on here, so that no model can lose it.
    """
    later = model.step(batch)
    return replace(later, data=later.data.astype(np.float32, copy=False), members=batch.members, seed=batch.seed,
                   before=batch.data if model.history == 2 else None, parameters=batch.parameters)
