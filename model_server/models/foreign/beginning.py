"""What a model of another package has beside the channels of [state], when an experiment begins: fields of a file.

A NetCDF file with variables by the model's own names (`tcwv`, `u100m`, `lsm`, `z`), in its units, on (lat, lon) or on
one (time, lat, lon), with axes called lat and lon or latitude and longitude, in any order.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import netCDF4
import numpy as np

from contracts import guarded
from contracts.errors import UserError, brief
from model_server.models.foreign import exchange
from model_server.models.foreign.exchange import Exchange


def beside(one: Exchange, file: str) -> np.ndarray:
    """(own, point) float32, what the model of `one` has of its own when an experiment begins, of a `file` whose name
    may say $NAMEs; raises UserError where it has some and the file is not there, lacks a name or has another grid."""
    if not one.own:
        return np.empty((0, one.order.size), np.float32)
    path = Path(os.path.expandvars(file)).expanduser()
    if not file or not path.is_file():
        raise UserError(f"{one.whose} reads {one.begins_with()} beside what [state] has: add to [state] what it can "
                        "hold, and name in [model.options] begin a NetCDF file with the others"
                        + (f"; {path} is no file" if file else ""))
    lat, lon, fields = guarded.read(fields_of, path, one.own)
    here = np.empty((len(one.own), one.order.size), np.float32)
    here[:, exchange.order(*exchange.points(lat, lon), one.space.grid, str(path))] = fields  # by column
    return here[:, one.order]


def fields_of(path: Path, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Axes and (name, point) fields of the file; raises UserError as `beside` does."""
    try:
        with netCDF4.Dataset(path) as dataset:
            missing = [name for name in names if name not in dataset.variables]
            if missing:
                raise UserError(f"{path}: has no {', '.join(missing)}; it has {', '.join(dataset.variables)}")
            lat, lon = (_axis(path, dataset, *called) for called in (("lat", "latitude"), ("lon", "longitude")))
            return lat, lon, np.stack([_field(path, dataset[name], (lat.size, lon.size)) for name in names])
    except OSError as error:
        raise UserError(f"{path}: is no NetCDF file ({brief(error)})") from None


def _axis(path: Path, dataset: netCDF4.Dataset, *called: str) -> np.ndarray:
    for name in called:
        if name in dataset.variables:
            return np.asarray(dataset[name][:], float)
    raise UserError(f"{path}: has no axis {' or '.join(called)}; it has {', '.join(dataset.variables)}")


def _field(path: Path, variable: netCDF4.Variable, shape: tuple[int, int]) -> np.ndarray:
    """(point,) float32"""
    values = np.ma.filled(variable[:].astype(np.float32), np.nan)
    if values.size != shape[0] * shape[1] or values.shape[-2:] != shape:
        raise UserError(f"{path}: expected {variable.name} on (lat, lon) = {shape}, got {values.shape}")
    if not np.isfinite(values).all():
        raise UserError(f"{path}: {variable.name} has missing values; fill them, or take a file that has none")
    return values.ravel()
