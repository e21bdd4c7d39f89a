"""Which observations are used, by report type, quantity and station: a user's table, or GSI's convinfo as it is.

    types,quantity,station,use,window_hours,error,factor,gross
    130-139,specific_humidity,,monitor,,,,         # no humidity of aircraft
    181,temperature_2m,,use,1.5,2.0,,              # near the analysis time only, with an error of 2 K
    120,*,71082,reject,,,,                         # a station on the reject list
    220-229,*,,use,,,1.3,4                         # departures up to four errors are believed

Each line speaks of the report types, quantity (`*`: all) and station (empty: all) that it names; of several that fit a
row the last one counts, cell by cell, and what a cell leaves empty stays. `use` is use, monitor or reject; before the
first line that is what `[observations] use` says. `window_hours` is on either side of the analysis time and narrows the
experiment's window; `error` (units of the quantity) takes the place of the file's and the table's, `factor` multiplies.
With `gross` a departure from the background is rejected where it is larger than so many errors, instead of what
[background_check] says; `least_error` and `most_error` bound the error for that.

Of convinfo the observation type, report type, use (more than 0: use, 0 and -1: monitor, less: reject), window, gross,
ermax and ermin are read, for ps, t, q and uv; of lines that differ in the subtype only the most generous. As in GSI
(setupt and its like) a departure d is rejected where

    |d| > gross max(ermin, min(ermax, σ_o))        ermax, ermin K, m/s, hPa; of q percent of relative humidity
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from contracts.constants import HECTOPASCAL, HOUR
from contracts.errors import UserError, unknown
from contracts.observations import Observations
from contracts.variables import Flag, Quantity
from obsproc import convert, delimited
from obsproc.errors import COLUMN_OF, ErrorTable, collapse
from obsproc.quality import is_among, monitor, reject

USE, MONITOR, REJECT = "use", "monitor", "reject"
COLUMNS = ("types", "quantity", "station", "use", "window_hours", "error", "factor", "gross", "least_error",
           "most_error")
_NUMBERS = COLUMNS[4:]
_CODE = {"": 0, USE: 1, MONITOR: 2, REJECT: 3}
_OF_CONVINFO = {
    "ps": (Quantity.surface_pressure,),
    "t": (Quantity.temperature, Quantity.virtual_temperature, Quantity.temperature_2m),
    "q": (Quantity.specific_humidity, Quantity.specific_humidity_2m),
    "uv": (Quantity.u_component_of_wind, Quantity.v_component_of_wind, Quantity.u_component_of_wind_10m,
           Quantity.v_component_of_wind_10m),
}
_CONVINFO_SI = {"ps": HECTOPASCAL, "t": 1.0, "q": 0.01, "uv": 1.0}


@dataclass(frozen=True)
class Rule:
    """One line; NaN and empty where it says nothing."""

    types: tuple[int, int]  # first and last
    quantities: tuple[Quantity, ...]
    station: bytes = b""
    use: str = ""
    window_hours: float = np.nan
    error: float = np.nan
    factor: float = np.nan
    gross: float = np.nan
    least_error: float = np.nan
    most_error: float = np.nan
    of_relative_humidity: bool = False  # whether its bounds are, as a fraction, and not of specific humidity

    def fits(self, table: Observations) -> np.ndarray:
        """(nobs,) bool"""
        rows = (table.type >= self.types[0]) & (table.type <= self.types[1]) & np.isin(table.quantity, self.quantities)
        return rows & (table.station == self.station) if self.station else rows

    def bounds(self, table: Observations, temperature: np.ndarray) -> np.ndarray:
        """(2, nobs) least and most error for the gross limit, in the units of each row, of rows that it fits."""
        bounds = np.array([[0.0 if np.isnan(self.least_error) else self.least_error],
                           [np.inf if np.isnan(self.most_error) else self.most_error]])
        if not self.of_relative_humidity:
            return np.broadcast_to(bounds, (2, len(table)))
        return convert.humidity_error(bounds, temperature, table.pressure)


def before_errors(table: Observations, report_time: np.ndarray, rules: Sequence[Rule], used: Collection[Quantity],
                  time: int) -> Observations:
    """Fates by the rules, and their errors where they give one; `report_time` (nobs,) and `time` in seconds since 1970,
    `used` the quantities that are used where no rule speaks."""
    if not rules:
        return monitor(table, used)
    code = np.where(is_among(table.quantity, used), _CODE[USE], _CODE[MONITOR])
    window, error = np.full(len(table), np.inf), table.error.astype(np.float64)
    for rule in rules:
        rows = rule.fits(table)
        code[rows] = _CODE[rule.use] or code[rows]
        window[rows] = rule.window_hours if np.isfinite(rule.window_hours) else window[rows]
        error[rows] = rule.error if np.isfinite(rule.error) else error[rows]
    table = reject(table, np.abs(report_time - time) > window * HOUR, Flag.out_of_window)
    table = reject(table, code == _CODE[REJECT], Flag.error_table_excludes)
    return reject(table, code == _CODE[MONITOR], Flag.monitored).with_columns(error=error)


def after_errors(table: Observations, rules: Sequence[Rule], temperature: np.ndarray) -> Observations:
    """Errors times the factor of the last rule that fits and has one, and the largest departures likewise;
    `temperature` (nobs,) of the levels, K."""
    if not rules:
        return table
    factor, gross, bounds = np.ones(len(table)), np.full(len(table), np.nan), np.tile([[0.0], [np.inf]], len(table))
    for rule in rules:
        rows = rule.fits(table)
        factor[rows] = rule.factor if np.isfinite(rule.factor) else factor[rows]
        if np.isfinite(rule.gross):
            gross[rows] = rule.gross
            bounds[:, rows] = rule.bounds(table.select(rows), temperature[rows])
    error = table.error * factor
    with np.errstate(invalid="ignore"):
        largest = gross * np.maximum(bounds[0], np.minimum(bounds[1], error))
    return table.with_columns(error=error, largest_departure=largest)


@lru_cache(8)  # a service reads it for every time
def read(path: Path) -> tuple[Rule, ...]:
    """The rules of a table or of a convinfo file; raises UserError naming file, line and what was expected."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: no such usage table ({error.strerror}); check [observations] usage") from None
    first = next((line.split() for line in data.decode("utf-8", "replace").splitlines()
                  if line.strip() and not line.startswith(("!", "#"))), [])
    return tuple(_of_convinfo(data.decode("utf-8", "replace")) if len(first) > 8 else _of_table(path, data))


def default(errors: ErrorTable, used: Collection[Quantity], factors: Mapping[Quantity, float]) -> str:
    """What holds without a usage table, as one: the types for which the error table has an error of each quantity."""
    lines = ["# Without a usage table; other types of a quantity have no error, and those of the table hold.",
             "# Wind of type 290 (ASCAT), which the table leaves out: 1.5 m/s, as in the community GSI 3.7.",
             ",".join(COLUMNS)]
    for quantity, column in COLUMN_OF.items():
        kinds = errors.types[np.isfinite(errors.error[column]).any(axis=1)].tolist()
        use, factor = USE if quantity in used else MONITOR, f"{factors[quantity]:g}" if quantity in factors else ""
        lines += [f"{run},{quantity.name},,{use},,,{factor},,," for run in collapse(kinds).split()]
    return "\n".join(lines)


def _check_names(path: Path, names: list[str]) -> None:
    for name in ("types", "quantity", "use"):
        if name not in names:
            raise UserError(f"{path}: has no column {name!r}; a usage table has {', '.join(COLUMNS)}")
    for name in names:
        if name not in COLUMNS:
            raise UserError(f"{path}: {unknown('column', name, COLUMNS)}")


def _of_table(path: Path, data: bytes) -> Iterator[Rule]:
    cells = delimited.read(path, data, _check_names)
    n = len(cells.line)
    number = {name: cells.numbers(name, np.nan) if name in cells.columns else np.full(n, np.nan)
              for name in _NUMBERS}
    for row in range(n):
        where = f"{path}, line {cells.line[row]}"
        text = {name: str(column[row]) for name, column in cells.columns.items()}
        if text["use"] not in _CODE:
            raise UserError(f"{where}: use is {text['use']!r}, expected {USE}, {MONITOR}, {REJECT} or nothing")
        for name, values in number.items():
            if values[row] <= 0 or np.isinf(values[row]):
                raise UserError(f"{where}: {name} is {values[row]:g}, expected a number more than 0, or nothing")
        numbers: dict[str, Any] = {name: float(values[row]) for name, values in number.items()}
        yield Rule(_types(where, text["types"]), _quantities(where, text["quantity"]),
                   text.get("station", "").encode("ascii", "replace"), text["use"], **numbers)


def _types(where: str, text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    if text == "*":
        return 0, 999
    if not (first.isdecimal() and (last or first).isdecimal() and int(first) <= int(last or first)):
        raise UserError(f"{where}: types are {text!r}, expected a report type such as 120, a range 120-139, or *")
    return int(first), int(last or first)


def _quantities(where: str, text: str) -> tuple[Quantity, ...]:
    if text == "*":
        return tuple(Quantity)
    if text not in Quantity.__members__:
        raise UserError(f"{where}: {unknown('quantity', text, ['*', *Quantity.__members__])}")
    return (Quantity[text],)


class _Info(NamedTuple):
    """What a line of convinfo says; of several the greatest counts."""

    use: int
    window_hours: float
    gross: float
    most_error: float
    least_error: float


def _of_convinfo(text: str) -> Iterator[Rule]:
    found: dict[tuple[str, int], _Info] = {}
    for line in text.splitlines():
        words = line.split("!")[0].split()
        if len(words) > 10 and words[0] in _OF_CONVINFO:
            key, one = (words[0], int(words[1])), _Info(int(words[3]), *map(float, (words[4], *words[8:11])))
            found[key] = max(found.get(key, one), one)
    for (kind, number), one in found.items():
        chosen = USE if one.use > 0 else MONITOR if one.use >= -1 else REJECT
        si = _CONVINFO_SI[kind]
        yield Rule((number, number), _OF_CONVINFO[kind], use=chosen, window_hours=one.window_hours, gross=one.gross,
                   least_error=si * one.least_error, most_error=si * one.most_error, of_relative_humidity=kind == "q")
