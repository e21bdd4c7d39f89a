"""Errors of an archive without memory: what those of a season and hour have in common, and draws of their Gaussian.

    c = mean of r,   e = c + sum_i g_i (r_i - c) / sqrt(n - 1),   g ~ N(0, 1)      r_1 … r_n of the season and hour

e has their mean and sample covariance, and each step's is independent of the last one's: the control of errors with
memory.  `Common` adds c alone, which corrects a bias and spreads nothing.
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from contracts import times
from contracts.constants import HOUR
from contracts.errors import UserError
from model_server.models.base import NOISE_STREAM, Batch, Restart
from networks.data.shards import Series
from networks.season import YEAR

DAY = 24 * HOUR


def near(seconds: np.ndarray, time: datetime, days: int) -> np.ndarray:
    """(n,) bool: which `seconds` since 1970 lie within `days` of the season of `time`, in any year, at its hour."""
    away = seconds - times.to_seconds(time)
    from_season = np.abs((away + YEAR / 2) % YEAR - YEAR / 2)
    return (from_season <= days * DAY) & (away % DAY == 0)


@dataclass(frozen=True)
class Season:
    """The residuals of an archive that lie near the season of a time; `index` (n,) of all that count in `series`."""

    series: Series
    index: np.ndarray
    days: int

    @property
    def remembers(self) -> bool:
        return False

    def residuals(self, time: datetime) -> np.ndarray:
        """(n, channel, lat, lon) of the steps that begin within `days` of the season of `time` and at its hour."""
        return self.series.fields(self._near(time))

    def mean(self, time: datetime) -> np.ndarray:
        """c (channel, lat, lon)"""
        return self.residuals(time).mean(axis=0)

    def refuse_gap(self, time: datetime) -> None:
        """Raises UserError where the season and hour of `time` have fewer than two residuals."""
        self._near(time)

    def _near(self, time: datetime) -> np.ndarray:
        found = self.index[near(self.series.seconds[self.index], time, self.days)]
        if found.size < 2:
            raise UserError(f"{self.series.folder.folder}: has {found.size} residuals at {time:%H} UTC within "
                            f"{self.days} days of the season of {times.name(time)}, expected at least two; make it of "
                            "whole years, or allow more [model.noise] season_days")
        return found


@dataclass(frozen=True)
class Common(Season):
    """Of every member the mean c of the season and hour."""

    def drawn(self, batch: Batch) -> tuple[list[np.ndarray], list[Restart]]:
        """Each member's error (channel, lat, lon) of the step that begins at the batch's time, and nothing to keep."""
        common = self.mean(batch.time)
        return [common] * len(batch.data), [{} for _ in batch.data]


@dataclass(frozen=True)
class Gaussian(Season):
    """Of each member a draw e of the Gaussian of the season and hour, `centred` without its mean c."""

    centred: bool

    def drawn(self, batch: Batch) -> tuple[list[np.ndarray], list[Restart]]:
        """Each member's error (channel, lat, lon) of the step that begins at the batch's time, and nothing to keep."""
        residuals = self.residuals(batch.time)
        common = residuals.mean(axis=0)
        about = (residuals - common) / np.sqrt(np.float32(len(residuals) - 1))
        start = np.zeros_like(common) if self.centred else common
        return ([start + np.tensordot(random.standard_normal(len(about), np.float32), about, axes=1)
                 for random in batch.generators(NOISE_STREAM)], [{} for _ in batch.data])
