"""Observations into the file layout of JCSDA's IODA: the inverse of `ioda`.

Rows that agree in station, place, time and report share a Location. What 32 bits cut off a number is written beside it.
"""

from datetime import datetime
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np

from contracts import netcdf, paths
from contracts.observations import Observations, Source
from contracts.variables import Flag, Quantity
from obsproc.ioda import DOUBLES, FILL, LAYOUT, LAYOUT_VERSION, OF_LOCATION, OF_VARIABLE, TEXTS, VARIABLE


def export_file(path: Path, table: Observations, source: Source) -> int:
    """Write a table atomically; returns the number of Locations."""
    first, location = _locations(table)
    with paths.atomic(path) as partial, netCDF4.Dataset(partial, "w", format="NETCDF4") as file:
        file.setncatts({
            "_ioda_layout": LAYOUT, "_ioda_layout_version": np.int32(LAYOUT_VERSION), "converter": netcdf.version(),
            "description": "in-situ observations of one analysis cycle", "datetimeReference": _iso(source.time),
            "slotSeconds": np.int32(source.slot_seconds)})
        file.setncattr_string("datetimeRange", [_iso(end) for end in source.window])
        file.setncattr_string("sourceFiles", list(source.files) or [""])
        file.setncattr_string("sourceFilesSha256", list(source.sha256) or [""])
        file.createDimension("Location", len(first))
        file.createVariable("Location", "i8", ("Location",))[:] = np.arange(len(first))
        _write_locations(file, table.select(first))
        for quantity, name in VARIABLE.items():
            rows = np.flatnonzero(table.quantity == quantity)
            if rows.size:
                _write_variable(file, name, quantity, table.select(rows), location[rows], len(first))
    return len(first)


def _iso(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"


def _locations(table: Observations) -> tuple[np.ndarray, np.ndarray]:
    """A row of each Location (nlocation,), and the Location of each row (nobs,).

    Two rows of one quantity that agree in all else have Locations of their own.
    """
    columns = [getattr(table, name) for name in (*OF_LOCATION, *TEXTS)]
    codes = np.column_stack([np.unique(column, return_inverse=True)[1].ravel() for column in columns])
    _, place = np.unique(codes, axis=0, return_inverse=True)
    order = np.lexsort((table.quantity, place.ravel()))
    key = np.column_stack([place.ravel(), table.quantity])[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (np.diff(key, axis=0) != 0).any(axis=1)
    index = np.arange(len(order))
    repeat = np.empty(len(order), dtype=int)
    repeat[order] = index - np.maximum.accumulate(np.where(new, index, 0)) if len(order) else 0
    _, first, location = np.unique(np.column_stack([place.ravel(), repeat]), axis=0, return_index=True,
                                   return_inverse=True)
    return first, location.ravel()


def _write_locations(file: netCDF4.Dataset, rows: Observations) -> None:
    for column, (name, units, kind) in OF_LOCATION.items():
        values = getattr(rows, column)
        attributes = {"units": units} if units else {}
        if column in DOUBLES:
            _add(file, f"MetaDataRemainder/{name}", _remainder(values), "f8", **attributes)
        _add(file, f"MetaData/{name}", values, kind, **attributes)
    for column, name in TEXTS.items():
        variable = file.createVariable(f"MetaData/{name}", str, ("Location",))
        variable[:] = np.array([text.decode("latin-1") for text in getattr(rows, column)], dtype=object)


def _write_variable(file: netCDF4.Dataset, name: str, quantity: Quantity, rows: Observations, location: np.ndarray,
                    length: int) -> None:
    for column in OF_VARIABLE:
        given = getattr(rows, column.name)
        values = np.full(length, np.nan if given.dtype.kind == "f" else FILL["i4"], np.result_type(given, column.kind))
        values[location] = np.where(given == column.missing, FILL["i4"], given) if column.name == "quality" else given
        attributes: dict[str, Any] = {"units": quantity.units} if column.kind == "f4" else {}
        if column.name == "flag":
            attributes = {"flag_values": np.array([flag.value for flag in Flag], np.int32),
                          "flag_meanings": " ".join(flag.name for flag in Flag)}
        if column.name in DOUBLES:
            _add(file, f"{column.group}Remainder/{name}", _remainder(values), "f8", **attributes)
        _add(file, f"{column.group}/{name}", values, column.kind, **attributes)


def _remainder(values: np.ndarray) -> np.ndarray:
    """What 32 bits cut off; exact, since the difference of two near numbers is."""
    return values - values.astype(np.float32)


def _add(file: netCDF4.Dataset, name: str, values: np.ndarray, kind: str, **attributes: Any) -> None:
    fill = FILL[kind]
    variable: Any = file.createVariable(name, np.dtype(kind), ("Location",), fill_value=fill)
    variable.setncatts(attributes)
    variable[:] = np.where(np.isfinite(values), values, fill).astype(kind)
