"""Superobservations: the mean of neighbours in place of them (Lorenc 1981, MWR 109, 701).

The observations of one quantity and report type that share a cell, a layer and a slot become one row more:

    cell     about `cell_km` wide: bands of latitude, cut into equal lengths; at least twelve cells in a band,
             so that east stays about east near the poles
    layer    `cell_ln_p` deep in ln p aloft; `cell_height_m` of station height for surface quantities
    slot     of the window, an hour by default

Value, height, time and ln p are arithmetic means, the position is the mean direction of the unit vectors, the mark the
worst. Weights are 1/n. Errors within one instrument count as the same error, errors of different instruments have
the correlation c (`error_correlation`, 0: independent), which for the mean gives

    a_s = Σ_{i of instrument s} σ_i / n          σ² = (1 − c) Σ_s a_s² + c (Σ_s a_s)²

so that m equal, independent instruments have σ/√m and one instrument keeps its σ, however often it reports (Berger and
Forsythe 2004, Met Office Forecasting Research TR 451, on correlated errors in superobservations). The station names the
instrument; the names of satellite reports do not, there all of one report type are taken for one.

The members stay with the flag `superobbed`, the row that stands for them says their number in `count`. An observation
alone in its cell stays as it is.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from contracts import observations, sphere
from contracts.constants import EARTH_RADIUS
from contracts.observations import Observations, Source
from contracts.variables import Flag
from obsproc.config import Thinning
from obsproc.quality import reject

MIXED_STATIONS = b"SUPEROB"
SATELLITE_MESSAGES = (b"SATWND", b"SATEMP", b"SPSSMI", b"ERS1DA", b"GOESND", b"QKSWND", b"RASSDA", b"WDSATR",
                      b"ASCATW")
FEWEST_CELLS = 12  # in a band of latitude


def form(table: Observations, source: Source, chosen: Thinning) -> Observations:
    """The table with superobservations at its end and their members flagged."""
    rows = np.flatnonzero(offered(table, chosen.message_types))
    members = table.select(rows)
    box = _box(members, source, chosen)
    together = _group(*box, members.quantity)
    shared = together.size[together.of] > 1
    flagged = np.zeros(len(table), dtype=bool)
    flagged[rows[shared]] = True
    means = _means(members.select(shared), _group(*(column[shared] for column in (*box, members.quantity))),
                   _group(*(column[shared] for column in box)), chosen.error_correlation)
    means = means.with_columns(report=means.report + 1 + np.max(table.report, initial=-1))
    return observations.concatenate([reject(table, flagged, Flag.superobbed), means])


def offered(table: Observations, message_types: Collection[str]) -> np.ndarray:
    """(nobs,) bool: still good, and of the message types named (none named: all)."""
    of_type = np.isin(table.message_type, [kind.encode() for kind in message_types]) | (not message_types)
    return (table.flag == Flag.passed) & of_type


@dataclass(frozen=True)
class _Groups:
    """Rows that agree in some columns: group `of` each row (n,), a row `first` and the `size` of each (ngroup,)."""

    of: np.ndarray
    first: np.ndarray
    size: np.ndarray

    def mean(self, values: np.ndarray) -> np.ndarray:
        """(ngroup,); around a member's value, so that the mean of equal values is that value exactly."""
        reference = values[self.first]
        return reference + self.sum(values - reference[self.of]) / self.size

    def sum(self, values: np.ndarray) -> np.ndarray:
        return np.bincount(self.of, weights=values, minlength=len(self.size))


def _group(*columns: np.ndarray) -> _Groups:
    """Groups of equal rows, in ascending order of the columns."""
    order = np.lexsort(columns[::-1])
    starts = np.ones(len(order), dtype=bool)
    starts[1:] = np.logical_or.reduce([column[order][1:] != column[order][:-1] for column in columns])
    of = np.empty(len(order), dtype=np.intp)
    of[order] = np.cumsum(starts) - 1
    first = order[starts]
    return _Groups(of, first, np.bincount(of, minlength=len(first)))


def _box(table: Observations, source: Source, chosen: Thinning) -> tuple[np.ndarray, ...]:
    """What the members of one superobservation have in common, apart from the quantity: columns (nobs,)."""
    size = chosen.cell_km * 1000.0
    bands = max(1, round(np.pi * EARTH_RADIUS / size))
    band = np.minimum((table.lat + 90.0) / 180.0 * bands, bands - 1).astype(int)
    middle = np.deg2rad(-90.0 + (band + 0.5) * 180.0 / bands)
    cells = np.maximum(FEWEST_CELLS, np.rint(2.0 * np.pi * EARTH_RADIUS * np.cos(middle) / size))
    cell = np.floor(np.mod(table.lon, 360.0) / 360.0 * cells).astype(int)
    at_surface = table.at_surface
    pressure = np.where(at_surface, 1.0, table.pressure)
    layer = np.where(at_surface, table.elevation / chosen.cell_height_m, np.log(pressure) / chosen.cell_ln_p)
    return (np.unique(table.message_type, return_inverse=True)[1], table.type, at_surface, band, cell,
            np.floor(layer).astype(int), source.slot(table.time))


def _means(members: Observations, groups: _Groups, boxes: _Groups, correlation: float) -> Observations:
    """One row per group; `report` numbers the boxes, so that both components of a wind share it."""
    vector = sphere.unit_vectors(members.lat, members.lon)
    x, y, z = (groups.mean(vector[:, axis]) for axis in range(3))
    station = members.station[groups.first]
    mixed = groups.sum(members.station != station[groups.of]) > 0
    quality = np.zeros(len(groups.size), np.int8)
    np.maximum.at(quality, groups.of, members.quality)
    number = len(groups.size)
    same = members.select(groups.first)
    return same.with_columns(
        value=groups.mean(members.value), error=_error(members, groups, correlation), quality=quality,
        flag=np.full(number, Flag.passed), station=np.where(mixed, MIXED_STATIONS, station),
        report=boxes.of[groups.first], lat=np.rad2deg(np.arctan2(z, np.hypot(x, y))),
        lon=np.mod(np.rad2deg(np.arctan2(y, x)), 360.0), pressure=np.exp(groups.mean(np.log(members.pressure))),
        elevation=groups.mean(members.elevation.astype(float)), time=np.rint(groups.mean(members.time.astype(float))),
        file_background=groups.mean(members.file_background.astype(float)),
        count=np.rint(groups.sum(members.count)), largest_departure=np.full(number, np.nan))


def _error(members: Observations, groups: _Groups, correlation: float) -> np.ndarray:
    """(ngroup,) standard deviation of the mean."""
    satellite = np.isin(members.message_type, SATELLITE_MESSAGES)
    instrument = _group(groups.of, np.where(satellite, b"", members.station))
    owner = groups.of[instrument.first]
    share = instrument.sum(members.error.astype(float)) / groups.size[owner]
    squares, total = (np.bincount(owner, weights=part, minlength=len(groups.size)) for part in (share**2, share))
    return np.sqrt((1.0 - correlation) * squares + correlation * total**2)
