"""How good a network is in a year that it has not seen: forecasts from evenly spread times, step by step.

At each lead RMSE and ACC per channel, beside those of persistence and climatology from the same times.  The
validation loss is the training loss of the phase on the same forecasts: it decides which weights are kept.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import torch
from torch import Tensor

from contracts.constants import HOUR
from contracts.errors import UserError
from contracts.state import StateSpace
from networks.data.shards import Series
from networks.emulator import Steps
from networks.training.config import Settings
from networks.training.loss import Scores, weighted_square
from networks.training.statistics import Climatology, Statistics
from networks.training.task import Score

PIECE = 8  # forecasts at once
REFERENCES = ("persistence", "climatology")


@dataclass(frozen=True)
class Validation:
    """Forecasts to be made: `windows` (forecast, steps + 1) numbers of times, `leads` in steps of `step` seconds."""

    series: Series
    climatology: Climatology
    windows: np.ndarray
    leads: tuple[int, ...]
    step: int

    def scores(self, step: Steps, device: torch.device) -> list[Score]:
        """Scores of forecasts by repeated `step`."""
        return self._scored("forecast", lambda fields, _, window: self._forecasts(step, fields, window, device))

    def references(self) -> list[Score]:
        """The same for persistence and climatology."""
        still = self._scored("persistence", lambda fields, _, window: {lead: fields for lead in self.leads})
        mean = self._scored("climatology", lambda fields, expected, window: expected)
        return still + mean

    def errors(self, step: Steps) -> np.ndarray:
        """RMSE of each forecast by repeated `step` on a CPU, (lead, forecast, channel)."""
        found = []
        for window in self.pieces():
            ahead = self._forecasts(step, self.series.fields(window[:, 0]), window, torch.device("cpu"))
            found.append([self._rmse(ahead[lead], self.series.fields(window[:, lead])) for lead in self.leads])
        return np.concatenate(found, axis=1)

    def _rmse(self, forecast: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """(B, channel)"""
        squares = (forecast - truth).astype(np.float64) ** 2 * self.series.space.grid.area_weights
        return np.sqrt(squares.mean(axis=(-2, -1)))

    @property
    def leads_hours(self) -> tuple[int, ...]:
        return tuple(lead * self.step // HOUR for lead in self.leads)

    def loss(self, step: Steps, rollout: int, scale: Tensor, weights: Tensor,
             device: torch.device) -> float:
        """The loss of forecasts of `rollout` steps from the same times."""
        total = 0.0
        for window in self.pieces():
            fields = torch.from_numpy(self.series.fields(window[:, 0])).to(device)
            for number in range(1, rollout + 1):
                fields = step(fields, self.series.seconds[window[:, number - 1]])
                truth = torch.from_numpy(self.series.fields(window[:, number])).to(device)
                total += float(weighted_square(fields, truth, scale, weights)) * len(window) / rollout
        return total / len(self.windows)

    def _scored(self, kind: str, forecast: Callable) -> list[Score]:
        sums = {lead: Scores(self.series.space.grid.area_weights) for lead in self.leads}
        for window in self.pieces():
            expected = {lead: self.climatology.at(self.series.seconds[window[:, lead]]) for lead in self.leads}
            ahead = forecast(self.series.fields(window[:, 0]), expected, window)
            for lead in self.leads:
                sums[lead].add(ahead[lead], self.series.fields(window[:, lead]), expected[lead])
        return [row for lead in self.leads
                for row in rows(kind, self.series.space, sums[lead], lead * self.step // HOUR)]

    def _forecasts(self, step: Steps, fields: np.ndarray, window: np.ndarray,
                   device: torch.device) -> dict[int, np.ndarray]:
        ahead, state = {}, torch.from_numpy(fields).to(device)
        for number in range(1, max(self.leads) + 1):
            state = step(state, self.series.seconds[window[:, number - 1]])
            if number in self.leads:
                ahead[number] = state.cpu().numpy()
        return ahead

    def pieces(self) -> list[np.ndarray]:
        """`windows` in pieces of forecasts to be made at once."""
        return [self.windows[i : i + PIECE] for i in range(0, len(self.windows), PIECE)]


def rows(kind: str, space: StateSpace, sums: Scores, lead_hours: int = 0) -> tuple[Score, ...]:
    """A score for each channel of the `space`."""
    return tuple(Score(lead_hours, channel.name, kind, float(rmse), float(acc))
                 for channel, rmse, acc in zip(space.channels, sums.rmse, sums.acc, strict=True))


def states(settings: Settings, series: Series) -> np.ndarray:
    """(n,) numbers of the states to judge by, for what has no forecasts; raises UserError where there is none."""
    starts = series.starts(*settings.validation, settings.experiment.step_hours * HOUR, 0)
    found = spread(starts, settings.training.validation_samples)[:, 0]
    if not found.size:
        raise UserError(f"{series.folder.folder}: holds no state for validation; it holds {series.span}")
    return found


def spread(windows: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of `windows`, evenly spread."""
    if len(windows) <= count:
        return windows
    return windows[np.linspace(0, len(windows) - 1, count).round().astype(int)]


def of(series: Series, settings: Settings, known: Statistics, period: tuple[datetime, datetime]) -> Validation:
    """Forecasts evenly spread over `period`."""
    training, hours = settings.training, settings.experiment.step_hours
    leads = tuple(lead // hours for lead in training.leads_hours)
    ahead = max(*leads, *(phase.rollout for phase in training.phases))
    windows = spread(series.starts(*period, hours * HOUR, ahead), training.validation_samples)
    return Validation(series, known.climatology, windows, leads, hours * HOUR)
