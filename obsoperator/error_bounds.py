"""Bounds of observation errors, at the door of every analysis, as ermin and ermax of NCEP's GSI are.

An error of 1e-12 is a filler or a unit mistaken: one such number outweighs all others.  An infinite one leaves a row
that counts as assimilated and says nothing.  Such rows are flagged `error_out_of_bounds` and named, and the analysis
goes on.

    least   a tenth of the uncertainty that the WMO asks of instruments (WMO-No. 8, vol. I, annex 1.A of the edition of
            2024: 0.1 K, 0.5 m/s, 0.1 hPa, 1 % of relative humidity), so that the mean of a hundred of the best passes
    most    five times the largest error of its kind in NCEP's tables (prepobs_errtable.cdas: 9.9 K, 7 m/s, 9 hPa, all
            of the relative humidity), so that errors made wider on purpose still pass

A height is bounded by what these pressures are near the ground, 8 m/hPa; a specific humidity by 0.1 % of saturation at
-83 °C and 100 hPa, and by all of saturation at 40 °C and 1000 hPa.
"""

from collections.abc import Mapping

import numpy as np

from contracts.constants import HECTOPASCAL
from contracts.errors import unknown
from contracts.observations import Observations
from contracts.variables import Quantity

_NAMED = 10  # rows told one by one
Bounds = tuple[float, float]  # least and most, in the units of a quantity

_BY_KIND: dict[str, Bounds] = {"temperature": (0.01, 50.0), "wind": (0.05, 35.0), "humidity": (2e-9, 0.05),
                               "height": (0.08, 360.0), "pressure": (1.0, 4500.0)}  # K, m/s, kg/kg, m, Pa
BOUNDS: dict[Quantity, Bounds] = {quantity: _BY_KIND[quantity.kind] for quantity in Quantity} | {
    Quantity.relative_humidity: (0.001, 1.0)}


def refuse_impossible(chosen: Mapping[str, Bounds]) -> None:
    """Raises ValueError where bounds of `chosen` quantities, by name, are none."""
    for name, (least, most) in chosen.items():
        if name not in Quantity.__members__:
            raise ValueError(f"error_bounds: {unknown('quantity', name, Quantity.__members__)}")
        if not 0 < least < most:
            raise ValueError(f"error_bounds: expected 0 < least < most for {name}, got {[least, most]}")


def within(quantity: np.ndarray, error: np.ndarray, chosen: Mapping[str, Bounds]) -> np.ndarray:
    """(nobs,) bool: whether an `error` (nobs,) float32 lies within the bounds of its `quantity` (nobs,), both ends
    included; `chosen` bounds replace those of the table."""
    found = np.zeros(error.size, bool)
    for which, bounds in BOUNDS.items():
        least, most = np.asarray(chosen.get(which.name, bounds), np.float32)  # as the table holds errors
        found |= (quantity == which) & (error >= least) & (error <= most)
    return found


def named(table: Observations, rows: np.ndarray, chosen: Mapping[str, Bounds]) -> list[str]:
    """A sentence for each of the `rows` whose error is not within bounds, up to ten, and how many more there are."""
    lines = []
    for row in rows[:_NAMED]:
        quantity, station = Quantity(table.quantity[row]), table.station[row].decode("ascii", "replace").strip()
        least, most = chosen.get(quantity.name, BOUNDS[quantity])
        lines.append(f"row {row}, {quantity.name} of station {station or '(no name)'} at "
                     f"{table.pressure[row] / HECTOPASCAL:g} hPa: expected an error of {least:g} to {most:g} "
                     f"{quantity.units}, got {table.error[row]:g}; it is not used")
    return lines + ([f"and {rows.size - _NAMED} more rows with such an error"] if rows.size > _NAMED else [])
