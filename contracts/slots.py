"""Slots: times around the analysis time at which the background is kept too, for an analysis in four dimensions.

The model server writes a background's states there, the analysis reads them:

    TIME/background/m0001.nc                  at the analysis time
    TIME/background/slots/-0200/m0001.nc      two hours earlier
    TIME/background/slots/+0100/m0001.nc      one hour later

Slots are complete where the background's spread exists, which appears last.  The background of the first time of an
experiment is no forecast and has none.
"""

from datetime import timedelta
from typing import Annotated

import msgspec

from contracts.config import Section
from contracts.constants import HOUR


class Slots(Section, frozen=True):
    """[slots] At all multiples of `every_hours` within `window_hours` around the analysis time, both ends included."""

    every_hours: Annotated[float, msgspec.Meta(ge=1 / 60)] = 1.0
    window_hours: tuple[float, float] = (-3.0, 3.0)

    def __post_init__(self):
        first, last = self.window_hours
        if not first <= 0.0 <= last or len(self.around) == 0:
            raise ValueError("window_hours must hold the analysis time, 0, and another multiple of every_hours = "
                             f"{self.every_hours:g}, got {list(self.window_hours)}")

    @property
    def every(self) -> timedelta:
        return timedelta(seconds=round(self.every_hours * HOUR))

    @property
    def offsets(self) -> tuple[timedelta, ...]:
        """From the analysis time, ascending, itself among them."""
        first, last = (timedelta(hours=hours) for hours in self.window_hours)
        return tuple(self.every * n for n in range(-(-first // self.every), last // self.every + 1))

    @property
    def around(self) -> tuple[timedelta, ...]:
        """The same without the analysis time."""
        return tuple(offset for offset in self.offsets if offset)
