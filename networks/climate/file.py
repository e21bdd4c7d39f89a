"""A Gaussian climate in a file (`climate/1`), NetCDF, some 50 MB at 5.6 degrees.

    mean (basis, channel, lat, lon)    coefficients of 1, cos ωt, sin ωt, …, in the units of the channel
    scale (channel, lat, lon)          s
    modes_real, modes_imag (wavenumber, mode, channel, lat)    E_k
    variance (wavenumber, mode), rest (wavenumber)             λ_k, r_k
    channel (channel) and units (channel)                      names as in `contracts.variables`, text
    fitted (state)                     valid times of the states that it was made from
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from contracts import netcdf, times
from contracts.errors import ContractError
from contracts.grid import Grid
from contracts.state import StateSpace
from contracts.variables import VARIABLES
from networks.climate.gaussian import Climate, Correlation

if TYPE_CHECKING:
    from contracts.opened import Dataset

CONTRACT = "climate/1"
AGAIN = "or fit another by python -m networks climate"


def write(path: Path, climate: Climate, command: str, experiment: str = "") -> None:
    """Write `climate` atomically, with the `command` that made it."""
    space, correlation = climate.space, climate.correlation
    channels, nlat, _ = space.shape
    waves, modes, _ = correlation.modes.shape
    E = correlation.modes.reshape(waves, modes, channels, nlat)
    with netcdf.create(path, CONTRACT, {"experiment": experiment, "command": command}) as dataset:
        netcdf.add_horizontal_axes(dataset, space.grid.lat, space.grid.lon)
        for name, size in (("basis", len(climate.seasons)), ("channel", channels), ("wavenumber", waves),
                           ("mode", modes), ("state", len(climate.fitted))):
            dataset.add_dimension(name, size)
        netcdf.add(dataset, "channel", ("channel",), np.array([channel.name for channel in space.channels]))
        netcdf.add(dataset, "units", ("channel",), np.array(_units(space)))
        netcdf.add(dataset, "fitted", ("state",), climate.fitted, units=times.UNITS, calendar=times.CALENDAR)
        for name, dimensions, values in (
            ("mean", ("basis", "channel", "lat", "lon"), climate.seasons),
            ("scale", ("channel", "lat", "lon"), climate.scale),
            ("modes_real", ("wavenumber", "mode", "channel", "lat"), E.real),
            ("modes_imag", ("wavenumber", "mode", "channel", "lat"), E.imag),
            ("variance", ("wavenumber", "mode"), correlation.variance),
            ("rest", ("wavenumber",), correlation.rest),
        ):
            netcdf.add(dataset, name, dimensions, values)


def read(path: Path, space: StateSpace) -> Climate:
    """The climate of states of `space`; raises ContractError where grid, channels, units or values do not fit."""
    with netcdf.open_to_read(path, CONTRACT) as dataset:
        try:
            _refuse_other(path, dataset, space)
            E = dataset["modes_real"][:] + 1j * dataset["modes_imag"][:]
            correlation = Correlation(space.grid.lon.size, E.reshape(*E.shape[:2], -1), dataset["variance"][:],
                                      dataset["rest"][:])
            return Climate(space, dataset["mean"][:], dataset["scale"][:], correlation, dataset["fitted"][:])
        except ValueError as error:
            raise ContractError(f"{path}: {error}") from error


def _refuse_other(path: Path, dataset: "Dataset", space: StateSpace) -> None:
    found = Grid(dataset["lat"][:], dataset["lon"][:])
    if found != space.grid:
        raise ContractError(f"{path}: expected a climate on the {space.grid}, got the {found}; check [grid], {AGAIN}")
    for name, expected in (("channel", [channel.name for channel in space.channels]), ("units", _units(space))):
        texts = [str(text) for text in dataset[name][:]]
        if texts != expected:
            raise ContractError(f"{path}: expected a climate with {name} {', '.join(expected)}, got "
                                f"{', '.join(texts)}; check [state], {AGAIN}")


def _units(space: StateSpace) -> list[str]:
    return [VARIABLES[channel.variable].units for channel in space.channels]
