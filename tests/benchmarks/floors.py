"""The least that a benchmark's work can take: what it consists of, over what this core did of that in the same run.

    floor = amount / rate,      rate = amount / least seconds of `test_peak[unit]`,      share = floor / median

A benchmark that knows its amount says so in `extra_info`, by unit: floating-point operations of float32 or float64, a
multiplication and an addition being two, or bytes read and written.  Copies are of arrays that stay in the caches, as
the inputs of the benchmarks do.
"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from obsproc.bufr.files import DecodedFile
from obsproc.bufr.reports import Reports
from tests.benchmarks.local_solve import COLUMNS, LEVELS

UNITS = ("float32 flops", "float64 flops", "bytes")


def shares(run: Sequence[dict[str, Any]]) -> dict[str, float]:
    """By the name of a benchmark of `run` its floor over its median, of all whose unit's peak was measured."""
    rates = {peak[1]: each["extra_info"][peak[1]] / each["stats"]["min"] for each in run
             if (peak := re.fullmatch(r"test_peak\[(.+)\]", each["name"]))}
    return {each["name"]: amount / rates[unit] / each["stats"]["median"] for each in run
            for unit, amount in each["extra_info"].items() if unit in rates}


def flops_of_solves(k: int, p: int, rows: int) -> int:
    """Of the tile of `local_solve`: A and one factorisation of it, without which no method does.

    A = Σ_site h G has k (k + 1)/2 different numbers for each column; where a site has several rows, G = Σ_row y yᵀ is
    the same for all columns.  Cholesky takes k³/3.
    """
    sites = -(-p // rows)
    of_a_sum = k * (k + 1)
    return LEVELS * ((p * of_a_sum if rows > 1 else 0) + COLUMNS * (sites * of_a_sum + k**3 // 3))


def bytes_of_file(file: DecodedFile) -> int:
    """Of a file and of all tables that came of it."""
    return file.path.stat().st_size + sum(map(_bytes_of_reports, file.reports.values()))


def _bytes_of_reports(reports: Reports) -> int:
    columns = [reports.message, reports.level_start, *reports.header.values(), *reports.level.values(),
               *reports.depth.values()]
    for events in reports.events.values():
        columns += [events.level, events.depth, *events.columns.values()]
    return sum(np.asarray(column).nbytes for column in columns)
