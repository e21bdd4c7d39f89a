"""`python -m verify departures`: the departures of all times as one table, Parquet, a row for each observed number.

The columns are those of `departures.nc` (`contracts.observations`) after `cycle_time`; quantity and flag are words,
texts are texts, times are time stamps.  Each time is a row group, so that memory holds one, and a reader who wants one
reads one.  `pandas.read_parquet(OUT)`, DuckDB, Polars and R's arrow open it as it is.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np

from contracts import config, observations, paths, program
from contracts.errors import UserError
from contracts.observations import ENCODING, Departures
from contracts.variables import Flag, Quantity
from verify.config import Settings
from verify.exports.chosen import need

WORDS: dict[str, type[IntEnum]] = {"quantity": Quantity, "flag": Flag}


def main(arguments: Sequence[str]) -> None:
    """Entry point; raises UserError."""
    parser = program.parser("python -m verify departures", __doc__ or "",
                            "python -m verify departures run/experiments/prepbufr_1989.toml departures.parquet")
    program.add_experiment(parser)
    parser.add_argument("out", type=Path, metavar="OUT.parquet", help="the file to write")
    given = parser.parse_args(arguments)
    print(write(given.out, config.load(given.experiment, Settings)))


def write(out: Path, settings: Settings) -> Path:
    """All times that have departures; raises UserError where none has, or pyarrow is not installed."""
    experiment = settings.experiment
    when = [time for time in experiment.times() if experiment.folder.at(time).departures.exists()]
    if not when:
        raise UserError(f"{experiment.folder.folder}: no time has an analysis yet; run: run/cycle.sh EXPERIMENT.toml")
    parquet = need("pyarrow.parquet", "table", "a Parquet file")
    with paths.atomic(out) as partial:
        tables = (arrow(observations.read_departures(experiment.folder.at(time).departures)[0], time) for time in when)
        first = next(tables)
        with parquet.ParquetWriter(partial, first.schema) as writer:
            writer.write_table(first)
            for table in tables:
                writer.write_table(table)
    return out


def arrow(table: Departures, time: datetime) -> Any:
    """A pyarrow.Table of the rows of one cycle."""
    pyarrow = need("pyarrow", "table", "a Parquet file")
    stamp = pyarrow.timestamp("s", tz="UTC")
    columns = {"cycle_time": pyarrow.array(np.full(len(table), np.int64(time.timestamp()))).cast(stamp)}
    for name, values in vars(table).items():
        if name in WORDS:
            codes, place = np.unique(values, return_inverse=True)
            words = np.array([WORDS[name](int(code)).name for code in codes], object)
            columns[name] = pyarrow.array(words[place], pyarrow.string())
        elif values.dtype.kind == "S":
            columns[name] = pyarrow.array([text.decode(ENCODING) for text in values.tolist()], pyarrow.string())
        else:
            column = pyarrow.array(values)
            columns[name] = column.cast(stamp) if name == "time" else column
    return pyarrow.table(columns)
