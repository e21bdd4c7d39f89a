"""A PREPBUFR file as the long table that programs of machine learning read: one row per observed number, in SI.

The columns are those of earth2studio's conventional observations (`NomadsGDASObsConv`, `NNJAObsConv`), so that a file
can stand for a download:

    time, lat, lon            of the level: drift where the file tells it
    pres, elev                Pa, m: pressure of the level, its height (of a station that of the station)
    type, class               report type, message type
    station, station_elev     m
    observation, variable     u, v m/s; t K; q kg/kg; pres Pa, the station pressure of mass reports at the surface
    quality, pressure_quality, level_cat           marks of the number and of the level's pressure, category
    report_time, report_lat, report_lon            of the report's header

Values are current ones, as they stand: nothing is judged, and a temperature that the file marks as virtual (TPC = 8)
stays one, as there.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from contracts.constants import HECTOPASCAL, ZERO_CELSIUS

if TYPE_CHECKING:
    import pyarrow

# Variable -> mnemonics of value and mark, factor and offset to SI.
VARIABLES = {"u": ("UOB", "WQM", 1.0, 0.0), "v": ("VOB", "WQM", 1.0, 0.0), "t": ("TOB", "TQM", 1.0, ZERO_CELSIUS),
             "q": ("QOB", "QQM", 1e-6, 0.0), "pres": ("POB", "PQM", HECTOPASCAL, 0.0)}
SURFACE = 0  # level category


def of_levels(levels: Mapping[str, np.ndarray], report_time: np.ndarray, of_surface: bool) -> "pyarrow.Table":
    """The rows of one message type from its level columns by mnemonic (nlevel,), `PrepbufrFile.levels`; `report_time`
    (nlevel,) datetime64, `of_surface` whether all its levels are at the surface."""
    import pyarrow

    n = len(levels["TIME"])

    def get(name: str) -> np.ndarray:
        return levels.get(name, np.full(n, np.nan))

    at_surface = (get("CAT") == SURFACE) | of_surface
    elev = np.where(np.isfinite(get("ZOB")), get("ZOB"), np.where(at_surface, get("ELV"), np.nan))
    floats = {"pres": get("POB") * HECTOPASCAL, "elev": elev, "lat": _or(get("YDR"), get("YOB")),
              "lon": _or(get("XDR"), get("XOB")), "station_elev": get("ELV"), "report_lat": get("YOB"),
              "report_lon": get("XOB")}
    whole = {"type": get("TYP"), "pressure_quality": get("PQM"), "level_cat": get("CAT")}
    parts = []
    for variable, (name, mark, factor, offset) in VARIABLES.items():
        there = np.isfinite(get(name))
        if variable == "pres":
            there &= at_surface & (get("TYP") // 100 == 1)
        rows = np.flatnonzero(there)
        columns = {"time": levels["TIME"][rows].astype("datetime64[ns]")}
        columns |= {key: values[rows].astype(np.float32) for key, values in floats.items()}
        columns |= {key: _integers(values[rows]) for key, values in (whole | {"quality": get(mark)}).items()}
        columns["observation"] = (get(name)[rows] * factor + offset).astype(np.float32)
        columns["report_time"] = report_time[rows].astype("datetime64[ns]")
        texts = {"class": levels["MSG_TYPE"][rows], "station": levels["SID"][rows],
                 "variable": np.full(len(rows), variable.encode())}
        parts.append(pyarrow.table(columns | {key: _texts(values) for key, values in texts.items()}))
    return pyarrow.concat_tables(parts)


def _or(values: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values), values, otherwise)


def _integers(values: np.ndarray) -> "pyarrow.Array":
    """Whole numbers, null where missing."""
    import pyarrow

    missing = ~np.isfinite(values)
    return pyarrow.array(np.where(missing, 0, values).astype(np.uint16), mask=missing)


def _texts(values: np.ndarray) -> "pyarrow.Array":
    """Strings; each different one is decoded once."""
    import pyarrow

    distinct, place = np.unique(values.astype("S8").view(np.uint64), return_inverse=True)
    names = pyarrow.array(np.char.strip(np.char.decode(distinct.view("S8"), "latin-1")), pyarrow.string())
    return names.take(pyarrow.array(place.ravel()))
