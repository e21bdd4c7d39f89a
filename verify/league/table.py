"""What the sections of the page are made of, and how they print a number."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from verify.league import standing
from verify.league.config import League
from verify.league.result import Result
from verify.league.standing import Difference, Score
from verify.ranking import Place
from verify.summary import number

Rows = list[list[str]]
NONE = "-"


@dataclass(frozen=True)
class Table:
    """`results` in the order of the table; `control`, to which they are compared; the `channels` that are shown;
    the `model` of the deterministic forecasts in words."""

    name: str
    league: League
    results: list[Result]
    control: Result
    channels: tuple[str, ...]
    model: str = ""

    @classmethod
    def of(cls, name: str, league: League, results: Sequence[Result], model: str = "") -> Self:
        """`results` as the league file has them; the first, the control, has scores."""
        control = results[0]
        wanted = control.contestant.settings.verify.headline
        channels = tuple(each for each in wanted if each in control.cycles[0].channels)
        return cls(name, league, standing.ordered(results, channels), control, channels, model)

    @cached_property
    def places(self) -> dict[str, Place]:
        """By title, over all fields."""
        return standing.places(self.results, self.overall)

    @property
    def begun(self) -> list[Result]:
        """Those with two blocks or more."""
        return [each for each in self.results if each.blocks]

    def overall(self, result: Result) -> np.ndarray:
        return result.overall(self.channels)

    @property
    def hours(self) -> tuple[int, ...]:
        """Leads of the deterministic forecasts, where any was made."""
        return next((each.deterministic.leads for each in self.results
                     if each.deterministic and each.deterministic.count), ())

    def ahead(self, lead: int, channels: Sequence[str]) -> Score:
        """(block,) mean of the logarithms of their errors in these `channels`, of any contestant."""
        return lambda each: each.deterministic.overall(lead, channels) if each.deterministic else np.empty(0)

    def number(self, title: str) -> int:
        """By which tables name a contestant."""
        return 1 + [each.title for each in self.results].index(title)

    def row(self, result: Result) -> list[str]:
        """What every table begins with: number and title."""
        return [str(self.number(result.title)), result.title]

    def percent(self, result: Result, control: np.ndarray, mine: np.ndarray) -> str:
        """Of the control, from logarithms of errors (block,)."""
        found = None if result is self.control else standing.difference(mine, control)
        if found is None:
            return NONE
        return marked(found) + (f", {found.blocks} blocks" if found.blocks < self.control.planned_blocks else "")


def marked(found: Difference) -> str:
    return f"{found} *" if found.tells else str(found)


def mean(values: np.ndarray) -> str:
    """Over blocks."""
    return number(float(values.mean())) if values.size else NONE
