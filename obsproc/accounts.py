"""The account of a table of observations: how many rows of each message type and quantity met which fate."""

from __future__ import annotations

import numpy as np

from contracts.observations import Observations
from contracts.variables import Flag, Quantity


def table(observations: Observations) -> str:
    """A text table, a line per message type and quantity, a column per flag that occurs; the sums add up."""
    flags = [Flag(int(code)) for code in np.unique(observations.flag)]
    groups = np.unique(np.rec.fromarrays([observations.message_type, observations.quantity]))
    lines = [_line("message", "quantity", "rows", [flag.name for flag in flags], flags)]
    for kind, code in groups:
        rows = (observations.message_type == kind) & (observations.quantity == code)
        lines.append(_line(kind.decode(), Quantity(int(code)).name, *_counts(observations.flag[rows], flags), flags))
    lines.append(_line("all", "", *_counts(observations.flag, flags), flags))
    return "\n".join(lines)


def _counts(found: np.ndarray, flags: list[Flag]) -> tuple[int, list[int]]:
    return len(found), [int((found == flag).sum()) for flag in flags]


def _line(kind: str, quantity: str, rows: object, counts: list, flags: list[Flag]) -> str:
    cells = "".join(f"  {count:>{max(len(flag.name), 6)}}" for count, flag in zip(counts, flags, strict=True))
    return f"{kind:8} {quantity:25}{rows:>8}{cells}"
