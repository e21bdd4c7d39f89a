"""Accounts that add up: of a table by fate, and of a file by what its numbers became.

*Of a table*: rows of each message type (and report type) and quantity, and how many of them met which fate. Rows that
are means of others (`count` > 1) did not come from the files; the last lines tell both kinds apart.

*Of a file*: every number that a PREPBUFR file holds in TOB, QOB, UOB, VOB, POB and ZOB is a row, or one of these:

    pressure of a wind report     POB of types 2xx, a copy of the mass report's
    pressure of a level           all other POB that is no surface pressure: it places the level
    height of the surface         ZOB where the station's ELV stands already
    height of a wind report       ZOB of types 2xx, a copy of the mass report's
    height of a level             ZOB of aircraft and others that are no soundings: it comes from the pressure

How many numbers a file holds is counted from its decoded columns, what they became from the rows: two ways that must
meet.
"""

from datetime import UTC, datetime

import numpy as np

from contracts.observations import Observations
from contracts.variables import Flag, Quantity
from obsproc import prepbufr
from obsproc.bufr.files import DecodedFile
from obsproc.bufr.reports import Reports

_ANY_TIME = datetime(1970, 1, 1, tzinfo=UTC)  # the account does not depend on it
_ROWS_OF = {
    "POB": (Quantity.surface_pressure,),
    "QOB": (Quantity.specific_humidity, Quantity.specific_humidity_2m),
    "TOB": (Quantity.temperature, Quantity.virtual_temperature, Quantity.temperature_2m),
    "ZOB": (Quantity.geopotential_height,),
    "UOB": (Quantity.u_component_of_wind, Quantity.u_component_of_wind_10m),
    "VOB": (Quantity.v_component_of_wind, Quantity.v_component_of_wind_10m),
}


def table(observations: Observations, by_type: bool = False) -> str:
    """A text table, a line per message type, report type if wanted, and quantity, a column per flag that occurs."""
    flags = [Flag(int(code)) for code in np.unique(observations.flag)]
    _, kind = np.unique(observations.message_type, return_inverse=True)
    types = observations.type.astype(np.int64) if by_type else 0
    # One integer stands for the three: sorting those is twenty times as fast as sorting records.
    key = (kind * 10_000 + types) * 100 + observations.quantity
    _, first, group = np.unique(key, return_index=True, return_inverse=True)
    lines = [_line("message", "type" if by_type else "", "quantity", "rows", [flag.name for flag in flags], flags)]
    for number, row in enumerate(first):
        lines.append(_line(observations.message_type[row].decode(), str(observations.type[row]) if by_type else "",
                           Quantity(int(observations.quantity[row])).name,
                           *_counts(observations.flag[group == number], flags), flags))
    lines.append(_line("all", "", "", *_counts(observations.flag, flags), flags))
    means = observations.count > 1
    if means.any():
        for name, rows in (("from files", ~means), ("means", means)):
            lines.append(_line(name, "", "", *_counts(observations.flag[rows], flags), flags))
    return "\n".join(lines)


def _counts(found: np.ndarray, flags: list[Flag]) -> tuple[int, list[int]]:
    return len(found), [int((found == flag).sum()) for flag in flags]


def _line(kind: str, number: str, quantity: str, rows: object, counts: list, flags: list[Flag]) -> str:
    cells = "".join(f"  {count:>{max(len(flag.name), 6)}}" for count, flag in zip(counts, flags, strict=True))
    return f"{kind:10} {number:4} {quantity:25}{rows:>8}{cells}"


def numbers(reports: Reports) -> dict[str, tuple[int, dict[str, int]]]:
    """By mnemonic how many numbers the reports hold, and what became of them: a sum by quantity or coordinate."""
    rows = prepbufr.candidates(reports, _ANY_TIME).table
    coordinates = _coordinates(reports)
    found = {}
    for mnemonic, quantities in _ROWS_OF.items():
        parts = {quantity.name: int((rows.quantity == quantity).sum()) for quantity in quantities}
        parts |= {name: int(which.sum()) for name, which in coordinates.get(mnemonic, {}).items()}
        held = int(np.isfinite(reports.level.get(mnemonic, np.empty(0))).sum())
        found[mnemonic] = held, {name: count for name, count in parts.items() if count}
    return found


def _coordinates(reports: Reports) -> dict[str, dict[str, np.ndarray]]:
    """By mnemonic and name the levels (nlevel,) whose number places others."""
    missing = np.full(reports.levels, np.nan)
    kind = (reports.header["TYP"] // 100)[reports.level_owner()]
    mass, wind = kind == 1, kind == 2
    surface = reports.level.get("CAT", missing) == prepbufr.SURFACE_LEVEL
    surface |= reports.message_type in prepbufr.SURFACE_MESSAGES
    of_sounding = mass & (reports.message_type in prepbufr.SOUNDING_MESSAGES)
    pressure, height = (np.isfinite(reports.level.get(name, missing)) for name in ("POB", "ZOB"))
    return {
        "POB": {"pressure of a wind report": pressure & wind,
                "pressure of a level": pressure & ~wind & ~(mass & surface)},
        "ZOB": {"height of the surface": height & surface,
                "height of a wind report": height & ~surface & wind,
                "height of a level": height & ~surface & ~wind & ~of_sounding},
    }


def of_file(file: DecodedFile) -> str:
    """What the numbers of a file became, a line per message type, mnemonic and kind of row or coordinate."""
    lines = [f"{'message':8} {'mnemonic':8} {'numbers':>8}  became"]
    for kind, reports in file.reports.items():
        for mnemonic, (held, parts) in numbers(reports).items():
            if held:
                lines.append(f"{kind:8} {mnemonic:8} {held:8}  "
                             + " + ".join(f"{count} {name}" for name, count in parts.items()))
    return "\n".join(lines)
