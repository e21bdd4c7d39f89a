"""PREPBUFR reports made by hand."""

import numpy as np

from obsproc import prepbufr
from obsproc.bufr.reports import Reports
from tests.builders import TIME


def reports(message_type="ADPUPA", events=None, header=None, **level):
    """One report with levels from columns; what is not named is missing."""
    level = {name: np.atleast_1d(np.asarray(values, float)) for name, values in level.items()}
    n = max(len(values) for values in level.values())
    plain = {"CAT": np.full(n, 1.0), "POB": np.full(n, 500.0), "PQM": np.full(n, 2.0)}
    head = {"SID": b"71082", "XOB": 300.0, "YOB": 82.5, "DHR": -0.5, "ELV": 66.0, "TYP": 120.0} | (header or {})
    header = {name: np.array([value], dtype="S8" if name == "SID" else float) for name, value in head.items()}
    stacks = {} if events is None else {"T__EVENT": events}
    return Reports(message_type, 1, np.array([1]), header, np.array([0, n]), plain | level, {}, stacks)


def rows(quantity=None, **given):
    table = prepbufr.candidates(reports(**given), TIME).table
    return table if quantity is None else table.select(table.quantity == quantity)
