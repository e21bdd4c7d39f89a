"""Observation errors and biases that an experiment estimated of its own (`estimated-errors/1`), a table for the next.

    contract = "estimated-errors/1"
    experiment = "prepbufr_1989"
    first = 1989-01-01T06:00:00Z            # analysis times that it was estimated from
    last = 1989-01-01T18:00:00Z
    otherwise = "cdas"                      # what gave the errors: a table, or another file like this one

    [[estimate]]
    quantity = "temperature"
    type = 120                              # report type
    lower_hpa = 1100.0                      # bounds of the layer; neither of them at the surface
    upper_hpa = 850.0
    factor = 0.83                           # estimated / given
    estimated = 1.12
    given = 1.35
    count = 2310                            # of observations

    [[bias]]                                # of the temperatures of aircraft
    type = 131
    station = "EU1234"                      # or none: of aircraft that are not named
    bias = 0.41                             # K, to be taken from what is observed
    count = 180

`verify` writes it and `obsproc` uses it: the error that an observation would have otherwise, times the factor of its
group.  A factor and not the error itself, so that errors keep what they depend on within a layer, such as the humidity
of saturation.  Biases are used where [observations] aircraft_bias names the file.
"""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np

from contracts import paths, texts
from contracts.config import NotNegativeFloat, Positive, PositiveFloat, Section
from contracts.constants import HECTOPASCAL
from contracts.errors import UserError
from contracts.observations import Observations
from contracts.variables import Quantity

SUFFIX = ".toml"


class Estimate(Section, frozen=True):
    """Of one quantity, report type and layer."""

    quantity: str
    type: Annotated[int, msgspec.Meta(ge=0, le=999)]
    factor: PositiveFloat
    estimated: PositiveFloat
    given: PositiveFloat
    count: Positive
    lower_hpa: PositiveFloat | None = None
    upper_hpa: NotNegativeFloat | None = None

    def __post_init__(self):
        if self.quantity not in Quantity.__members__:
            raise ValueError(f"unknown quantity {self.quantity!r}; known: {', '.join(Quantity.__members__)}")
        if (self.lower_hpa is None) != (self.upper_hpa is None):
            raise ValueError("expected both lower_hpa and upper_hpa, or neither at the surface")

    def fits(self, table: Observations) -> np.ndarray:
        """(nobs,) bool: rows of its group; the upper bound belongs to the layer above."""
        rows = (table.quantity == Quantity[self.quantity]) & (table.type == self.type)
        if self.lower_hpa is None or self.upper_hpa is None:
            return rows
        pressure = table.pressure / HECTOPASCAL
        return rows & (pressure > self.upper_hpa) & (pressure <= self.lower_hpa)


class Bias(Section, frozen=True):
    """Of the temperatures of a report type of aircraft, or of one aircraft of it."""

    type: Annotated[int, msgspec.Meta(ge=0, le=999)]
    bias: float
    count: Positive
    station: str = ""


class EstimatedErrors(Section, frozen=True):
    """The file."""

    experiment: str
    first: datetime
    last: datetime
    estimate: tuple[Estimate, ...]
    bias: tuple[Bias, ...] = ()
    otherwise: str = "cdas"
    contract: Literal["estimated-errors/1"] = "estimated-errors/1"

    def factors(self, table: Observations) -> np.ndarray:
        """(nobs,) what multiplies each error, 1 where nothing was estimated."""
        factor = np.ones(len(table))
        for one in self.estimate:
            factor[one.fits(table)] = one.factor
        return factor

    def biases(self, table: Observations) -> np.ndarray:
        """(nobs,) what the temperatures of aircraft read too high, K: of the aircraft where it is named, else of its
        report type; 0 of everything else."""
        found, named = np.zeros(len(table)), {(one.type, one.station.encode()): one.bias for one in self.bias}
        rows = np.flatnonzero((table.quantity == Quantity.temperature) & is_aircraft(table.type))
        for row, kind, station in zip(rows, table.type[rows].tolist(), table.station[rows].tolist(), strict=True):
            found[row] = named.get((kind, station), named.get((kind, b""), 0.0))
        return found


def is_aircraft(types: np.ndarray) -> np.ndarray:
    """Whether PREPBUFR report types are those of aircraft: 130 to 139, and 3xx to 5xx of their profiles."""
    return np.isin(types // 100, (1, 3, 4, 5)) & (types % 100 >= 30) & (types % 100 <= 39)


def write(path: Path, errors: EstimatedErrors) -> None:
    """Write the file atomically."""
    import tomli_w  # here, because it takes time that a program saves which writes none

    document = msgspec.to_builtins(errors, builtin_types=(datetime,))
    document["estimate"] = [{name: value for name, value in one.items() if value is not None}
                            for one in document["estimate"]]
    with paths.atomic(path) as partial:
        partial.write_text(tomli_w.dumps(document))


def read(path: Path) -> EstimatedErrors:
    """Read the file; raises UserError naming it and what is wrong."""
    try:
        return msgspec.convert(texts.table(texts.read(path), str(path)), EstimatedErrors)
    except OSError as error:
        raise UserError(f"{path}: no such table of estimated errors ({error.strerror}); python -m verify "
                        "consistency EXPERIMENT.toml of an earlier experiment writes it") from None
    except msgspec.ValidationError as error:
        raise UserError(f"{path}: is no table of estimated errors ({error})") from None
