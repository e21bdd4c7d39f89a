"""Decoded reports of one message type as tables.

Header columns hold one value per subset (report); level columns hold one per level, in CSR form: rows
`level_start[i]` to `level_start[i + 1]` belong to subset i. An event stack keeps all values a quantity has had, newest
first: the first event is the current value and stands in the level column, the deeper ones are sparse rows. Missing
numbers are NaN, missing texts empty; numbers are in the unit of the file's Table B. Columns are not to be written to:
one without any value may be a single missing value in every row.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Events:
    """The deeper events of one kind of stack: rows with depth >= 1, sorted by level and depth."""

    level: np.ndarray  # (nevent,) row of the level table
    depth: np.ndarray  # (nevent,) 1 is the event just below the current one
    columns: dict[str, np.ndarray]  # mnemonic -> (nevent,)


@dataclass(frozen=True)
class Reports:
    """All subsets of one message type."""

    message_type: str
    messages: int
    message: np.ndarray  # (nsubset,) number of the message, from 1
    header: dict[str, np.ndarray]  # mnemonic -> (nsubset,) float64, or bytes for text
    level_start: np.ndarray  # (nsubset + 1,)
    level: dict[str, np.ndarray]  # mnemonic -> (nlevel,)
    depth: dict[str, np.ndarray]  # name of the stack -> (nlevel,) number of events
    events: dict[str, Events]  # name of the stack -> deeper events

    @property
    def subsets(self) -> int:
        return len(self.level_start) - 1

    @property
    def levels(self) -> int:
        return int(self.level_start[-1])

    def level_owner(self) -> np.ndarray:
        """Subset of each level, (nlevel,)."""
        return np.repeat(np.arange(self.subsets), np.diff(self.level_start))


def concatenate(parts: Sequence[Reports]) -> Reports:
    """Reports of one message type decoded under different tables, one after the other.

    A mnemonic that only some parts know is missing in the others.
    """
    if len(parts) == 1:
        return parts[0]
    first = np.concatenate(([0], np.cumsum([part.levels for part in parts])))
    starts = [part.level_start[1:] + offset for part, offset in zip(parts, first, strict=False)]
    return Reports(parts[0].message_type, sum(part.messages for part in parts),
                   np.concatenate([part.message for part in parts]),
                   _joined_columns([part.header for part in parts], [part.subsets for part in parts]),
                   np.concatenate([[0], *starts]),
                   _joined_columns([part.level for part in parts], [part.levels for part in parts]),
                   _joined_columns([part.depth for part in parts], [part.levels for part in parts]),
                   _joined_events(parts, first))


def _joined_columns(columns: list[dict[str, np.ndarray]], length: list[int]) -> dict[str, np.ndarray]:
    """Columns of several tables below one another, missing values where a table lacks the column."""
    joined = {}
    for name in dict.fromkeys(name for table in columns for name in table):
        dtype = np.result_type(*[table[name].dtype for table in columns if name in table])
        missing = np.nan if dtype.kind == "f" else np.zeros((), dtype)[()]
        joined[name] = np.concatenate([table.get(name, np.full(n, missing, dtype))
                                       for table, n in zip(columns, length, strict=True)])
    return joined


def _joined_events(parts: Sequence[Reports], first: np.ndarray) -> dict[str, Events]:
    joined = {}
    for name in dict.fromkeys(name for part in parts for name in part.events):
        found = [(part.events[name], offset) for part, offset in zip(parts, first, strict=False)
                 if name in part.events]
        joined[name] = Events(np.concatenate([events.level + offset for events, offset in found]),
                              np.concatenate([events.depth for events, _ in found]),
                              _joined_columns([events.columns for events, _ in found],
                                              [len(events.level) for events, _ in found]))
    return joined
