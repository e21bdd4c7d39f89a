"""What the report is made of, read once."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Self

from tqdm import tqdm

from contracts import observations
from contracts.errors import UserError
from contracts.observations import Departures
from contracts.state import StateSpace
from contracts.variables import Flag, Quantity
from verify import score_file
from verify.config import Settings
from verify.consistency import Sums
from verify.fit import Fit
from verify.score_file import Scores


@dataclass(frozen=True)
class Material:
    """Scores of all scored times in order, sums over their departures, the last departures.

    `at` are the times whose weather is shown; none: some evenly spaced ones.
    """

    settings: Settings
    cycles: list[Scores]
    sums: Sums
    departures: Departures
    at: tuple[datetime, ...] = ()

    @classmethod
    def read(cls, settings: Settings, at: tuple[datetime, ...] = ()) -> Self:
        """Raises UserError where no time has scores."""
        experiment, folder, scored = settings.experiment, settings.experiment.folder, cls.scored(settings)
        if not scored:
            raise UserError(f"{folder.folder}: no time has scores yet; run: run/cycle.sh EXPERIMENT.toml")
        cycles, sums = [], []
        for time in tqdm(scored, unit="time", disable=None):
            cycles.append(score_file.read(folder.at(time).scores))
            departures, _ = observations.read_departures(folder.at(time).departures)
            sums.append(Sums.of(departures, settings.verify.layers_hpa, experiment.members))
        return cls(settings, cycles, Sums.join(sums), departures, at)

    @staticmethod
    def scored(settings: Settings) -> list[datetime]:
        """The times that have scores."""
        folder = settings.experiment.folder
        return [time for time in settings.experiment.times() if folder.at(time).scores.exists()]

    @cached_property
    def space(self) -> StateSpace:
        return self.settings.state.space(self.settings.grid.grid())

    @property
    def last(self) -> Scores:
        return self.cycles[-1]

    @property
    def fit(self) -> Fit:
        """The groups of observations of all times."""
        return Fit.join([cycle.fit for cycle in self.cycles])

    @property
    def channels(self) -> list[str]:
        """The headline's channels that are scored against a truth."""
        scored = self.last.channels if self.last.against_truth else ()
        return [name for name in self.settings.verify.headline if name in scored]

    @property
    def quantities(self) -> list[Quantity]:
        """Those that were assimilated at any time."""
        return [quantity for quantity in Quantity if len(self.fit.select(Flag.assimilated, quantity))]


def plain(name: str) -> str:
    """`u_component_of_wind` -> `u component of wind`."""
    return name.replace("_", " ")
