"""What a PREPBUFR file says, for other programs: columns by mnemonic and all events, as NumPy, pandas or Arrow.

    from obsproc import open_prepbufr

    file = open_prepbufr("prepbufr.gdas.20201101.t12z.nr", types=["ADPUPA"], mnemonics=["POB", "TOB", "TQM", "TYP"])
    file.levels("ADPUPA")["TOB"]             # (nlevel,) degC as in the file, current values, NaN where missing
    file.pandas()                            # all message types below one another, a row per level
    file.events("ADPUPA", "T__EVENT")        # every value that the stacks of temperature ever had
    file.arrow(names="words").column("lat")  # for Parquet, DuckDB, Polars, ...

    python -m obsproc table FILE OUT.parquet

A row is a level. Beside its columns, which are handed on as they were decoded, without a copy, it has those of its
report, and

    MSG_TYPE   message type          report   number of the report in its message type, from 0
    TIME       UTC, from HRDR or DHR and the time of the message

An event is a row of `level` (the row number above), `depth` (0: the current value) and the mnemonics of its stack.
`names="words"` calls columns lat, lon, time, station, elev, pres, type and class, as people who train on observations
do, `names="nnja"` the place and time LAT, LON and OBS_TIMESTAMP, as in Brightband's NNJA-AI; units stay those of the
file (hPa, degC, mg/kg). `names="earth2studio"` gives a long table in SI, a row per observed number: `long_table`.

Nothing is judged or converted here: rows of SI with fates are what `python -m obsproc` makes.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from contracts.constants import HOUR
from contracts.errors import UserError
from obsproc import long_table
from obsproc.bufr.files import DecodedFile, read_file
from obsproc.bufr.reports import Reports
from obsproc.prepbufr import SURFACE_MESSAGES

if TYPE_CHECKING:
    import pandas
    import pyarrow

Names = Literal["mnemonics", "words", "nnja", "earth2studio"]
WORDS = {"YOB": "lat", "XOB": "lon", "TIME": "time", "SID": "station", "ELV": "elev", "POB": "pres", "TYP": "type",
         "MSG_TYPE": "class", "TOB": "temperature", "QOB": "humidity", "UOB": "u", "VOB": "v", "ZOB": "height",
         "YDR": "level_lat", "XDR": "level_lon", "PQM": "pres_quality", "TQM": "temperature_quality",
         "QQM": "humidity_quality", "WQM": "wind_quality", "ZQM": "height_quality", "CAT": "category"}
NNJA = {"YOB": "LAT", "XOB": "LON", "TIME": "OBS_TIMESTAMP"}
_STACKS = {"P": ("POB", "PQM", "PPC", "PRC"), "Q": ("QOB", "QQM", "QPC", "QRC"), "T": ("TOB", "TQM", "TPC", "TRC"),
           "Z": ("ZOB", "ZQM", "ZPC", "ZRC"), "W": ("UOB", "VOB", "WQM", "WPC", "WRC")}
_CENTURY = datetime(2000, 1, 1)  # files of 1950 to 2049; their years have two digits


@dataclass(frozen=True)
class PrepbufrFile:
    """A decoded file; all tables are made when they are asked for."""

    decoded: DecodedFile

    @property
    def types(self) -> tuple[str, ...]:
        """Message types, in the order of the file."""
        return tuple(self.decoded.reports)

    def levels(self, message_type: str) -> dict[str, np.ndarray]:
        """Columns (nlevel,) of a message type by mnemonic, current values; texts as bytes, times as datetime64."""
        reports = self._reports(message_type)
        owner = reports.level_owner()
        columns = {"MSG_TYPE": np.full(reports.levels, message_type.encode()), "report": owner,
                   "TIME": self._times(reports, owner)}
        return columns | {name: values[owner] for name, values in reports.header.items()} | reports.level

    def events(self, message_type: str, stack: str) -> dict[str, np.ndarray]:
        """Columns (nevent,) of a stack such as "T__EVENT": `level`, `depth` and its mnemonics, the newest first."""
        reports = self._reports(message_type)
        if stack not in reports.depth:
            raise UserError(f"{self.decoded.path}: {message_type} has no stack {stack!r}; it has "
                            f"{', '.join(reports.depth) or 'none'}")
        current = np.flatnonzero(reports.depth[stack] > 0)
        deeper = reports.events.get(stack)
        names = [name for name in (deeper.columns if deeper else _STACKS.get(stack[0], ())) if name in reports.level]
        if deeper is None:
            return {"level": current, "depth": np.zeros(len(current), int)} | {
                name: reports.level[name][current] for name in names}
        level = np.concatenate([current, deeper.level])
        depth = np.concatenate([np.zeros(len(current), int), deeper.depth])
        order = np.lexsort((depth, level))
        return {"level": level[order], "depth": depth[order]} | {
            name: np.concatenate([reports.level[name][current], deeper.columns[name]])[order] for name in names}

    def arrow(self, types: Sequence[str] = (), names: Names = "mnemonics") -> "pyarrow.Table":
        """The levels of some message types (none named: all) as an Arrow table; a column that one lacks is null there.

        Raises ImportError without pyarrow (`pip install .[table]`).
        """
        import pyarrow

        of_type = self._long if names == "earth2studio" else partial(self._wide, names=names)
        parts = [of_type(kind) for kind in types or self.types]
        return pyarrow.concat_tables(parts, promote_options="default") if parts else pyarrow.table({})

    def _wide(self, message_type: str, names: Names) -> "pyarrow.Table":
        import pyarrow

        reports = self._reports(message_type)
        owner = reports.level_owner()
        of_level = pyarrow.array(owner)
        columns = {"MSG_TYPE": pyarrow.repeat(pyarrow.scalar(message_type), reports.levels), "report": of_level,
                   "TIME": _array(self._times(reports, owner))}
        columns |= {name: _array(values).take(of_level) for name, values in reports.header.items()}
        columns |= {name: _array(values) for name, values in reports.level.items()}
        return pyarrow.table({_named(name, names): values for name, values in columns.items()})

    def _long(self, message_type: str) -> "pyarrow.Table":
        reports = self._reports(message_type)
        begun = self._times(replace(reports, level={}), reports.level_owner())
        return long_table.of_levels(self.levels(message_type), begun, message_type in SURFACE_MESSAGES)

    def pandas(self, types: Sequence[str] = (), names: Names = "mnemonics") -> "pandas.DataFrame":
        """The same as a DataFrame."""
        return self.arrow(types, names).to_pandas()

    def _reports(self, message_type: str) -> Reports:
        if message_type not in self.decoded.reports:
            raise UserError(f"{self.decoded.path}: has no message type {message_type!r}; it has "
                            f"{', '.join(self.types)}")
        return self.decoded.reports[message_type]

    def _times(self, reports: Reports, owner: np.ndarray) -> np.ndarray:
        missing = np.full(reports.levels, np.nan)
        start = reports.header.get("DHR", np.full(reports.subsets, np.nan))[owner]
        drift = reports.level.get("HRDR", missing)
        hours = np.where(np.isfinite(drift), drift, start)
        seconds = self.decoded.cycles(reports, _CENTURY)[owner] + np.rint(np.nan_to_num(hours) * HOUR).astype(np.int64)
        return np.where(np.isfinite(hours), seconds.astype("datetime64[s]"), np.datetime64("NaT"))


def open_prepbufr(path: str | Path, types: Collection[str] = (), mnemonics: Collection[str] = ()) -> PrepbufrFile:
    """Decode a PREPBUFR file (also gzip or bzip2); `types` and `mnemonics` none named: all.

    Raises UserError naming file, message and byte where it is not what it should be.
    """
    wanted = None if not mnemonics else {*mnemonics, "SID", "TYP", "DHR", "HRDR"}
    decoded = read_file(path, wanted)
    kept = {kind: reports for kind, reports in decoded.reports.items() if not types or kind in types}
    if missing := set(types) - set(kept):
        raise UserError(f"{path}: has no message type {', '.join(sorted(missing))}; it has "
                        f"{', '.join(decoded.reports)}")
    return PrepbufrFile(DecodedFile(decoded.path, decoded.sha256, decoded.messages, kept, decoded.refused))


def _named(name: str, names: Names) -> str:
    if names == "words":
        return WORDS.get(name, name.lower())
    return NNJA.get(name, name) if names == "nnja" else name


def _array(values: np.ndarray) -> Any:
    """An Arrow array; numbers without a copy, texts as strings."""
    import pyarrow

    if values.dtype.kind == "S":
        return pyarrow.array(np.char.decode(values, "latin-1"), pyarrow.string())
    return pyarrow.array(values)
