"""Opening and closing NetCDF-4 files: the one place that knows how.

Every file carries the global attributes `Conventions`, `title`, `contract` ("state/1", …), `source`, `history`, and
`complete`, which is written last.  A file whose writer died opens without an error and holds fill values;
the reader therefore refuses a file without `complete`.  Fletcher-32 checksums turn a flipped bit into an
error.  Masked arrays are switched off: a missing value is NaN in floats and named in words elsewhere.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from contracts import paths, times
from contracts.constants import HECTOPASCAL
from contracts.errors import ContractError, brief, of_memory, shown

if TYPE_CHECKING:
    from contracts.created import NewDataset
    from contracts.opened import Dataset

LEVEL_HPA = "level_hpa"
# What is raised where attributes, variables or their values are not there, of another type or beyond all bounds.
WHAT_FILES_DO = (OSError, RuntimeError, LookupError, AttributeError, TypeError, ValueError, ArithmeticError,
                 MemoryError)


@cache
def version() -> str:
    """Name and version of this code, the `source` of every file."""
    from importlib import metadata  # here, because it takes time that a program saves which makes no file

    try:
        return f"letkf-mpi {metadata.version('letkf-mpi')}"
    except metadata.PackageNotFoundError:
        return "letkf-mpi (not installed)"


@contextmanager
def create(path: Path, contract: str, attributes: Mapping[str, object],
           disk: paths.Disk | paths.Withheld | None = None) -> Iterator["NewDataset"]:
    """A new dataset that appears under `path` only when the block ends without an error; `disk` as for `writing`."""
    from contracts.created import NewDataset  # here, because h5py takes time that a program saves which makes no file

    of_all = {"Conventions": "CF-1.10", "title": _title(contract, attributes), "contract": contract,
              "source": version(), "history": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} created"}
    with paths.writing(path, disk) as partial, NewDataset(partial) as dataset:
        dataset.describe(of_all | dict(attributes))
        yield dataset
        dataset.finish()
        dataset.describe({"complete": "yes"})


def _title(contract: str, attributes: Mapping[str, object]) -> str:
    """What a file is, in words: `departures of the experiment twin`."""
    what, experiment = contract.partition("/")[0], attributes.get("experiment")
    return f"{what} of the experiment {experiment}" if experiment else what


@contextmanager
def open_to_read(path: Path, contract: str | None) -> Iterator["Dataset"]:
    """An existing dataset, complete and of the contract asked for, None for any; raises ContractError otherwise."""
    from contracts.opened import Dataset  # here, because h5py takes time that a program saves which opens no file

    path = Path(path)
    again = paths.made_again_by(path)
    if not path.exists():
        raise ContractError(f"{path}: no such file; expected a {contract} file there{again}")
    try:
        dataset = Dataset(path)
    except WHAT_FILES_DO as error:
        raise ContractError(f"{path}: is no readable NetCDF file ({brief(error)}); remove it and make it again"
                            f"{again}") from error
    with dataset:
        try:
            _refuse_other(path, dataset, contract, again)
            yield dataset
        except MemoryError as error:  # it was looked at: what it holds is in proportion to its size
            raise ContractError(f"{path}: to read it {of_memory(error)}") from error
        except WHAT_FILES_DO as error:
            raise ContractError(f"{path}: is damaged ({brief(error)}); remove it and make it again"
                                f"{again}") from error


def _refuse_other(path: Path, dataset: "Dataset", contract: str | None, again: str) -> None:
    """Raises ContractError where the file is of another contract or was never finished."""
    said = [getattr(dataset, name, None) for name in ("contract", "complete")]
    found, complete = (text if isinstance(text, str) else None for text in said)
    if contract is not None and found != contract:
        raise ContractError(f"{path}: expected a file of contract {contract!r}, got {shown(said[0])}")
    if complete != "yes":
        raise ContractError(f"{path}: was never finished by its writer; remove it and make it again{again}")


def add(dataset: "NewDataset", name: str, dimensions: tuple[str, ...], values: np.ndarray,
        **attributes: object) -> None:
    """Add one variable with its values, uncompressed (cycling wants speed); its type is that of the values."""
    dataset.add(name, dimensions, np.asarray(values), attributes)


def add_room(dataset: "NewDataset", name: str, dimensions: tuple[str, ...], dtype: np.dtype, first: int,
             **attributes: object) -> np.ndarray:
    """A variable on (…, lat, lon), with a level or a time before them or both, whose numbers others write: (chunk, 7)
    as `rooms.fill` takes it; of the rows of the file its own are the `first` and those behind."""
    from contracts.created import chunks_of  # here, because h5py takes time that a program saves which makes no file

    shape = tuple(dataset.dimensions[dimension] for dimension in dimensions)
    found = dataset.add_room(name, dtype, dimensions, chunks_of(shape, dtype.itemsize), attributes)
    whole = np.zeros((len(found), 7), np.int64)
    whole[:, 3] = 1
    axes = [axis for axis, dimension in enumerate(dimensions) if dimension != "time"]
    kept = slice(3 - len(axes), 3)
    whole[:, 0:3][:, kept], whole[:, 3:6][:, kept] = found[:, axes], found[:, [len(dimensions) + axis for axis in axes]]
    whole[:, 0] += first
    whole[:, 6] = found[:, -1]
    return whole


def first_of_chunks(shape: tuple[int, ...], itemsize: int) -> range:
    """Where along the first axis chunks of an array begin."""
    from contracts.created import chunks_of  # here, because h5py takes time that a program saves which makes no file

    return range(0, shape[0], chunks_of(shape, itemsize)[0])


def add_horizontal_axes(dataset: "NewDataset", lat: np.ndarray, lon: np.ndarray) -> None:
    """Dimensions and coordinates `lat`, `lon` in degrees."""
    dataset.add_dimension("lat", lat.size)
    dataset.add_dimension("lon", lon.size)
    add(dataset, "lat", ("lat",), lat, units="degrees_north", standard_name="latitude", axis="Y")
    add(dataset, "lon", ("lon",), lon, units="degrees_east", standard_name="longitude", axis="X")


def add_levels(dataset: "NewDataset", pressure: np.ndarray) -> None:
    """Dimension and coordinate `level`, pressure in Pa, and beside it `level_hpa`, by which people name levels."""
    dataset.add_dimension("level", len(pressure))
    add(dataset, "level", ("level",), np.asarray(pressure, np.float64),
        units="Pa", standard_name="air_pressure", positive="down", axis="Z")
    add(dataset, LEVEL_HPA, ("level",), np.asarray(pressure, np.float64) / HECTOPASCAL,
        units="hPa", standard_name="air_pressure", positive="down")


def add_time(dataset: "NewDataset", time: datetime) -> None:
    """Dimension and coordinate `time` of length 1."""
    dataset.add_dimension("time", 1)
    add(dataset, "time", ("time",), np.array([times.to_seconds(time)], np.int64),
        units=times.UNITS, calendar=times.CALENDAR, standard_name="time", axis="T")


def add_scalar(dataset: "NewDataset", name: str, value: float | int | np.integer, **attributes: object) -> None:
    """A coordinate without a dimension, such as the height of a field; integers are int32."""
    kind = np.int32 if isinstance(value, (int, np.integer)) else np.float64
    add(dataset, name, (), np.array(value, kind), **attributes)


def add_forecast(dataset: "NewDataset", start: datetime, valid: datetime) -> None:
    """Scalar coordinates of a forecast: the time it started from and how far it has run."""
    add(dataset, "forecast_reference_time", (), np.array(times.to_seconds(start), np.int64),
        units=times.UNITS, calendar=times.CALENDAR, standard_name="forecast_reference_time")
    add(dataset, "forecast_period", (), np.array((valid - start) / timedelta(hours=1)),
        units="hours", standard_name="forecast_period")
