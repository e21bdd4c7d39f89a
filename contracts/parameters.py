"""Uncertain parameters of a forecast model, such as the relaxation time of its convection (`parameters/1`).

    TIME/background/parameters.nc       (member, parameter): with which values each member came here
    TIME/analysis/parameters.nc         what the analysis made of them, where it estimates parameters

One file for all members of an ensemble, because an analysis regards them together.  It names for each parameter its
unit, its usual value and the range beyond which the model is no model; a file of other parameters is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from contracts import netcdf, times
from contracts.errors import ContractError

CONTRACT = "parameters/1"


@dataclass(frozen=True)
class Parameter:
    """A number in a model that nobody knows exactly: the `usual` value, and the range in which it may lie."""

    name: str
    units: str
    usual: float
    low: float
    high: float

    def __post_init__(self):
        if not self.low <= self.usual <= self.high or self.low == self.high:
            raise ValueError(f"parameter {self.name}: its usual value {self.usual:g} must lie in its range, got "
                             f"{self.low:g} to {self.high:g}")

    def __str__(self) -> str:
        return f"{self.name} [{self.units}] in {self.low:g} to {self.high:g}"

    @property
    def width(self) -> float:
        """Of its range."""
        return self.high - self.low


@dataclass(frozen=True)
class Parameters:
    """`values` float64 (member, parameter) of the parameters `of` a model; raises ValueError outside their ranges."""

    of: tuple[Parameter, ...]
    values: np.ndarray

    def __post_init__(self):
        values = np.asarray(self.values, np.float64)
        if values.ndim != 2 or values.shape[1] != len(self.of):
            raise ValueError(f"expected values (member, {len(self.of)}), got {values.shape}")
        for parameter, column in zip(self.of, values.T, strict=True):
            outside = np.flatnonzero(~((column >= parameter.low) & (column <= parameter.high)))
            if outside.size:
                raise ValueError(f"expected {parameter}, got {column[outside[0]]:g} of member {outside[0] + 1}")
        object.__setattr__(self, "values", values)

    def select(self, members: Sequence[int]) -> np.ndarray:
        """(member, parameter) of the members with these numbers, from 1 on."""
        return self.values[np.array(members, dtype=int) - 1]


def usual(of: tuple[Parameter, ...]) -> np.ndarray:
    """(parameter,) the usual values."""
    return np.array([parameter.usual for parameter in of])


def within(of: tuple[Parameter, ...], values: np.ndarray) -> np.ndarray:
    """`values` (…, parameter) moved to the nearest value of their ranges."""
    return np.clip(values, [parameter.low for parameter in of], [parameter.high for parameter in of])


def write(path: Path, parameters: Parameters, time: datetime, experiment: str = "") -> None:
    """Write atomically, a variable (member,) for each parameter; raises UserError where the disk refuses."""
    with netcdf.create(path, CONTRACT, {"experiment": experiment}) as dataset:
        netcdf.add_time(dataset, time)
        dataset.add_dimension("member", len(parameters.values))
        for one, values in zip(parameters.of, parameters.values.T, strict=True):
            netcdf.add(dataset, one.name, ("member",), values, units=one.units, usual=one.usual, low=one.low,
                       high=one.high)


def read(path: Path, time: datetime, members: int, of: tuple[Parameter, ...] | None = None) -> Parameters:
    """The parameters of all `members` at `time`; raises ContractError where time, members, ranges or, where they are
    given, the model's own parameters `of` do not fit."""
    with netcdf.open_to_read(path, CONTRACT) as dataset:
        found_time = times.from_seconds(dataset["time"][0])
        columns = {name: variable for name, variable in dataset.variables.items() if variable.dimensions == ("member",)}
        values = np.stack([variable[:] for variable in columns.values()], axis=1)
        try:
            described = tuple(Parameter(name, one.units, float(one.usual), float(one.low), float(one.high))
                              for name, one in columns.items())
            found = Parameters(described, values)
        except (ValueError, AttributeError) as error:
            raise ContractError(f"{path}: {error}") from error
    if found_time != time:
        raise ContractError(f"{path}: expected the parameters of {times.name(time)}, got {times.name(found_time)}")
    if len(values) != members:
        raise ContractError(f"{path}: expected the parameters of {members} members, got {len(values)}")
    if of is not None and found.of != of:
        raise ContractError(f"{path}: expected the parameters {_told(of)}, got {_told(found.of)}; check [model]")
    return found


def _told(of: tuple[Parameter, ...]) -> str:
    return ", ".join(map(str, of)) or "of a model without any"
