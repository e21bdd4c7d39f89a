"""Rows into levels, and levels into reports, as a PREPBUFR file has them: what `prepbufr` takes apart.

Rows of one report, station and type become a report; rows at one place, time and pressure become a level.
"""

from dataclasses import dataclass

import numpy as np

from contracts.observations import Observations

MOST_LEVELS = 255  # of a report


@dataclass(frozen=True)
class Levels:
    """Where the rows go: `of_row` (nrow,) its level, the others (nlevel,); `start` (nsubset + 1,) as in Reports."""

    of_row: np.ndarray
    start: np.ndarray
    at_surface: np.ndarray
    pressure: np.ndarray
    lat: np.ndarray
    lon: np.ndarray
    time: np.ndarray
    station: np.ndarray
    elevation: np.ndarray
    type: np.ndarray
    report: np.ndarray


def leveled(table: Observations, slot: np.ndarray, several: bool) -> Levels:
    """Sort rows into levels, from the ground upwards, and those into reports of one or `several` levels; `slot` (nrow,)
    numbers the places that a level has, and two rows of one slot make two levels."""
    at_surface = table.at_surface
    _, station = np.unique(table.station, return_inverse=True)
    pressure = np.where(at_surface, 0.0, table.pressure)
    key = np.column_stack([table.report, table.type, station, ~at_surface, -pressure, table.time, table.lat, table.lon])
    key = np.nan_to_num(key, nan=np.finfo(float).max)
    key = np.column_stack([key, _occurrence(np.column_stack([key, slot]))])
    unique, first, of_row = np.unique(key, axis=0, return_index=True, return_inverse=True)
    new = np.ones(len(unique), dtype=bool)
    if several:
        new[1:] = (unique[1:, :3] != unique[:-1, :3]).any(axis=1)
        position = np.arange(len(unique))
        new |= (position - np.maximum.accumulate(np.where(new, position, 0))) % MOST_LEVELS == 0
    return Levels(of_row.ravel(), np.append(np.flatnonzero(new), len(unique)), at_surface[first],
                   *(getattr(table, name)[first] for name in
                     ("pressure", "lat", "lon", "time", "station", "elevation", "type", "report")))


def _occurrence(key: np.ndarray) -> np.ndarray:
    """How many equal rows stand before each one, (nrow,)."""
    _, group = np.unique(key, axis=0, return_inverse=True)
    order = np.argsort(group.ravel(), kind="stable")
    ordered = group.ravel()[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    count = np.empty(len(key), dtype=int)
    count[order] = np.arange(len(key)) - np.repeat(starts, np.diff(np.append(starts, len(key))))
    return count
