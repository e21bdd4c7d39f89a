"""Small made data for tests: every value follows from the arguments and a seed."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from contracts.grid import Grid
from contracts.observations import Observations
from contracts.programs import GROUP
from contracts.state import State, StateSpace
from contracts.static import Static
from contracts.variables import Flag, Quantity

TIME = datetime(1989, 1, 1, 6, tzinfo=UTC)
LEVELS = (50_000.0, 85_000.0, 92_500.0)  # Pa
ON_LEVELS = ("geopotential", "u_component_of_wind", "v_component_of_wind", "temperature", "specific_humidity")
AT_SURFACE = ("2m_temperature", "10m_u_component_of_wind", "10m_v_component_of_wind", "surface_pressure")

# Mean and standard deviation around which random fields are drawn, in SI units.
CLIMATE = {
    "geopotential": (3.0e4, 500.0),
    "u_component_of_wind": (5.0, 8.0),
    "v_component_of_wind": (0.0, 8.0),
    "temperature": (270.0, 5.0),
    "specific_humidity": (5e-3, 1e-3),
    "2m_temperature": (285.0, 5.0),
    "2m_specific_humidity": (8e-3, 1e-3),
    "10m_u_component_of_wind": (2.0, 4.0),
    "10m_v_component_of_wind": (0.0, 4.0),
    "surface_pressure": (1.0e5, 800.0),
    "vertical_velocity": (0.0, 0.5),
    "mean_sea_level_pressure": (1.01e5, 800.0),
    "total_column_water_vapour": (25.0, 3.0),
    "total_column_water": (25.0, 3.0),
    "2m_dewpoint_temperature": (280.0, 5.0),
    "skin_temperature": (285.0, 5.0),
    "100m_u_component_of_wind": (3.0, 5.0),
    "100m_v_component_of_wind": (0.0, 5.0),
    "soil_temperature_level_1": (283.0, 5.0),
    "soil_temperature_level_2": (283.0, 5.0),
    "volumetric_soil_water_layer_1": (0.3, 0.03),
    "volumetric_soil_water_layer_2": (0.3, 0.03),
}


def experiment(name: str = "made", start: datetime = TIME, end: datetime | None = None, **more: object) -> str:
    """The section [experiment] of an experiment file; of one time, where no `end` is named."""
    given = {"name": name, "start": start, "end": end or start, **more}
    lines = [f"{key} = " + (f"{value:%Y-%m-%dT%H:%M:%SZ}" if isinstance(value, datetime) else json.dumps(value))
             for key, value in given.items()]
    return "\n".join(["[experiment]", *lines, ""])


def space(nlat: int = 8, nlon: int = 16, levels: tuple[float, ...] = LEVELS) -> StateSpace:
    """A small global space with the usual variables."""
    return StateSpace.of(Grid.regular(nlat, nlon), levels, ON_LEVELS, AT_SURFACE)


def random_state(where: StateSpace, seed: int = 0, time: datetime = TIME) -> State:
    """White noise around a climate, channel by channel."""
    rng = np.random.default_rng(seed)
    mean, scale = (np.array([CLIMATE[channel.variable][i] for channel in where.channels]) for i in (0, 1))
    return State(where, mean[:, None, None] + scale[:, None, None] * rng.standard_normal(where.shape), time)


def flat_static(grid: Grid) -> Static:
    """Sea everywhere."""
    return Static(grid, np.zeros(grid.shape), np.zeros(grid.shape))


def observations(value, quantity=Quantity.temperature, lat=0.0, lon=0.0, pressure=50_000.0, error=1.0,
                 time=TIME, flag=Flag.passed, **columns) -> Observations:
    """A table from scalars and vectors of equal length; `time` in seconds or one datetime; others get plain values."""
    value = np.atleast_1d(np.asarray(value, float))
    plain = dict(
        error=error, quantity=quantity, flag=flag, quality=2, type=120, message_type=b"ADPUPA", station=b"00001",
        report=0, lat=lat, lon=lon, pressure=pressure, elevation=0.0,
        time=int(time.timestamp()) if isinstance(time, datetime) else time,
        file_background=np.nan,
    ) | columns
    full = {name: np.broadcast_to(np.asarray(values), value.shape).copy() for name, values in plain.items()}
    return Observations(value=value, **full)


def lay_package(folder: Path, name: str, described: str) -> None:
    """What tells of the program `name` as of one that is installed, where `folder` is on the path.

    `described` are the lines of a module `…_program` that say PROGRAM.
    """
    module = f"{name.replace('.', '_')}_program"
    (folder / f"{module}.py").write_text(f"from contracts.programs import PROGRAMS, Program\n{described}\n")
    metadata = folder / f"{module}-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = {module}:PROGRAM\n")
