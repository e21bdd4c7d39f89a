"""A small made experiment on disk: background members, static fields and observations at one time."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import netCDF4
import numpy as np

from contracts import config, observations, state, static
from contracts.members import Form, courses
from contracts.members import read as read_members
from contracts.members import write as write_members
from contracts.observations import Observations, Source
from contracts.paths import TimeFolder
from contracts.state import StateSpace
from contracts.variables import Quantity
from letkf_mpi.config import Settings
from tests import builders
from tests.builders import CLIMATE, TIME

NOW = "1989010106"
_OBSERVED = {
    Quantity.u_component_of_wind: "u_component_of_wind",
    Quantity.v_component_of_wind: "v_component_of_wind",
    Quantity.temperature: "temperature",
    Quantity.specific_humidity: "specific_humidity",
    Quantity.surface_pressure: "surface_pressure",
    Quantity.temperature_2m: "2m_temperature",
    Quantity.v_component_of_wind_10m: "10m_v_component_of_wind",
}


@dataclass(frozen=True)
class Case:
    """Where the made experiment stands."""

    toml: Path
    settings: Settings

    @property
    def files(self) -> TimeFolder:
        return self.settings.experiment.folder.at(TIME)

    @property
    def space(self) -> StateSpace:
        return self.settings.state.space(self.settings.grid.grid())


def make(folder: Path, members: int = 4, nlat: int = 6, nlon: int = 12, nobs: int = 60, more: str = "",
         mode: str = "research", levels_hpa: tuple[int, ...] = (500, 850, 925), rows: str = "",
         members_in: str = "files") -> Case:
    """Write the experiment; `more` are further lines of the experiment file, `rows` of its section [grid]."""
    toml = folder / "experiment.toml"
    head = builders.experiment(end=TIME + timedelta(hours=12), members=members, work=str(folder), mode=mode,
                               members_in=members_in)
    toml.write_text(f"""{head}
[grid]
nlat = {nlat}
nlon = {nlon}
{rows}
[state]
levels_hpa = {list(levels_hpa)}
{more}
""")
    case = Case(toml, config.load(toml, Settings))
    static.write(case.settings.experiment.folder.static, builders.flat_static(case.space.grid))
    add_inputs(case, TIME, nobs)
    return case


def add_inputs(case: Case, time: datetime, nobs: int = 60, seed: int = 0) -> None:
    """Background and observations of a time, as two other programs leave them, the spread last."""
    files, members = case.settings.experiment.folder.at(time), case.settings.experiment.members
    observations.write(files.observations, table(nobs), Source(time, (time, time)))
    numbers = range(1, members + 1)
    data = np.stack([builders.random_state(case.space, seed + number, time).data for number in numbers])
    write_members(files.background, numbers, data, Form(case.space, time, "", case.settings.experiment.one_file_of))
    for path, statistic in ((files.background.mean, data.mean(0)), (files.background.spread, data.std(0))):
        state.write(path, state.State(case.space, statistic, time))


def table(nobs: int, seed: int = 5) -> Observations:
    """Observations all over the globe around the climate of the made states."""
    rng = np.random.default_rng(seed)
    quantity = rng.choice(list(_OBSERVED), nobs)
    mean, scale = np.array([CLIMATE[_OBSERVED[Quantity(code)]] for code in quantity]).reshape(-1, 2).T
    return builders.observations(
        mean + scale * rng.standard_normal(nobs), quantity=quantity, error=0.5 * scale,
        lat=np.rad2deg(np.arcsin(rng.uniform(-1, 1, nobs))), lon=rng.uniform(0, 360, nobs),
        pressure=rng.uniform(45_000, 95_000, nobs), report=np.arange(nobs),
    )


def numbers_of(case: Case) -> dict[str, bytes]:
    """`contents` with members one by one, whichever file they are in, and with the courses of their minimisations."""
    found = {name: data for name, data in contents(case.files).items() if not name.split("/")[-1].startswith("m")}
    numbers = range(1, case.settings.experiment.members + 1)
    for name, folder in (("background", case.files.background), ("analysis", case.files.analysis)):
        found |= {f"{name} {number}": one.data.tobytes()
                  for number, one in zip(numbers, read_members(folder, numbers, case.space, TIME), strict=True)}
        found |= {f"{name} {number} course": b"" if J is None else J.tobytes()
                  for number, J in zip(numbers, courses(folder, numbers), strict=True)}
    return found


def contents(files: TimeFolder) -> dict[str, bytes]:
    """Every number of every NetCDF file of a time, as bytes, by file and variable (attributes hold clock times)."""
    return {f"{path.relative_to(files.folder)}:{name}": data for path in sorted(files.folder.rglob("*.nc"))
            for name, data in numbers_in(path).items()}


def numbers_in(path: Path) -> dict[str, bytes]:
    """Every number of a file, by variable."""
    with netCDF4.Dataset(path) as dataset:
        dataset.set_auto_mask(False)
        return {name: np.asarray(variable[...]).tobytes() for name, variable in dataset.variables.items()}
