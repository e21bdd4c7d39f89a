"""Observation errors: the provider's where the file has them, otherwise a table's, NCEP's of the CDAS reanalysis unless
the experiment names another: "global", that of the GFS, or a user's file in NCEP's layout.

The table gives a standard deviation by report type and pressure, for temperature (K), relative humidity (percent / 10),
wind component (m/s) and surface pressure (hPa), at 33 pressures from 1100 to 0 hPa; between them it is linear in
pressure. A blank means that the quantity of that type is not used there. Numbers: NOAA-EMC prepobs,
`prepobs_errtable.cdas` and `.global`; `errors_cdas.csv` and `errors_global.csv` are our own compact form, made by

    python -m obsproc.errors prepobs_errtable.cdas > obsproc/errors_cdas.csv

Or an earlier experiment estimated them (`contracts.estimated_errors`): the error that an observation would have
otherwise, be it the file's or a table's, is multiplied by the factor of its group.

An error of relative humidity becomes one of specific humidity with the temperature of the level (`convert`).
Both tables leave out the scatterometer winds of today (type 290, ASCAT, in the files since 2009): their error is
1.5 m/s, that of the wind column of type 290 in `fix/prepobs_errtable.global` of the community GSI 3.7. Geopotential
height has no error in either place. An error that is known nowhere is flagged, never invented.
"""

import csv
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import resources
from pathlib import Path

import numpy as np

from contracts import estimated_errors, texts
from contracts.constants import HECTOPASCAL
from contracts.errors import UserError
from contracts.estimated_errors import EstimatedErrors
from contracts.observations import Observations
from contracts.variables import Flag, Quantity
from obsproc import convert
from obsproc.quality import reject

NOT_USED = 0.1e10  # in NCEP's file
COLUMNS = ("temperature", "relative_humidity", "wind", "surface_pressure")  # in the order of NCEP's file
WITHOUT_ERROR = -1.0  # of a row that its provider means to have none, where NaN would mean that of the table
ADDED = {("wind", 290): 1.5}  # (quantity, report type) -> SI; prepobs_errtable.global of the community GSI 3.7
_SI = {"temperature": 1.0, "relative_humidity": convert.TENTHS_OF_RELATIVE_HUMIDITY, "wind": 1.0,
       "surface_pressure": HECTOPASCAL}
_COLUMN_OF_KIND = {"temperature": "temperature", "humidity": "relative_humidity", "wind": "wind",
                   "pressure": "surface_pressure"}
COLUMN_OF = {quantity: _COLUMN_OF_KIND[quantity.kind] for quantity in Quantity
             if quantity.kind in _COLUMN_OF_KIND and quantity != Quantity.virtual_temperature}
_NUMBER_OF = np.full(max(Quantity) + 1, -1)  # by code of a quantity which of COLUMNS has its errors
for _quantity, _column in COLUMN_OF.items():
    _NUMBER_OF[_quantity] = COLUMNS.index(_column)


@dataclass(frozen=True)
class ErrorTable:
    """`error[column]` (ntype, npressure) SI, relative humidity as a fraction, NaN where not used.

    `types` (ntype,) consecutive report types; `pressure` (npressure,) ascending, Pa.
    """

    types: np.ndarray
    pressure: np.ndarray
    error: Mapping[str, np.ndarray]

    def knows(self, types: np.ndarray) -> np.ndarray:
        """Whether the table speaks of these report types at all."""
        return self.types[self._row(types)] == types

    def _row(self, types: np.ndarray) -> np.ndarray:
        return np.clip(types - self.types[0], 0, len(self.types) - 1)

    @cached_property
    def _used(self) -> dict[str, np.ndarray]:
        """By column whether a type (ntype,) has any error."""
        return {column: np.isfinite(errors).any(axis=1) for column, errors in self.error.items()}

    def at(self, column: str, types: np.ndarray, pressure: np.ndarray) -> np.ndarray:
        """Error (n,) for report types (n,) at pressures (n,) in Pa; NaN where not used or not known."""
        found = np.full(len(types), np.nan)
        row = self._row(types)
        used = np.flatnonzero(self._used[column][row] & (self.types[row] == types))
        found[used] = self._at(column, row[used], pressure[used])
        return found

    def _at(self, column: str, row: np.ndarray, pressure: np.ndarray) -> np.ndarray:
        pressure = np.clip(np.where(np.isfinite(pressure), pressure, self.pressure[-1]),
                           self.pressure[0], self.pressure[-1])
        above = np.clip(np.searchsorted(self.pressure, pressure, side="right") - 1, 0, len(self.pressure) - 2)
        weight = (pressure - self.pressure[above]) / (self.pressure[above + 1] - self.pressure[above])
        upper, lower = self.error[column][row, above], self.error[column][row, above + 1]
        between = (1.0 - weight) * upper + weight * lower
        return np.where(weight == 0.0, upper, np.where(weight == 1.0, lower, between))


PACKAGED = ("cdas", "global")


@lru_cache(8)
def named(name: str) -> ErrorTable:
    """A packaged table, or one in NCEP's layout at a path; raises UserError where it is not that."""
    if name in PACKAGED:
        with resources.files("obsproc").joinpath(f"errors_{name}.csv").open() as file:
            return _table(list(csv.reader(line for line in file if not line.startswith("#"))))
    try:
        lines = compact(texts.read(Path(name)).splitlines(), name).splitlines()
    except OSError as error:
        raise UserError(f"{name}: no such error table ({error.strerror}); [observations] errors is one of "
                        f"{', '.join(PACKAGED)} or a file in the layout of NCEP's prepobs_errtable") from None
    except (ValueError, KeyError, IndexError, StopIteration) as error:
        raise UserError(f"{name}: is no error table in the layout of NCEP's prepobs_errtable ({error})") from None
    return _table(list(csv.reader(line for line in lines if not line.startswith("#"))))


@lru_cache(8)
def chosen(name: str) -> tuple[ErrorTable, tuple[EstimatedErrors, ...]]:
    """The table that a name stands for, and the estimates upon it, each of which may stand on another one."""
    estimates: list[EstimatedErrors] = []
    while name.endswith(estimated_errors.SUFFIX):
        found = estimated_errors.read(Path(name))
        if found in estimates:
            raise UserError(f"{name}: stands upon itself by its setting otherwise; name there what its errors were "
                            "estimated from")
        estimates.append(found)
        name = found.otherwise if found.otherwise in PACKAGED else str(Path(name).parent / found.otherwise)
    return named(name), tuple(estimates)


def cdas() -> ErrorTable:
    """The table of the CDAS reanalysis."""
    return named("cdas")


def _table(rows: list[list[str]]) -> ErrorTable:
    pressure = np.array([float(p) for p in rows[0][2:]]) * HECTOPASCAL
    types = np.arange(100, 300)
    error = {column: np.full((len(types), len(pressure)), np.nan) for column in COLUMNS}
    for column, ranges, *values in rows[1:]:
        profile = np.array([float(v) if v else np.nan for v in values]) * _SI[column]
        for kind in _expand(ranges):
            if types[0] <= kind <= types[-1]:
                error[column][kind - types[0]] = profile[::-1]
    for (column, kind), value in ADDED.items():
        row = error[column][kind - types[0]]
        row[np.isnan(row)] = value
    return ErrorTable(types, pressure[::-1], error)


def assign(table: Observations, temperature: np.ndarray, errors: ErrorTable, factor: Mapping[Quantity, float],
           estimates: Sequence[EstimatedErrors] = ()) -> Observations:
    """Errors for the rows that have none in the file, then times the factors of the quantity and of `estimates`.

    `temperature` (nobs,) is that of the level, K. Rows without an error are flagged `missing_error`, or
    `error_table_excludes` where the table knows the report type but leaves the quantity out.
    """
    error = table.error.astype(np.float64)
    excluded = np.zeros(len(table), dtype=bool)
    sought = np.where(np.isfinite(error), -1, _NUMBER_OF[table.quantity])
    for number, column in enumerate(COLUMNS):
        rows = np.flatnonzero(sought == number)
        found = errors.at(column, table.type[rows], table.pressure[rows])
        nothing = rows[np.isnan(found)]
        excluded[nothing] = errors.knows(table.type[nothing])
        if column == "relative_humidity":
            specific = convert.humidity_error(found, temperature[rows], table.pressure[rows])
            found = np.where(table.quantity[rows] == Quantity.relative_humidity, found, specific)
        error[rows] = found
    for quantity, times in factor.items():
        error[table.quantity == quantity] *= times
    for estimate in estimates:
        error *= estimate.factors(table)
    error[~(error > 0)] = np.nan
    table = table.with_columns(error=error)
    table = reject(table, excluded, Flag.error_table_excludes)
    return reject(table, ~np.isfinite(error), Flag.missing_error)


def compact(lines: Iterable[str], name: str = "prepobs_errtable.cdas") -> str:
    """NCEP's text table as ours: one line per quantity and distinct profile, with the types that share it.

    Input: per type a heading line with its number, then 33 lines p, T, RH, wind, ps, pw. Precipitable water is left
    out, nothing here observes it.
    """
    profiles: dict[int, list[list[float]]] = {}
    kind = -1
    for line in lines:
        words = line.split()
        if "OBSERVATION" in words:
            kind = int(words[0])
            profiles[kind] = []
        elif words:
            profiles[kind].append([float(word) for word in words])
    pressure = [row[0] for row in next(iter(profiles.values()))]
    shared: dict[tuple[str, str], list[int]] = {}
    for number, column in enumerate(COLUMNS, start=1):
        for kind, rows in profiles.items():
            values = ",".join("" if row[number] == NOT_USED else f"{row[number]:g}" for row in rows)
            if values.strip(","):
                shared.setdefault((column, values), []).append(kind)
    head = [
        "# Standard deviations of observation errors by report type and pressure (hPa); blank: not used.",
        "# temperature K, relative_humidity percent/10, wind m/s, surface_pressure hPa.",
        f"# Source of the numbers: NOAA-EMC prepobs, {name}. Made by python -m obsproc.errors.",
        ",".join(["quantity", "types", *(f"{p:g}" for p in pressure)]),
    ]
    return "\n".join(head + [f"{column},{collapse(kinds)},{values}" for (column, values), kinds in shared.items()])


def collapse(kinds: list[int]) -> str:
    """[120, 121, 122, 132] -> '120-122 132'."""
    runs: list[list[int]] = []
    for kind in sorted(kinds):
        if runs and kind == runs[-1][-1] + 1:
            runs[-1].append(kind)
        else:
            runs.append([kind])
    return " ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def _expand(ranges: str) -> list[int]:
    """The inverse of `collapse`."""
    kinds: list[int] = []
    for run in ranges.split():
        first, _, last = run.partition("-")
        kinds.extend(range(int(first), int(last or first) + 1))
    return kinds


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m obsproc.errors prepobs_errtable.cdas > obsproc/errors_cdas.csv")
    print(compact(Path(sys.argv[1]).read_text().splitlines(), Path(sys.argv[1]).name))
