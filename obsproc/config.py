"""The sections of the experiment file that this program reads: [observations], [realtime], [thinning],
[error_inflation], [synthetic]."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from contracts import clock, config, guarded
from contracts.config import NotNegative, NotNegativeFloat, Positive, PositiveFloat
from contracts.constants import HECTOPASCAL, HOUR
from contracts.errors import unknown
from contracts.variables import Quantity

AtLeastOne = Annotated[float, Meta(ge=1.0, le=100.0)]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]

ASSIMILATED = ("u_component_of_wind", "v_component_of_wind", "temperature", "specific_humidity", "surface_pressure",
               "temperature_2m", "u_component_of_wind_10m", "v_component_of_wind_10m")


MANDATORY_LEVELS_HPA = (1000, 925, 850, 700, 500, 400, 300, 250, 200, 150, 100, 70, 50, 30, 20, 10)


class Observations(config.Section, frozen=True):
    """[observations] Where observations come from and which of them are offered to the analysis.

    `files` are PREPBUFR files, NCEP's raw dumps, WMO BUFR files, IODA files or lists (`table`); strftime codes stand
    for the analysis time, `$NAME` for environment variables.
    """

    source: Literal["prepbufr", "dump", "wmo", "ioda", "table", "synthetic"] = "prepbufr"
    files: tuple[str, ...] = ("prepqm%y%m%d%H",)
    truncated: Literal["refuse", "accept"] = "refuse"  # a file whose last message is cut short
    damaged: Literal["stop", "skip"] = "stop"  # messages that are not sound; real time always goes on without them
    window_hours: tuple[float, float] = (-3.0, 3.0)  # around the analysis time, both ends included
    use: tuple[str, ...] = ASSIMILATED  # the other quantities are monitored
    slot_hours: Annotated[float, Meta(ge=1 / 60)] = 1.0  # of the window, for an analysis in 4-D
    duplicates: Literal["flag", "keep"] = "flag"  # the same number of the same station, place, time and level again
    max_quality_mark: Annotated[int, Meta(ge=0, le=15)] = 3  # NCEP: 4 and more are not to be used
    # What station pressures may come to at sea level; on record are 870 and 1089 hPa (WMO archive of extremes).
    sea_level_pressure_hpa: tuple[float, float] = (850.0, 1100.0)
    humidity_below_hpa: NotNegativeFloat = 300.0  # higher up humidity is monitored; 0: used at all heights
    # Humidity beyond so many times saturation (over ice in the cold) is out of range; 0: not checked.
    saturation_limit: NotNegativeFloat = 1.2
    # Where the file has none: NCEP's "cdas" or "global", a file in their layout, or an experiment's estimated.toml.
    errors: str = "cdas"
    aircraft_bias: str = ""  # estimated.toml of an earlier experiment: biases taken from temperatures of aircraft; none
    usage: str = ""  # a table of what is used, by report type, quantity and station, or GSI's convinfo; none
    error_factor: dict[str, PositiveFloat] = {}  # multiplies observation errors
    withhold_share: Share = 0.0  # of the stations, for verification
    withhold_message_types: tuple[str, ...] = ("ADPUPA",)
    limits: guarded.Limits = guarded.Limits()  # of time and memory for reading a file; beyond them it is refused

    def __post_init__(self):
        if not self.window_hours[0] < self.window_hours[1]:
            raise ValueError(f"window_hours must be earliest then latest, got {list(self.window_hours)}")
        if not 0.0 < self.sea_level_pressure_hpa[0] < self.sea_level_pressure_hpa[1]:
            raise ValueError("sea_level_pressure_hpa must be lowest then highest, got "
                             f"{list(self.sea_level_pressure_hpa)}")
        _check_names("use", self.use)
        _check_names("error_factor", self.error_factor)

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        return tuple(Quantity[name] for name in self.use)

    @property
    def error_factors(self) -> dict[Quantity, float]:
        return {Quantity[name]: factor for name, factor in self.error_factor.items()}

    @property
    def slot_seconds(self) -> int:
        return round(self.slot_hours * HOUR)

    @property
    def sea_level_pressure(self) -> tuple[float, float]:
        """Pa"""
        low, high = self.sea_level_pressure_hpa
        return low * HECTOPASCAL, high * HECTOPASCAL

    def window(self, time: datetime) -> tuple[datetime, datetime]:
        early, late = self.window_hours
        return time + timedelta(hours=early), time + timedelta(hours=late)


class Thinning(config.Section, frozen=True):
    """[thinning] Fewer observations where they crowd. Soundings of high resolution keep `sounding_levels`; nothing else
    is thinned unless `method` says so.

    "density" keeps at most `limit` observations of a quantity within `horizontal_km` of one another in each layer; a
    layer reaches `vertical_ln_p` up and down. Scales and limit: Takeshima et al. (2025), arXiv 2512.14444. Layers:
    the levels of the state and the mandatory levels of radiosondes (WMO-No. 306, FM 35).
    "superob" replaces the observations of a cell, layer and slot by their mean, after Lorenc (1981), MWR 109, 701.
    """

    method: Literal["none", "density", "superob"] = "none"
    sounding_levels: NotNegative = 200  # most levels of a quantity in a sounding, see `soundings`; 0: all
    message_types: tuple[str, ...] = ()  # to be thinned; none named: all
    horizontal_km: Annotated[float, Meta(gt=0, le=20000)] = 500.0  # radius
    vertical_ln_p: PositiveFloat = 0.1
    limit: Positive = 1
    layers_hpa: tuple[PositiveFloat, ...] = ()  # none named: levels of the state and mandatory levels
    each_slot: bool = False  # "density" thins each slot of the window for itself
    cell_km: Annotated[float, Meta(gt=0, le=20000)] = 250.0  # size of the cells of superobservations
    cell_ln_p: PositiveFloat = 0.1  # their depth aloft
    cell_height_m: PositiveFloat = 100.0  # their depth at the surface, where stations lie at different heights
    error_correlation: Share = 0.0  # between instruments that share a cell; 0: independent

    def layers(self, state: config.StateSettings) -> tuple[float, ...]:
        """Pressures in Pa, ascending."""
        named = self.layers_hpa or (*state.levels_hpa, *MANDATORY_LEVELS_HPA)
        return tuple(level * HECTOPASCAL for level in sorted(set(named)))


class ErrorInflation(config.Section, frozen=True):
    """[error_inflation] Larger errors where observations say less than their number, see `inflation`; all off unless
    asked for. As GSI: suspect, temperature_above_100_hpa and wind_above_50_hpa = 1.2, repeats and layers = true."""

    suspect: AtLeastOne = 1.0  # factor for rows with mark 3
    temperature_above_100_hpa: AtLeastOne = 1.0
    wind_above_50_hpa: AtLeastOne = 1.0
    repeats: bool = False  # √d for a quantity observed again at the same place
    repeats_weight: Share = 0.75  # of a repetition `repeats_hours` apart or more; 1 at the same time (GSI: dfact)
    repeats_hours: PositiveFloat = 3.0  # GSI: dfact1
    layers: bool = False  # √n for n levels of a sounding in one layer of the analysis


class Fetch(config.Section, frozen=True):
    """[fetch] Where the files of [observations] can be had over the network, see `archives` and `fetch`."""

    archives: tuple[str, ...] = ()  # for each of [observations] files the name of an archive, or a URL pattern
    more: str = ""  # a file of further archives, in the layout of archives.toml; none
    connections: Annotated[int, Meta(ge=1, le=4)] = 2  # at once; an archive is not ours
    tries: Annotated[int, Meta(ge=1, le=20)] = 5  # of each file, where the network or the server fails
    first_pause_seconds: PositiveFloat = 2.0  # before the second try; each pause is twice the one before,
    longest_pause_seconds: PositiveFloat = 120.0  # up to this
    timeout_seconds: PositiveFloat = 60.0  # of silence
    largest_mb: PositiveFloat = 1000.0  # beyond it a file is refused
    every_seconds: PositiveFloat = 60.0  # in real time: so often a file that has not come is asked for again


class Synthetic(config.Section, frozen=True):
    """[synthetic] Observations drawn from a known truth at a made network of sounding stations.

    Defaults: network and errors of Kotsuki, Shiraishi and Okazaki (2025), GMD 18, 7215. `truth` is a pattern like
    `[observations] files`, beside the experiments in the work folder or absolute.
    """

    truth: str = "nature/%Y%m%d%H.nc"
    stations: tuple[NotNegative, ...] = (7, 33, 56, 180, 44)  # by band, from the south
    band_edges: tuple[float, ...] = (-90.0, -60.0, -20.0, 20.0, 60.0, 90.0)  # degrees north
    land_share: Share = 204 / 320  # of the stations of each band, as far as the band has land
    quantities: tuple[str, ...] = ("u_component_of_wind", "v_component_of_wind", "temperature",
                                            "specific_humidity", "surface_pressure")
    humidity_levels: NotNegative = 4  # humidity, specific or relative, is observed on the lowest ones
    wind_error: PositiveFloat = 1.0  # m/s, of components and of the speed
    temperature_error: PositiveFloat = 1.0  # K
    humidity_error: PositiveFloat = 1e-3  # kg/kg
    relative_humidity_error: PositiveFloat = 0.1  # a fraction
    surface_pressure_error_hpa: PositiveFloat = 1.0
    every_hours: Positive | None = None  # also observed so often after the analysis time, within [observations]
    # window_hours: for a window that begins with it; default: at the analysis time alone
    like: tuple[str, ...] = ()  # tables of observations, in the work folder, whose places, times and errors are used
    # in turns instead of the made network, such as "prepbufr_1989/1989010112/observations.nc"
    encode: bool = False  # through a PREPBUFR file, synthetic.prepbufr, beside the product: the door of real data

    def __post_init__(self):
        if self.like and (self.every_hours or self.encode):
            raise ValueError("like has times of its own and is not encoded: leave out every_hours and encode, or like")
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
            raise ValueError(f"{setting}: {unknown('quantity', name, Quantity.__members__)}")


def _refuse_uncarried(quantities: Iterable[str], variables: Sequence[str]) -> None:
    """Of what states do not carry only the surface pressure can be found all the same."""
    for name in quantities:
        for field in () if name == "surface_pressure" else Quantity[name].fields:
            if field not in variables:
                raise ValueError(f"[synthetic] quantities: {name} needs {field}, which the states of this experiment "
                                 f"do not carry; they carry {', '.join(variables)}; leave it out or add it to [state]")


class Settings(config.Section, frozen=True):
    """All that this program reads of an experiment file."""

    experiment: config.Experiment
    grid: config.GridSettings = config.GridSettings()
    state: config.StateSettings = config.StateSettings()
    observations: Observations = Observations()
    realtime: clock.Realtime = clock.Realtime()
    thinning: Thinning = Thinning()
    error_inflation: ErrorInflation = ErrorInflation()
    fetch: Fetch = Fetch()
    synthetic: Synthetic = Synthetic()

    def __post_init__(self):
        archives, files = self.fetch.archives, self.observations.files
        if archives and len(archives) != len(files):
            raise ValueError(f"[fetch] archives: expected one for each of the {len(files)} [observations] files, got "
                             f"{len(archives)}")
        if self.realtime.fetch and not archives:
            raise ValueError("[realtime] fetch asks for files over the network: say where they are in [fetch] archives")
        if self.observations.source == "synthetic":
            _refuse_uncarried(self.synthetic.quantities, (*self.state.on_levels, *self.state.at_surface))

    def truth(self, time: datetime) -> Path:
        """The state file of the truth."""
        return self.experiment.file(self.synthetic.truth, time)
