"""Observations of a known truth at a made network, for twin experiments.

Stations are drawn once from the seed: per latitude band a given number, uniform on the sphere, of them a given share
on land. At each a radiosonde measures wind and temperature on all levels of the state, humidity on the lowest ones,
and the surface pressure. A value is H of the truth, the same H as the analysis's (`obsoperator`), plus a Gaussian error
from (seed, time): the same experiment file makes the same observations everywhere. A station stands on the truth's own
orography (static.nc beside the truth; the experiment's where there is none).

Levels below the ground of the truth are flagged `below_ground`; no sonde measures there.

With `like` the rows are those that tables of real observations have for use: their places, times of the day, types and
errors, in turns from cycle to cycle, with H of the truth at the analysis time for their values, whenever in the window
the real ones were made.

Network and errors: Kotsuki, Shiraishi and Okazaki (2025), GMD 18, 7215, Table 1 and Fig. 1.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

import numpy as np
from msgspec import structs

from contracts import observations, state, static, times
from contracts.constants import HECTOPASCAL
from contracts.errors import UserError
from contracts.observations import Observations
from contracts.variables import Flag, Quantity, of_kind
from obsoperator import Forward, station_pressure
from obsproc import quality, writer
from obsproc.config import Settings, Synthetic

NETWORK_STREAM, ERROR_STREAM = 1, 2  # independent random streams of one seed
MASS_REPORT, WIND_REPORT = 120, 220  # PREPBUFR types of radiosondes
MESSAGE_TYPE = b"ADPUPA"


@dataclass(frozen=True)
class Network:
    """Stations: `lat`, `lon` degrees (nstation,), `elevation` m."""

    lat: np.ndarray
    lon: np.ndarray
    elevation: np.ndarray


def observe(settings: Settings, time: datetime) -> tuple[Observations, observations.Source]:
    """The observations of the truth at `time`. Raises UserError where truth or static fields do not fit."""
    table, paths = _observed(settings, time), [settings.truth(each) for each in observed_at(settings, time)]
    table = quality.monitor(table, settings.observations.quantities)
    table = quality.withhold(table, settings.observations.withhold_share,
                             settings.observations.withhold_message_types, settings.experiment.seed)
    source = observations.Source(time, settings.observations.window(time), tuple(map(str, paths)),
                                 tuple(sha256(path.read_bytes()).hexdigest() for path in paths),
                                 settings.observations.slot_seconds)
    return table, source


def encoded(settings: Settings, time: datetime) -> Settings:
    """Write the observations of the truth as a PREPBUFR file; returns the settings of an experiment that reads it.

    So a twin experiment goes through the door of real data. The file lies beside the product: synthetic.prepbufr.
    """
    path = settings.experiment.folder.at(time).folder / "synthetic.prepbufr"
    writer.write(path, _observed(settings, time), time)
    pattern = str(path.absolute()).replace("%", "%%")
    # A draw is neither limited by saturation nor by what a sonde can measure.
    chosen = structs.replace(settings.observations, source="prepbufr", files=(pattern,), saturation_limit=0.0,
                             humidity_below_hpa=0.0)
    return structs.replace(settings, observations=chosen)


def observed_at(settings: Settings, time: datetime) -> list[datetime]:
    """The analysis time, and those after it that are observed too."""
    every = settings.synthetic.every_hours
    return [time] if every is None else list(times.every(time, settings.observations.window(time)[1],
                                                         timedelta(hours=every)))


def _observed(settings: Settings, time: datetime) -> Observations:
    """All that is observed for the analysis of `time`: of each time the same, whichever analysis it is for."""
    tables = [_observed_once(settings, each) for each in observed_at(settings, time)]
    reports = np.cumsum([0, *(table.report.max(initial=-1) + 1 for table in tables)])
    return observations.concatenate([table.with_columns(report=table.report + before)
                                     for table, before in zip(tables, reports[:-1], strict=True)])


def _observed_once(settings: Settings, time: datetime) -> Observations:
    truth = state.read(settings.truth(time), settings.state.space(settings.grid.grid()), time)
    own = settings.truth(time).parent / "static.nc"
    fields = static.read(own if own.exists() else settings.experiment.folder.static, truth.space.grid)
    if settings.synthetic.like:
        return seen(borrowed(settings, time), truth, fields, settings.experiment.seed)
    stations = network(settings.synthetic, fields, settings.experiment.seed)
    return draw(truth, fields, stations, settings.synthetic, settings.experiment.seed)


def borrowed(settings: Settings, time: datetime) -> Observations:
    """The rows for use of the table whose turn it is, as if they had been made around `time`; raises UserError where
    there is no such table."""
    turn = (time - settings.experiment.start) // settings.experiment.step
    path = settings.experiment.in_work(settings.synthetic.like[turn % len(settings.synthetic.like)])
    if not path.exists():
        raise UserError(f"{path}: [synthetic] like names no table there; make it with python -m obsproc, or name one "
                        "that another experiment has")
    table, source = observations.read(path)
    table = table.select(np.isin(table.flag, [Flag.passed, Flag.withheld]))
    return table.with_columns(time=table.time + times.to_seconds(time) - times.to_seconds(source.time))


def network(settings: Synthetic, fields: static.Static, seed: int) -> Network:
    """Stations by band, from the south; the same for the same seed and mask."""
    random = np.random.default_rng([NETWORK_STREAM, seed])
    bands = zip(settings.band_edges, settings.band_edges[1:], settings.stations, strict=False)
    places = [_band(random, south, north, count, settings.land_share, fields) for south, north, count in bands]
    lat, lon = np.concatenate(places, axis=1)
    elevation = fields.grid.bilinear(lat, lon).scalar(fields.orography.ravel().astype(np.float64))
    return Network(lat, lon, elevation)


def _band(random: np.random.Generator, south: float, north: float, count: int, land_share: float,
          fields: static.Static) -> np.ndarray:
    """(2, count) latitudes and longitudes, uniform by area; on land as many as wanted, or as can be found."""
    draws = 100 * count
    sine = random.uniform(np.sin(np.deg2rad(south)), np.sin(np.deg2rad(north)), draws)
    lat, lon = np.rad2deg(np.arcsin(sine)), random.uniform(0.0, 360.0, draws)
    mask = fields.grid.bilinear(lat, lon).scalar(fields.land_sea_mask.ravel()) if count else np.zeros(0)
    land, sea = np.flatnonzero(mask >= 0.5), np.flatnonzero(mask < 0.5)
    on_land = min(round(land_share * count), len(land))
    on_land += max(0, count - on_land - len(sea))
    chosen = np.sort(np.concatenate([land[:on_land], sea[: count - on_land]]))
    return np.stack([lat[chosen], lon[chosen]])


def draw(truth: state.State, fields: static.Static, stations: Network, settings: Synthetic,
         seed: int) -> Observations:
    """All observations of one time, quantity by quantity, level by level, station by station."""
    layers = [layer for name in settings.quantities for layer in _layers(truth.space, name, settings)]
    error = np.repeat([error for _, _, error in layers], stations.lat.size)
    table = _without_values(stations, [quantity for quantity, *_ in layers], truth.time).with_columns(
        error=error, pressure=np.repeat([pressure for _, pressure, _ in layers], stations.lat.size))
    return seen(table, truth, fields, seed)


def seen(table: Observations, truth: state.State, fields: static.Static, seed: int) -> Observations:
    """The rows of `table` with values: H of the truth and a draw of their errors; those that the truth's state has no
    field for are left out."""
    random = np.random.default_rng([ERROR_STREAM, seed, times.to_seed(truth.time)])
    H = Forward.of(table, truth.space, fields, np.inf)
    x = truth.data.reshape(len(truth.space.channels), -1)
    exact = H.apply(x)
    table = table.with_columns(
        value=exact + table.error * random.standard_normal(exact.size),
        pressure=np.where(table.quantity == Quantity.surface_pressure, exact, table.pressure),
        flag=np.where(table.pressure > H.ground_pressure(x), Flag.below_ground, Flag.passed))
    return table.select(np.isfinite(exact))


def _layers(space: state.StateSpace, name: str, settings: Synthetic) -> list[tuple[Quantity, float, float]]:
    """Quantity, pressure in Pa (NaN at the ground) and error of what each station measures of the quantity `name`."""
    quantity = Quantity[name]
    if name == "surface_pressure":
        if not station_pressure.is_possible(space):
            raise UserError("[synthetic] quantities: surface_pressure needs states with temperature and either "
                            f"surface_pressure or geopotential; they carry {', '.join(space.variables)}")
        return [(quantity, np.nan, _error(quantity, settings))]
    error, levels = _error(quantity, settings), space.levels(quantity.variable)
    measured = min(settings.humidity_levels, levels.size) if quantity.kind == "humidity" else levels.size
    return [(quantity, level, error) for level in levels[levels.size - measured :]]


def _error(quantity: Quantity, settings: Synthetic) -> float:
    errors = {Quantity.u_component_of_wind: settings.wind_error, Quantity.v_component_of_wind: settings.wind_error,
              Quantity.wind_speed: settings.wind_error, Quantity.temperature: settings.temperature_error,
              Quantity.specific_humidity: settings.humidity_error,
              Quantity.relative_humidity: settings.relative_humidity_error,
              Quantity.surface_pressure: settings.surface_pressure_error_hpa * HECTOPASCAL}
    if quantity not in errors:
        raise UserError(f"[synthetic] quantities: {quantity.name} has no error; known: "
                        f"{', '.join(one.name for one in errors)}")
    return errors[quantity]


def _without_values(stations: Network, quantities: list[Quantity], time: datetime) -> Observations:
    """The rows of all `quantities`, one after the other, at all stations, without values, errors and pressures."""
    n, times_over = stations.lat.size, len(quantities)
    quantity, station = np.repeat(quantities, n), np.char.mod("S%05d", np.arange(n)).astype("S8")
    missing, all_alike = np.full(quantity.size, np.nan), np.ones(quantity.size)
    return Observations(
        value=missing, error=missing, pressure=missing, file_background=missing, quantity=quantity,
        flag=all_alike * Flag.passed, quality=all_alike, message_type=np.full(quantity.size, MESSAGE_TYPE),
        type=np.where(np.isin(quantity, of_kind("wind")), WIND_REPORT, MASS_REPORT),
        station=np.tile(station, times_over), report=np.tile(np.arange(n), times_over),
        lat=np.tile(stations.lat, times_over), lon=np.tile(stations.lon, times_over),
        elevation=np.tile(stations.elevation, times_over), time=all_alike * times.to_seconds(time))
