"""The sections of the experiment file that this program reads, `[observations]` and `[synthetic]`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from contracts import config
from contracts.errors import UserError
from contracts.variables import Quantity

Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Positive = Annotated[float, Meta(gt=0.0)]

ASSIMILATED = ("u_component_of_wind", "v_component_of_wind", "temperature", "specific_humidity", "surface_pressure",
               "temperature_2m", "u_component_of_wind_10m", "v_component_of_wind_10m")


class Observations(config.Section, frozen=True):
    """[observations] Where observations come from and which of them are offered to the analysis.

    `files` are PREPBUFR files; strftime codes stand for the analysis time, `$NAME` for environment variables.
    """

    source: Literal["prepbufr", "synthetic"] = "prepbufr"
    files: tuple[str, ...] = ("prepqm%y%m%d%H",)
    truncated: Literal["refuse", "accept"] = "refuse"  # a file whose last message is cut short
    window_hours: tuple[float, float] = (-3.0, 3.0)  # around the analysis time, both ends included
    use: tuple[str, ...] = ASSIMILATED  # the other quantities are monitored
    max_quality_mark: Annotated[int, Meta(ge=0, le=15)] = 3
    error_factor: dict[str, Positive] = {}  # multiplies observation errors
    withhold_share: Share = 0.0  # of the stations, for verification
    withhold_message_types: tuple[str, ...] = ("ADPUPA",)

    def __post_init__(self):
        if not self.window_hours[0] < self.window_hours[1]:
            raise ValueError(f"window_hours must be earliest then latest, got {list(self.window_hours)}")
        _check_names("use", self.use)
        _check_names("error_factor", self.error_factor)

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        return tuple(Quantity[name] for name in self.use)

    @property
    def error_factors(self) -> dict[Quantity, float]:
        return {Quantity[name]: factor for name, factor in self.error_factor.items()}

    def window(self, time: datetime) -> tuple[datetime, datetime]:
        early, late = self.window_hours
        return time + timedelta(hours=early), time + timedelta(hours=late)


class Synthetic(config.Section, frozen=True):
    """[synthetic] Observations drawn from a known truth at a made network of sounding stations.

    Defaults: network and errors of Kotsuki, Shiraishi and Okazaki (2025), GMD 18, 7215. `truth` is a pattern like
    `[observations] files`, beside the experiments in the work folder or absolute.
    """

    truth: str = "nature/%Y%m%d%H.nc"
    stations: tuple[Annotated[int, Meta(ge=0)], ...] = (7, 33, 56, 180, 44)  # by band, from the south
    band_edges: tuple[float, ...] = (-90.0, -60.0, -20.0, 20.0, 60.0, 90.0)  # degrees north
    land_share: Share = 204 / 320  # of the stations of each band, as far as the band has land
    quantities: tuple[str, ...] = ("u_component_of_wind", "v_component_of_wind", "temperature",
                                            "specific_humidity", "surface_pressure")
    humidity_levels: Annotated[int, Meta(ge=0)] = 4  # humidity is observed on the lowest ones
    wind_error: Positive = 1.0  # m/s
    temperature_error: Positive = 1.0  # K
    humidity_error: Positive = 1e-3  # kg/kg
    surface_pressure_error_hpa: Positive = 1.0

    def __post_init__(self):
        edges = self.band_edges
        if len(edges) != len(self.stations) + 1 or any(a >= b for a, b in zip(edges, edges[1:], strict=False)):
            raise ValueError(f"band_edges must ascend and be one more than stations, got {list(edges)} for "
                             f"{len(self.stations)} bands")
        if not -90.0 <= edges[0] < edges[-1] <= 90.0:
            raise ValueError(f"band_edges must lie within ±90, got {list(edges)}")
        _check_names("quantities", self.quantities)


def _check_names(setting: str, names: Iterable[str]) -> None:
    for name in names:
        if name not in Quantity.__members__:
            raise ValueError(f"{setting}: unknown quantity {name!r}; known: {', '.join(Quantity.__members__)}")


class Settings(config.Section, frozen=True):
    """All that this program reads of an experiment file."""

    experiment: config.Experiment
    grid: config.GridSettings = config.GridSettings()
    state: config.StateSettings = config.StateSettings()
    observations: Observations = Observations()
    synthetic: Synthetic = Synthetic()

    def truth(self, time: datetime) -> Path:
        """The state file of the truth."""
        return self.experiment.folder.folder.parent / path_at(self.synthetic.truth, time)


def path_at(pattern: str, time: datetime) -> Path:
    """A file name from a pattern with strftime codes and environment variables; UserError where one is not set."""
    expanded = os.path.expandvars(pattern)
    if "$" in expanded:
        raise UserError(f"{expanded}: an environment variable in this file name is not set; set it, or write the "
                        "folder into the experiment file")
    return Path(time.strftime(expanded)).expanduser()
