"""`python -m verify grib`: the states of one time as GRIB2, for those whose tools read nothing else.

A message for each channel and member (edition 2, WMO's tables, numbered among its ensemble), or for mean and spread
with --moments.  An analysis is of its time, a background a forecast from the analysis before.  Rows run from the north,
as GRIB's usually do; values are packed in 24 bits, so that they differ by less than the range of a field over 2^24.
Grids of equal steps and Gaussian ones have a name in GRIB, others are refused.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from contracts import config, paths, program
from contracts.errors import UserError
from contracts.grid import Grid
from contracts.variables import Channel
from verify.config import Settings
from verify.exports import chosen as choice
from verify.exports.chosen import Chosen

SHORT_NAMES = {
    "geopotential": "z", "u_component_of_wind": "u", "v_component_of_wind": "v", "temperature": "t",
    "specific_humidity": "q", "2m_temperature": "2t", "2m_specific_humidity": "2sh", "10m_u_component_of_wind": "10u",
    "10m_v_component_of_wind": "10v", "surface_pressure": "sp",
    "vertical_velocity": "w", "mean_sea_level_pressure": "msl", "total_column_water_vapour": "tcwv",
    "total_column_water": "tcw", "2m_dewpoint_temperature": "2d", "skin_temperature": "skt",
    "100m_u_component_of_wind": "100u", "100m_v_component_of_wind": "100v", "soil_temperature_level_1": "stl1",
    "soil_temperature_level_2": "stl2", "volumetric_soil_water_layer_1": "swvl1",
    "volumetric_soil_water_layer_2": "swvl2",
}
MEAN, SPREAD = 0, 4  # code table 4.7, derived forecast
PERTURBED = 3  # 4.6, type of ensemble forecast
ANALYSIS, FORECAST, PERTURBED_FORECAST = 0, 1, 4  # 1.4, type of processed data
OF_ENSEMBLE = 4  # 4.3, type of generating process
ISOBARIC, PASCAL_SCALE = 100, 0  # 4.5, first fixed surface; its value is in Pa
BITS = 24


def main(arguments: Sequence[str]) -> None:
    """Entry point; raises UserError."""
    parser = program.parser("python -m verify grib", __doc__ or "",
                            "python -m verify grib run/experiments/twin_climax.toml 2001010106 out.grib2 --moments")
    program.add_experiment(parser)
    parser.add_argument("time", metavar="TIME", help="YYYYMMDDHH in UTC")
    parser.add_argument("out", type=Path, metavar="OUT.grib2", help="the file to write")
    choice.add_arguments(parser)
    given = parser.parse_args(arguments)
    settings = config.load(given.experiment, Settings)
    time = settings.experiment.time_of(given.time)
    print(write(given.out, Chosen(settings, given.of, given.moments), time))


def write(out: Path, states: Chosen, time: datetime) -> Path:
    """The states of `time`; raises UserError where they are not there, the grid has no name or ecCodes is not there."""
    eccodes = choice.need("eccodes", "wmo", "GRIB")
    if time not in states.times():
        raise UserError(f"{states.ensemble(time).folder}: is not complete; run: run/cycle.sh EXPERIMENT.toml")
    keys = {**_grid(states.space.grid), **_when(states, time)}
    with paths.atomic(out) as partial, open(partial, "wb") as stream:
        for one in _each(states, time):
            for channel, field in zip(states.space.channels, one.data, strict=True):
                message = eccodes.codes_grib_new_from_samples("GRIB2")
                for key, value in {**keys, **one.keys, **_channel(channel)}.items():
                    eccodes.codes_set(message, key, value)
                eccodes.codes_set_values(message, field[::-1].ravel().astype(np.float64))
                eccodes.codes_write(message, stream)
                eccodes.codes_release(message)
    return out


@dataclass(frozen=True)
class _State:
    """`data` (channel, lat, lon), and what GRIB says of whose it is."""

    data: np.ndarray
    keys: dict[str, Any]


def _each(states: Chosen, time: datetime) -> Iterator[_State]:
    """All states of a time; the template of a product comes first, because other keys are of it."""
    size = {"numberOfForecastsInEnsemble": states.members}
    if states.moments:
        for kind, data in zip((MEAN, SPREAD), states.mean_and_spread(time), strict=True):
            yield _State(data, {"derivedForecast": kind, **size})
        return
    for number, data in enumerate(states.each_member(time), start=1):
        yield _State(data, {"typeOfEnsembleForecast": PERTURBED, "perturbationNumber": number, **size})


def _when(states: Chosen, time: datetime) -> dict[str, Any]:
    """Keys of times; a background is a forecast of one step.  The product's template says members or derived."""
    analysed = states.of == "analysis"
    lead = timedelta() if analysed else states.settings.experiment.step
    start = time - lead
    return {
        "productDefinitionTemplateNumber": 2 if states.moments else 1,
        "typeOfGeneratingProcess": ANALYSIS if analysed else OF_ENSEMBLE,
        "typeOfProcessedData": ANALYSIS if analysed else FORECAST if states.moments else PERTURBED_FORECAST,
        "dataDate": int(start.strftime("%Y%m%d")), "dataTime": int(start.strftime("%H%M")),
        "indicatorOfUnitOfTimeRange": 1, "forecastTime": lead // timedelta(hours=1), "bitsPerValue": BITS,
    }


def _grid(grid: Grid) -> dict[str, Any]:
    """Keys of the grid; raises UserError where GRIB has no name for it."""
    nlat, nlon = grid.shape
    common = {"Ni": nlon, "Nj": nlat, "latitudeOfFirstGridPointInDegrees": float(grid.lat[-1]),
              "latitudeOfLastGridPointInDegrees": float(grid.lat[0]),
              "longitudeOfFirstGridPointInDegrees": float(grid.lon[0]),
              "longitudeOfLastGridPointInDegrees": float(grid.lon[-1]),
              "iDirectionIncrementInDegrees": 360.0 / nlon, "iScansNegatively": 0, "jScansPositively": 0}
    if nlat % 2 == 0 and Grid.gaussian(nlat, nlon).has_axes(grid.lat, grid.lon):
        return {"gridType": "regular_gg", "N": nlat // 2, **common}
    steps = np.diff(grid.lat)
    if np.ptp(steps) > 2e-4:
        raise UserError(f"GRIB2 has no name for the {grid}: its rows have steps of {steps.min():g} to {steps.max():g} "
                        "degrees; write NetCDF or zarr with python -m verify dataset")
    return {"gridType": "regular_ll", **common, "jDirectionIncrementInDegrees": float(steps.mean())}


def _channel(channel: Channel) -> dict[str, Any]:
    """Keys of what it is and where; a name near the ground says its height itself."""
    keys: dict[str, Any] = {"shortName": SHORT_NAMES[channel.variable]}
    if channel.on_levels:
        keys |= {"typeOfFirstFixedSurface": ISOBARIC, "scaleFactorOfFirstFixedSurface": PASCAL_SCALE,
                 "scaledValueOfFirstFixedSurface": round(channel.pressure)}
    return keys
