"""Errors made larger where observations say less than their number: the rules of NCEP's GSI, each a setting.

    suspect                     rows with mark 3, or placed by a pressure with it; GSI 1.2      (read_prepbufr)
    temperature_above_100_hpa   GSI 1.2                                                         (read_prepbufr)
    wind_above_50_hpa           GSI 1.2                                                         (read_prepbufr)
    repeats                     √d for a quantity observed again at the same place and level    (setupps, setupt, …)

        d = 1 + Σ (1 − (1 − a) min(1, |Δt| / τ)²)     over the other rows there; GSI: a = 0.75, τ = 3 h

    layers                      √n for n levels of a sounding in one layer of the analysis      (after errormod)

Several rows that err alike count for one: twelve reports of a buoy within an hour, or the thirty levels of a sounding
between two levels of the model, whose representation they all miss in the same way. Layers are bounded halfway between
levels, in ln p; GSI counts by the distance of levels instead. Rows that are not offered to an analysis count for
nothing.
"""

from collections.abc import Sequence

import numpy as np

from contracts.constants import HECTOPASCAL, HOUR
from contracts.observations import Observations
from contracts.variables import Flag, Quantity
from obsproc.config import ErrorInflation
from obsproc.quality import WIND

SUSPECT = 3
_TEMPERATURES = (Quantity.temperature, Quantity.virtual_temperature)


def apply(table: Observations, chosen: ErrorInflation, levels_hpa: Sequence[float]) -> Observations:
    """The table with larger errors; `levels_hpa` are those of the analysis."""
    if chosen == ErrorInflation():
        return table
    return table.with_columns(error=table.error * factors(table, chosen, levels_hpa))


def factors(table: Observations, chosen: ErrorInflation, levels_hpa: Sequence[float]) -> np.ndarray:
    """(nobs,) what multiplies each error, 1 where nothing does."""
    factor = np.ones(len(table))
    aloft = ~table.at_surface
    factor[table.quality == SUSPECT] *= chosen.suspect
    high = aloft & np.isin(table.quantity, _TEMPERATURES) & (table.pressure < 100 * HECTOPASCAL)
    factor[high] *= chosen.temperature_above_100_hpa
    factor[aloft & np.isin(table.quantity, WIND) & (table.pressure < 50 * HECTOPASCAL)] *= chosen.wind_above_50_hpa
    used = np.isin(table.flag, (Flag.passed, Flag.withheld))
    if chosen.repeats:
        rows = np.flatnonzero(used)
        factor[rows] *= np.sqrt(repeated(table.select(rows), chosen.repeats_weight, chosen.repeats_hours * HOUR))
    if chosen.layers:
        rows = np.flatnonzero(used & aloft & np.isfinite(table.pressure))
        factor[rows] *= np.sqrt(of_layer(table.select(rows), levels_hpa))
    return factor


def repeated(table: Observations, weight: float, seconds: float) -> np.ndarray:
    """(nobs,) d: of how many observations each row is a repetition, itself included; `weight` a, `seconds` τ."""
    place = (np.where(table.at_surface, 0.0, table.pressure), table.lon, table.lat, table.quantity)
    order = np.lexsort((table.time, *place))
    d = np.ones(len(table))
    for step in range(1, len(table)):
        one, other = order[:-step], order[step:]
        together = np.ones(len(one), dtype=bool)
        for column in place:
            together &= column[one] == column[other]
        if not together.any():
            break
        one, other = one[together], other[together]
        apart = np.minimum(1.0, (table.time[other] - table.time[one]) / seconds)
        share = 1.0 - (1.0 - weight) * apart**2
        d[one] += share  # each row stands once in `one` and once in `other` of a step
        d[other] += share
    return d


def of_layer(table: Observations, levels_hpa: Sequence[float]) -> np.ndarray:
    """(nobs,) n: rows of the same report and quantity in the same layer."""
    middle = np.log(np.sort(np.asarray(levels_hpa, float)) * HECTOPASCAL)
    layer = np.searchsorted((middle[1:] + middle[:-1]) / 2, np.log(table.pressure))
    key = (table.report.astype(np.int64) * (max(Quantity) + 1) + table.quantity) * (len(middle) + 1) + layer
    _, place, count = np.unique(key, return_inverse=True, return_counts=True)
    return count[place.ravel()].astype(float)
