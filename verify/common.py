"""The fit of several experiments to the same observations, where no truth says which of them is better.

Each experiment drops other rows in its background check: one with less spread rejects more of what it fits badly, and
seems the better for it over the rows that it has kept.  So only rows count that every one of them has compared with its
model under one fate, at times that all have.  A row is known by fate, quantity, type, station, place, time and value;
of rows alike in all of these the first of one table is the first of the other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from functools import reduce
from pathlib import Path

import numpy as np

from contracts import observations
from contracts.observations import Departures
from verify import groups
from verify.fit import Fit, statistics

KEYS = ("flag", "quantity", "type", "station", "time", "lat", "lon", "pressure", "value")
WHOLE_HPA = (1100.0, 0.0)  # one layer: only totals are asked for
NO_FIT = Fit(*([np.empty(0)] * len(fields(Fit))))


def times(files: Sequence[Mapping[datetime, Path]]) -> list[datetime]:
    """Those that all experiments have departures of; `files` theirs by time."""
    return sorted(set(files[0]).intersection(*files[1:]))


def fits(files: Sequence[Mapping[datetime, Path]]) -> list[Fit]:
    """Of each experiment the fit to the rows that all of them have."""
    found: list[list[Fit]] = [[] for _ in files]
    for time in times(files):
        tables = [groups.compared(observations.read_departures(each[time])[0]) for each in files]
        for mine, table, chosen in zip(found, tables, rows(tables), strict=True):
            mine.append(statistics(table.select(chosen), WHOLE_HPA))
    return [Fit.join(mine) if mine else NO_FIT for mine in found]


def rows(tables: Sequence[Departures]) -> list[np.ndarray]:
    """Of each table the places (n,) of the rows that all have, in one order."""
    numbers = np.unique(np.concatenate([_identity(table) for table in tables]), return_inverse=True)[1]
    ends = np.cumsum([len(table) for table in tables])
    names = [_told_apart(part) for part in np.split(numbers, ends[:-1])]
    shared = reduce(np.intersect1d, names)
    order = [np.argsort(mine) for mine in names]
    return [by_name[np.searchsorted(mine, shared, sorter=by_name)] for mine, by_name in zip(names, order, strict=True)]


def _identity(table: Departures) -> np.ndarray:
    """(nobs,) the bytes of the columns by which a row is known."""
    columns = [np.ascontiguousarray(getattr(table, name)) for name in KEYS]
    packed = np.empty(len(table), [(name, column.dtype) for name, column in zip(KEYS, columns, strict=True)])
    for name, column in zip(KEYS, columns, strict=True):
        packed[name] = column
    return packed.view(np.dtype((np.void, packed.dtype.itemsize)))


def _told_apart(numbers: np.ndarray) -> np.ndarray:
    """(nobs, ) each number together with how often it stood there before."""
    order = np.argsort(numbers, kind="stable")
    first = np.searchsorted(numbers[order], numbers[order])
    before = np.empty(numbers.size, np.int64)
    before[order] = np.arange(numbers.size) - first
    return numbers.astype(np.int64) << 32 | before
