"""The seam: a problem goes in, analysed members come out.

    settings.needs -> Needs                                  looked at with the settings
    settings.prepared(experiment, space) -> Method           once: files read, dates and sizes checked
    Method.analyse(problem, draws) -> Analysed               for each time

A method is one file with a settings struct, tagged by `[neural] method`, and what that prepares.  It knows nothing of
files or of other programs.  What it is given beside background and observations its settings say by `needs`, before
anything is made; what it learns for the next time it returns as carried numbers.  A member's analysis has the same
bits whichever members are analysed beside it, and fields and carried numbers depend on none of that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Literal, Protocol

import msgspec
import numpy as np

from contracts.config import Experiment, NotNegativeFloat, Positive, PositiveFloat, Section
from contracts.state import StateSpace
from neural_da.draws import Draws

if TYPE_CHECKING:
    from neural_da.problem import Problem  # with torch, which settings do without


@dataclass(frozen=True)
class Needs:
    """What a method is given beside background and observations of the analysis time."""

    slots: bool = False  # observations and background at the slots of [slots], a term for each
    model: bool = False  # the method carries states to slots after the analysis time itself: `Carrying`
    earlier_analyses: int = 0  # analyses of so many times before
    lagged_forecasts: tuple[timedelta, ...] = ()  # means of extended forecasts with these leads, valid at the time
    carried: Mapping[str, float] = field(default_factory=dict)  # numbers kept from time to time, with their start


@dataclass(frozen=True)
class Analysed:
    """`members` float32 (m, channel, column), those that `problem.members` asked for, which may be none.

    `course` is J for each observation along the minimisation that made each of them, where one did: before the first
    iteration and after each.
    `fields` are written for the eye and for other programs, each (level, column) or (channel, column) by name: of the
    analysis levels, or of all channels as a state.  `carried` are the numbers that the next time is given.
    """

    members: np.ndarray
    fields: Mapping[str, np.ndarray] = field(default_factory=dict)
    carried: Mapping[str, float] = field(default_factory=dict)
    course: Sequence[np.ndarray] = ()


class Method(Protocol):
    """What a method's settings prepare."""

    def analyse(self, problem: "Problem", draws: Draws) -> Analysed:
        """Raises UserError where there is no analysis."""
        ...

    def memory(self, nobs: int) -> float:
        """Bytes that an analysis of `nobs` observations takes, but for the ensembles and their H(x)."""
        ...


class Carrying(Method, Protocol):
    """A method with a model of its own."""

    def carried(self, X: np.ndarray, begin: datetime, offsets: Sequence[timedelta]) -> Mapping[timedelta, np.ndarray]:
        """Members `X` float32 (k, channel, column) at `begin` -> those at the `offsets` after it, ascending."""
        ...


class MethodSettings(Section, frozen=True, tag_field="method"):
    """[neural] What the settings of every method share."""

    threads: Positive = 1  # members side by side; the bits do not depend on it
    humidity_below_hpa: NotNegativeFloat = 0.0  # at this pressure and above it (less) q is kept
    max_height_difference_m: PositiveFloat = 300.0  # station against model orography
    least_spread: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.01  # of the background's: less is a collapse
    memory_gb: PositiveFloat | None = None  # an analysis that needs more is refused
    # An experiment in times that what is named here was made from is refused, unless those were of another world, such
    # as a nature run's, while this experiment sees real observations.
    seen: Literal["refused", "another_world"] = "refused"

    def unseen_in(self, experiment: Experiment) -> Experiment | None:
        """The experiment whose times nothing may have seen, none where they were of another world."""
        return experiment if self.seen == "refused" else None

    @property
    def needs(self) -> Needs:
        return Needs()

    def prepared(self, experiment: Experiment, space: StateSpace) -> Method:
        """The method for states of `space`; raises UserError where its files do not fit the experiment."""
        raise NotImplementedError
