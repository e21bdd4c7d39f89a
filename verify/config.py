"""Settings of verification: the section [verify] of the experiment file."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec

from contracts.clock import Realtime
from contracts.config import Experiment, GridSettings, Positive, PositiveFloat, Section, StateSettings
from contracts.errors import unknown
from contracts.stages import Run

Latitude = Annotated[float, msgspec.Meta(ge=-90, le=90)]


def _usual_regions() -> dict[str, tuple[float, float]]:
    return {"global": (-90, 90), "northern_extratropics": (20, 90), "tropics": (-20, 20),
            "southern_extratropics": (-90, -20)}


class Verify(Section, frozen=True):
    """[verify] What to score against, where, and what to show first."""

    truth: str = ""  # states in the work folder such as "nature/%Y%m%d%H.nc"; empty: observation statistics only
    regions: dict[str, tuple[Latitude, Latitude]] = msgspec.field(default_factory=_usual_regions)  # degrees north
    layers_hpa: tuple[float, ...] = (1100, 850, 700, 500, 300, 150, 0)  # bounds of the layers of observations
    headline: tuple[str, ...] = ("temperature_500", "u_component_of_wind_500", "v_component_of_wind_500",
                                 "geopotential_500", "surface_pressure")  # channels of the table and the series
    map_channel: str = "temperature_500"  # whose increment is drawn
    memory_gib: PositiveFloat = 1.0  # of members held at once while scoring
    estimates_from: Positive = 100  # observations of a quantity, type and layer, for its error to be estimated
    estimates_within: Annotated[float, msgspec.Meta(ge=1.0)] = 2.0  # so many times the error given, or one part of it
    stalled_minutes: PositiveFloat = 30.0  # without a new file: the status says STALLED

    def __post_init__(self):
        for name, (south, north) in self.regions.items():
            if south >= north:
                raise ValueError(f"region {name}: expected [south, north] in degrees, got {[south, north]}")
        if len(self.layers_hpa) < 2 or any(a <= b for a, b in zip(self.layers_hpa, self.layers_hpa[1:], strict=False)):
            raise ValueError(f"layers_hpa must descend from the ground upward, got {list(self.layers_hpa)}")


class Settings(Section, frozen=True):
    """What verification reads of an experiment file."""

    experiment: Experiment
    grid: GridSettings = GridSettings()
    state: StateSettings = StateSettings()
    realtime: Realtime = Realtime()
    run: Run = Run()
    verify: Verify = Verify()

    def __post_init__(self):
        names = [channel.name for channel in self.state.channels()]
        for setting, given in (("headline", self.verify.headline), ("map_channel", (self.verify.map_channel,))):
            if getattr(self.verify, setting) == getattr(Verify(), setting):
                continue  # the usual ones, of which a state may have some only
            for name in given:
                if name not in names:
                    raise ValueError(f"[verify] {setting}: {unknown('channel', name, names)}")

    def truth(self, time: datetime) -> Path | None:
        """The file of the truth at `time`, None where the experiment has no truth."""
        return self.experiment.file(self.verify.truth, time) if self.verify.truth else None
