"""What the files of a contestant hold, read once: scores of its cycles by block, fields at some times, cost, forecasts.

Of a run that is not finished there is what it has; nothing is asked of it but to have begun.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

import numpy as np

from contracts import state
from contracts.errors import UserError
from contracts.paths import LeagueFolder
from verify import blocks, score_file, scores, status
from verify.league import cost
from verify.league.config import Contestant, League
from verify.league.cost import Cost
from verify.league.deterministic import Deterministic
from verify.league.fields import Fields, Places
from verify.score_file import Scores

ROOTS = ("rmse", "spread")  # averaged as squares; bias and CRPS as they are


@dataclass(frozen=True)
class Result:
    """`cycles` up to the first that has no scores; `forecasts` by lead in hours the RMSE (channel,) and the number of
    starts; `fields` None where no time has been sampled, `deterministic` where the league asks for none."""

    contestant: Contestant
    league: League
    cycles: Sequence[Scores]
    state: str
    reason: str
    fields: Fields | None
    cost: Cost | None
    forecasts: dict[int, tuple[np.ndarray, int]]
    deterministic: Deterministic | None

    @classmethod
    def read(cls, contestant: Contestant, league: League, places: Places | None,
             forecasts: LeagueFolder | None = None) -> "Result":
        """All there is; without `places` no fields, without `forecasts` no deterministic ones."""
        settings = contestant.settings
        folder, cycles = settings.experiment.folder, []
        for time in settings.experiment.times():
            if not folder.at(time).scores.exists():
                break
            cycles.append(score_file.read(folder.at(time).scores))
        now = status.of(settings)
        sampled = Fields.read(settings, league, places, len(cycles)) if places is not None else None
        return cls(contestant, league, cycles, now.state, now.reason, sampled, cost.read(folder.folder),
                   _forecasts(contestant), Deterministic.read(contestant, league, forecasts) if forecasts else None)

    @property
    def title(self) -> str:
        return self.contestant.title

    @property
    def planned(self) -> int:
        return len(self.contestant.settings.experiment.times())

    @property
    def members(self) -> int:
        return self.contestant.settings.experiment.members

    @property
    def days(self) -> float:
        """Of scores."""
        return len(self.cycles) * self.contestant.settings.experiment.step_hours / 24

    @cached_property
    def blocks(self) -> list[list[Scores]]:
        """Its whole blocks, none where there are fewer than two."""
        try:
            return blocks.cut([blocks.Named(self.title, self.cycles)], self.league.block_days, self.league.skip_days)[0]
        except (UserError, IndexError):
            return []

    @property
    def planned_blocks(self) -> int:
        """Of a finished run."""
        step, block = self.contestant.settings.experiment.step, timedelta(days=self.league.block_days)
        return int((self.planned * step - timedelta(days=self.league.skip_days)) // block)

    @property
    def planned_days(self) -> float:
        return self.planned * self.contestant.settings.experiment.step_hours / 24

    @property
    def finished(self) -> bool:
        """Whether it has all blocks: only then it is ranked."""
        return len(self.blocks) == self.planned_blocks > 0

    def score(self, name: str, channel: str, region: str = "") -> np.ndarray:
        """(block,) one score such as `analysis_rmse`, NaN where there is none; of the first region, or of `region`."""
        found = [[cycle.score(name, channel, cycle.regions.index(region) if region else 0) for cycle in block]
                 for block in self.blocks]
        values = np.array(found)  # (block, cycle)
        if not values.size:
            return np.empty(0)
        if name.rpartition("_")[2] in ROOTS:
            return np.sqrt((values**2).mean(axis=1))
        return values.mean(axis=1)

    def ratio(self, ensemble: str, channel: str) -> np.ndarray:
        """(block,) spread/error, 1 where the ensemble is reliable."""
        rmse, spread = (self.score(f"{ensemble}_{name}", channel) for name in ("rmse", "spread"))
        return np.array([scores.spread_error_ratio(s, e, self.members) for s, e in zip(spread, rmse, strict=True)])

    def overall(self, channels: Sequence[str]) -> np.ndarray:
        """(block,) mean of the logarithm of the analysis RMSE over `channels`."""
        if not self.blocks:
            return np.empty(0)
        return np.mean([np.log(self.score("analysis_rmse", channel)) for channel in channels], axis=0)

    def error_at(self, ensemble: str, place: str, channel: str) -> np.ndarray:
        """(block,) RMSE over a class of distances to the stations; empty where there are no fields."""
        if self.fields is None or place not in self.fields.places:
            return np.empty(0)
        start = self.contestant.settings.experiment.start
        return self.fields.blocks(self.league, start, len(self.blocks), ensemble, place, channel)


def _forecasts(contestant: Contestant) -> dict[int, tuple[np.ndarray, int]]:
    """RMSE of the mean of extended forecasts over the globe by lead, where there are any and the truth of that time."""
    settings = contestant.settings
    found: dict[int, list[np.ndarray]] = {}
    space = settings.state.space(settings.grid.grid())
    weights = space.grid.area_weights / space.grid.area_weights.sum()
    for start in settings.experiment.times():
        for path in sorted((settings.experiment.folder.at(start).folder / "forecast").glob("[0-9]*h/*mean.nc")):
            lead = int(path.parent.name[:-1])
            truth = settings.truth(start + timedelta(hours=lead))
            if truth is not None and truth.exists():
                error = state.read(path, space).data - state.read(truth, space).data.astype(np.float64)
                found.setdefault(lead, []).append((error**2 * weights).sum(axis=(1, 2)))
    return {lead: (np.sqrt(np.mean(squares, axis=0)), len(squares)) for lead, squares in sorted(found.items())}
