"""Deterministic forecasts of one model from the means of all analyses: which are asked for, and how far they err.

    RMSE of a block = √ mean of ⟨(x - y)²⟩ over the starts in it            ⟨⟩ over the globe, x forecast, y truth

`model_server deterministic` makes them, `run/league.sh` hands it the words.  Starts are the same for all contestants,
and a start whose truth is not there counts for none.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

import numpy as np

from contracts import state, texts, times
from contracts.errors import UserError
from contracts.paths import LeagueFolder
from contracts.state import StateSpace
from verify.config import Settings
from verify.league.config import Contestant, League


def folder(league: Path, control: Settings) -> LeagueFolder:
    """Of the league file `league`, in the work folder of its control."""
    return LeagueFolder(control.experiment.in_work(league.stem))


def words(path: Path, league: League, contestants: Sequence[Contestant]) -> list[str]:
    """What `python -m model_server deterministic` is told; nothing where the league asks for no forecasts."""
    asked, control = league.forecasts, contestants[0]
    if asked is None:
        return []
    model = path.parent / asked.model if asked.model else control.path
    begin = [times.name(start) for start in starts(league, control.settings)]
    if not begin:
        raise UserError(f"{path}: [league.forecasts] have no start, since no whole block of {league.block_days} days "
                        f"follows the {league.skip_days} that are left out; leave them out too, or name fewer days")
    return [str(model), "--into", str(folder(path, control.settings).folder), "--of",
            *(str(each.path) for each in contestants), "--starts", *begin, "--leads", *map(str, asked.leads_hours)]


def starts(league: League, settings: Settings) -> list[datetime]:
    """In whole blocks; raises UserError where one is no time of the experiment."""
    experiment, asked = settings.experiment, league.forecasts
    if asked is None:
        return []
    if asked.every_hours % experiment.step_hours:
        raise UserError(f"[league.forecasts] every_hours = {asked.every_hours} is no multiple of the "
                        f"{experiment.step_hours} h from one analysis to the next")
    span = len(experiment.times()) * experiment.step - timedelta(days=league.skip_days)
    blocks = span // timedelta(days=league.block_days)
    first = experiment.times()[0] + timedelta(days=league.skip_days)
    count = -(-blocks * timedelta(days=league.block_days) // timedelta(hours=asked.every_hours))
    return [first + n * timedelta(hours=asked.every_hours) for n in range(max(count, 0))]


def model(folder: LeagueFolder) -> str:
    """Which has made the forecasts of `folder`, in words; empty where there are none."""
    return str(texts.record(folder.model).get("model", "")) if folder.model.exists() else ""


@dataclass(frozen=True)
class Deterministic:
    """By start, lead and channel the `square` error over the globe, NaN where there is no forecast; in which `block`
    a start is, and whether the truth of a lead is `known` (start, lead)."""

    leads: tuple[int, ...]  # hours
    channels: tuple[str, ...]
    block: np.ndarray
    known: np.ndarray
    square: np.ndarray

    @classmethod
    def read(cls, contestant: Contestant, league: League, folder: LeagueFolder) -> Self | None:
        """All there are; None where the league asks for none."""
        if league.forecasts is None:
            return None
        settings, leads = contestant.settings, tuple(sorted(set(league.forecasts.leads_hours)))
        begin, own = starts(league, settings), folder.of(settings.experiment.name)
        files = {(start, hours): own.at(start).deterministic(timedelta(hours=hours))
                 for start in begin for hours in leads}
        space = _forecast(settings.state.space(settings.grid.grid()), files.values())
        known = np.zeros((len(begin), len(leads)), bool)
        square = np.full((*known.shape, space.shape[0]), np.nan)
        weights = space.grid.area_weights / space.grid.area_weights.sum()
        for at, start in enumerate(begin):
            for lead, hours in enumerate(leads):
                valid = start + timedelta(hours=hours)
                truth, forecast = settings.truth(valid), files[start, hours]
                known[at, lead] = truth is not None and truth.exists()
                if truth is not None and known[at, lead] and forecast.exists():
                    error = state.read(forecast, space, valid).data - state.read(truth, space, valid).data.astype(float)
                    square[at, lead] = (error**2 * weights).sum(axis=(1, 2))
        since = np.array([(start - begin[0]) // timedelta(days=league.block_days) for start in begin], int)
        return cls(leads, tuple(channel.name for channel in space.channels), since, known, square)

    def rmse(self, lead: int, channel: str) -> np.ndarray:
        """(block,) of the blocks from the first to the last before one in which a forecast is missing."""
        if lead not in self.leads or channel not in self.channels:
            return np.empty(0)
        return np.sqrt(list(self._blocks(self.leads.index(lead), self.channels.index(channel))))

    def _blocks(self, lead: int, channel: int) -> Iterator[float]:
        for number in range(self.block.max(initial=-1) + 1):
            here = self.square[(self.block == number) & self.known[:, lead], lead, channel]
            if not here.size or np.isnan(here).any():
                return
            yield here.mean()

    def overall(self, lead: int, channels: Sequence[str]) -> np.ndarray:
        """(block,) mean of the logarithm of the RMSE over `channels`."""
        return np.mean([np.log(self.rmse(lead, channel)) for channel in channels], axis=0)

    @property
    def count(self) -> int:
        """Starts from which there is a forecast."""
        return int(np.isfinite(self.square).any(axis=(1, 2)).sum())


def _forecast(space: StateSpace, files: Iterable[Path]) -> StateSpace:
    """The channels of `space` that the model of these files has too, all where there is no file yet."""
    made = next((path for path in files if path.exists()), None)
    if made is None:
        return space
    held = state.variables_of(made)
    return StateSpace(space.grid, tuple(channel for channel in space.channels if channel.variable in held))
