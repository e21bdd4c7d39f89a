"""Errors of an archive in a row: segments of it, one after the other, each blended into the next.

    e = r(s), r(s + step), r(s + 2 step), …            a segment, begun near the date's season and at its hour
    e = cos θ r(end of the last segment + i steps) + sin θ r(s + i steps),   θ = π/2 (i + 1) / (blend + 1)

The last line is for the first `blend` steps; unrelated errors keep their variance so.  Where a member is, in which
segments and how far, is kept in its restart.  Without the seasonal mean each residual r is r less what all of the
season and hour of the step have in common.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

import numpy as np

from contracts import times
from contracts.errors import UserError
from model_server.models.base import NOISE_STREAM, Batch, Restart
from model_server.models.season import Season, near
from networks.data.shards import Series

WHERE = "__noise__"  # in a restart


@dataclass(frozen=True)
class Where:
    """A member's place: where the last and the present segment begin, seconds since 1970, and steps done of it."""

    last: int
    present: int
    step: int


@dataclass(frozen=True)
class Segments:
    """All segments of an archive: `begin` (n,) seconds since 1970, `index` (n, length + blend) of their residuals.

    A segment is alone from step `blend` to `length`, and then fades while the next one begins.
    """

    series: Series
    begin: np.ndarray
    index: np.ndarray
    blend: int

    @property
    def length(self) -> int:
        return self.index.shape[1] - self.blend

    def near(self, time: datetime, days: int) -> np.ndarray:
        """Beginnings, in seconds since 1970, within `days` of the season of `time` and at its hour of the day."""
        found = self.begin[near(self.begin, time, days)]
        if not found.size:
            raise UserError(f"{self.series.folder.folder}: has no {self.index.shape[1]} residuals one after the other "
                            f"that begin at {time:%H} UTC within {days} days of the season of {times.name(time)}; make "
                            "it of whole years, or allow more [model.noise] season_days or fewer segment_steps")
        return found

    def error(self, where: Where, common: np.ndarray | float = 0) -> np.ndarray:
        """e (channel, lat, lon) of residuals without what they have in `common` (channel, lat, lon)."""
        if where.step >= self.blend:
            return self._residual(where.present, where.step) - common
        theta = np.float32(np.pi / 2 * (where.step + 1) / (self.blend + 1))
        fading, coming = self._residual(where.last, self.length + where.step), self._residual(where.present, where.step)
        return np.cos(theta) * (fading - common) + np.sin(theta) * (coming - common)

    def _residual(self, begin: int, step: int) -> np.ndarray:
        row = np.searchsorted(self.begin, begin)
        return self.series.fields([self.index[row, step]])[0]


@dataclass(frozen=True)
class Consecutive:
    """Errors of the members of an ensemble, each on its own way through the `segments`.

    `season`: whose mean is taken out of every residual; None where it stays.
    """

    segments: Segments
    days: int  # from the season within which a segment begins
    step: timedelta
    season: Season | None

    @property
    def remembers(self) -> bool:
        return True

    def drawn(self, batch: Batch) -> tuple[list[np.ndarray], list[Restart]]:
        """Each member's error (channel, lat, lon) of the step that begins at the batch's time, and what it keeps."""
        common = 0 if self.season is None else self.season.mean(batch.time)
        where = self._places(batch.time, batch.generators(NOISE_STREAM), batch.restart)
        return ([self.segments.error(one, common) for one in where],
                [{WHERE: np.array([one.last, one.present, one.step + 1], np.int64)} for one in where])

    def refuse_gap(self, time: datetime) -> None:
        """Raises UserError where a member could begin no segment at `time`."""
        for begin in dict.fromkeys((time, time - self._into_the_day)):
            self.segments.near(begin, self.days)

    def _places(self, time: datetime, randoms: Sequence[np.random.Generator],
                restarts: Sequence[Restart | None]) -> list[Where]:
        """Where each member stands in this step; who begins or has done a segment is given another."""
        begins = cache(lambda time: self.segments.near(time, self.days))
        places = []
        for random, kept in zip(randoms, restarts, strict=True):
            if not kept or WHERE not in kept:  # the steps of blending count as done, so its hour is that of their end
                drawn = int(random.choice(begins(time - self._into_the_day)))
                places.append(Where(drawn, drawn, self.segments.blend))
                continue
            where = Where(*map(int, kept[WHERE]))
            if where.step == self.segments.length:
                where = Where(where.present, int(random.choice(begins(time))), 0)
            places.append(where)
        return places

    @property
    def _into_the_day(self) -> timedelta:
        return self.segments.blend * self.step % timedelta(days=1)
