"""`python -m verify dataset`: all states of an experiment in one file or store, stacked and lazily readable.

    temperature (time, realization, level, lat, lon)        members, a chunk for each time and member
    temperature, temperature_spread (time, level, lat, lon)     with --moments

As NetCDF-4 or, where its name ends so, as zarr (version 2, consolidated), with the names, units and coordinates of the
files that it is made from.  It is written state by state, so that memory holds one, beside its place and renamed.
"""

import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from contracts import config, netcdf, program, times
from contracts.constants import HECTOPASCAL
from contracts.errors import UserError
from contracts.progress import reported
from contracts.state import height_name
from contracts.variables import VARIABLES
from verify.config import Settings
from verify.exports import chosen as choice
from verify.exports.chosen import Chosen

log = logging.getLogger("verify.dataset")
CONTRACT, SPREAD = "dataset/1", "_spread"
Place = tuple[int, ...]  # of a piece of a field among its leading dimensions
Put = Callable[[str, Place, np.ndarray], None]  # a piece of a field, by name


def main(arguments: Sequence[str]) -> None:
    """Entry point; raises UserError."""
    parser = program.parser("python -m verify dataset", __doc__ or "",
                            "python -m verify dataset run/experiments/twin_climax.toml twin.zarr --moments")
    program.add_experiment(parser)
    parser.add_argument("out", type=Path, metavar="OUT.nc|OUT.zarr", help="what to write")
    choice.add_arguments(parser)
    given = parser.parse_args(arguments)
    print(write(given.out, Chosen(config.load(given.experiment, Settings), given.of, given.moments)))


def write(out: Path, states: Chosen) -> Path:
    """All times of `states`; raises UserError where there are none, or zarr is not installed."""
    when = states.times()
    variables = {**_axes(states, when), **_fields(states, len(when))}
    with (_zarr if out.suffix == ".zarr" else _netcdf)(out, variables, _attributes(states)) as put:
        for place, time in enumerate(reported(when, "times", log)):
            for where, suffix, data in _of_time(states, time, place):
                for name in states.space.variables:
                    values = data[states.space.index(name)]
                    put(name + suffix, where, values if VARIABLES[name].on_levels else values[0])
    return out


@dataclass(frozen=True)
class Variable:
    """An array to be: `values` of a coordinate, or none of a field, which is filled piece by piece of `chunks`."""

    dimensions: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype
    attributes: dict[str, Any]
    values: np.ndarray | None = None
    chunks: tuple[int, ...] | None = None


def _of_time(states: Chosen, time: datetime, place: int) -> Iterator[tuple[Place, str, np.ndarray]]:
    """Where, suffix of names and data (channel, lat, lon) of everything at a time."""
    if states.moments:
        mean, spread = states.mean_and_spread(time)
        yield from (((place,), "", mean), ((place,), SPREAD, spread))
    else:
        for number, member in enumerate(states.each_member(time)):
            yield (place, number), "", member


def _axes(states: Chosen, when: Sequence[datetime]) -> dict[str, Variable]:
    space, grid = states.space, states.space.grid
    found = {"time": _axis("time", np.array([times.to_seconds(time) for time in when], np.int64), units=times.UNITS,
                           calendar=times.CALENDAR, standard_name="time", axis="T")}
    if not states.moments:
        found["realization"] = _axis("realization", np.arange(1, states.members + 1, dtype=np.int32), units="1",
                                     standard_name="realization", axis="E")
    if (pressure := _levels(states)).size:
        found["level"] = _axis("level", pressure, units="Pa", standard_name="air_pressure", positive="down", axis="Z")
        found[netcdf.LEVEL_HPA] = _axis("level", pressure / HECTOPASCAL, units="hPa", standard_name="air_pressure",
                                        positive="down")
    found["lat"] = _axis("lat", grid.lat, units="degrees_north", standard_name="latitude", axis="Y")
    found["lon"] = _axis("lon", grid.lon, units="degrees_east", standard_name="longitude", axis="X")
    for height in sorted({VARIABLES[name].height or 0.0 for name in space.variables} - {0.0}):
        found[height_name(height)] = Variable((), (), np.dtype("f8"), {"units": "m", "standard_name": "height",
                                                                       "positive": "up"}, np.array(height))
    return found


def _axis(dimension: str, values: np.ndarray, **attributes: Any) -> Variable:
    return Variable((dimension,), values.shape, values.dtype, attributes, values)


def _levels(states: Chosen) -> np.ndarray:
    """(level,) Pa, the same for all variables of a state file."""
    return np.unique([channel.pressure for channel in states.space.channels if channel.on_levels])


def _fields(states: Chosen, count: int) -> dict[str, Variable]:
    leading = {"time": count} if states.moments else {"time": count, "realization": states.members}
    found = {}
    for name in states.space.variables:
        known = VARIABLES[name]
        sizes = leading | ({"level": _levels(states).size} if known.on_levels else {})
        sizes |= dict(zip(("lat", "lon"), states.space.grid.shape, strict=True))
        coordinates = [netcdf.LEVEL_HPA] if known.on_levels else [height_name(known.height)] if known.height else []
        attributes = {"units": known.units, "long_name": known.long_name, "standard_name": known.standard_name,
                      **({"coordinates": " ".join(coordinates)} if coordinates else {})}
        chunks = (1,) * len(leading) + tuple(sizes.values())[len(leading):]
        for suffix, method in (("", "mean"), (SPREAD, "standard_deviation"))[: 2 if states.moments else 1]:
            own = attributes | ({"cell_methods": f"realization: {method}"} if states.moments else {})
            found[name + suffix] = Variable(tuple(sizes), tuple(sizes.values()), np.dtype("f4"), own, None, chunks)
    return found


def _attributes(states: Chosen) -> dict[str, Any]:
    name = states.settings.experiment.name
    return {"experiment": name, "ensemble": states.of, "title": f"{states.of} of the experiment {name}"}


@contextmanager
def _netcdf(out: Path, variables: Mapping[str, Variable], attributes: dict[str, Any]) -> Iterator[Put]:
    by_parts: dict[str, Any] = {}
    with netcdf.create(out, CONTRACT, attributes) as dataset:
        for name, one in variables.items():
            for dimension, size in zip(one.dimensions, one.shape, strict=True):
                dataset.add_dimension(dimension, size)
            if one.values is not None:
                dataset.add(name, one.dimensions, one.values, one.attributes)
            else:
                by_parts[name] = dataset.add_parts(name, one.dtype, one.dimensions, one.chunks or one.shape,
                                                 one.attributes)

        def put(name: str, where: Place, values: np.ndarray) -> None:
            by_parts[name][where] = values

        yield put


@contextmanager
def _zarr(out: Path, variables: Mapping[str, Variable], attributes: dict[str, Any]) -> Iterator[Put]:
    zarr = choice.need("zarr", "weatherbench", "a zarr store")
    if out.exists() and not (out / ".zgroup").exists():
        raise UserError(f"{out}: is there and no zarr store of version 2; name another place")
    partial = out.with_name(f".{out.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    said = {"Conventions": "CF-1.10", "source": netcdf.version(), **attributes}
    store = zarr.open_group(partial, mode="w", zarr_format=2, attributes=said)
    for name, one in variables.items():
        made = store.create_array(name, shape=one.shape, dtype=one.dtype, chunks=one.chunks or one.shape,
                                  attributes={"_ARRAY_DIMENSIONS": list(one.dimensions), **one.attributes})
        if one.values is not None:
            made[...] = one.values

    def put(name: str, where: Place, values: np.ndarray) -> None:
        store[name][where] = values

    yield put
    zarr.consolidate_metadata(store.store)
    shutil.rmtree(out, ignore_errors=True)
    os.replace(partial, out)
