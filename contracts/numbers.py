"""A few named numbers that a program keeps from one time to the next (`numbers/1`), such as a smoothed factor."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

import numpy as np

from contracts import netcdf, times
from contracts.errors import ContractError

CONTRACT = "numbers/1"


def write(path: Path, numbers: Mapping[str, float], time: datetime, experiment: str = "") -> None:
    """Write all of them atomically, in double precision; ValueError where one is not finite."""
    for name, number in numbers.items():
        if not np.isfinite(number):
            raise ValueError(f"{name} must be finite, got {number}")
    with netcdf.create(path, CONTRACT, {"experiment": experiment}) as dataset:
        netcdf.add_time(dataset, time)
        for name, number in numbers.items():
            netcdf.add(dataset, name, (), np.array(number, np.float64))


def read(path: Path, names: Iterable[str], time: datetime) -> dict[str, float]:
    """The numbers `names` of `time`; raises ContractError where one is not there or not finite, or the time is
    another."""
    with netcdf.open_to_read(path, CONTRACT) as dataset:
        found_time = times.from_seconds(dataset["time"][0])
        if found_time != time:
            raise ContractError(f"{path}: expected numbers of {times.name(time)}, got {times.name(found_time)}")
        found = {name: float(dataset[name][...]) for name in names if name in dataset.variables}
    for name in names:
        if not np.isfinite(found.get(name, np.nan)):
            raise ContractError(f"{path}: expected a finite number {name!r}, got {found.get(name, 'none')}")
    return found
