"""What is analysed."""

from dataclasses import dataclass

import numpy as np

from contracts import config
from contracts.observations import Observations
from contracts.state import StateSpace
from contracts.variables import Flag
from letkf_mpi.config import Settings
from obsoperator import departures
from obsoperator.departures import Used
from tests import builders

LEVELS_HPA = (50, 100, 150, 200, 250, 300, 400, 500, 600, 700, 850, 925, 1000)


@dataclass(frozen=True)
class Problem:
    """What is analysed: settings, positions of `used` observations (their Y is made where needed)."""

    settings: Settings
    table: Observations

    @property
    def space(self) -> StateSpace:
        return self.settings.state.space(self.settings.grid.grid())

    @property
    def members(self) -> int:
        return self.settings.experiment.members

    def used(self, rows: np.ndarray) -> Used:
        """These rows with made departures."""
        rng, table = np.random.default_rng(0), self.table.select(rows)
        Y = rng.standard_normal((rows.size, self.members)) * table.error[:, None]
        return Used(Y - Y.mean(axis=1, keepdims=True), rng.standard_normal(rows.size) * table.error,
                    table.error.astype(float) ** 2, table.quantity, table.lat, table.lon,
                    departures.vertical_position(table))


def repeated(table: Observations, nobs: int) -> Observations:
    """The rows fit for assimilation, again and again half a degree beside themselves, until there are `nobs`."""
    passed = np.flatnonzero(table.flag == Flag.passed)
    rng, many = np.random.default_rng(3), table.select(np.resize(passed, nobs))
    again = np.arange(nobs) >= passed.size
    return many.with_columns(lat=np.clip(many.lat + again * rng.normal(0, 0.5, nobs), -90, 90),
                             lon=(many.lon + again * rng.normal(0, 0.5, nobs)) % 360)


def settings_of(grid: str, members: int, horizontal_km: float, levels: tuple[int, ...]) -> Settings:
    text = f"""{builders.experiment("scaling", members=members)}
[grid]
{grid}
[state]
levels_hpa = {list(levels)}
[localization]
horizontal_km = {horizontal_km}
vertical_ln_p = 0.3
"""
    return config.decode(text, Settings, "scaling")
