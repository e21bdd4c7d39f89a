"""What is in a PREPBUFR file: per message type the messages, subsets and levels, and per mnemonic the statistics
of the current values (the first event of each stack).

The JSON form is {file name: {"sha256", "types": {TYPE: {"subsets", "levels", "vars": {MNEMONIC: {"n", "sum", "min",
"max"}}}}}}, values in the file's own units.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from obsproc.bufr.files import DecodedFile
from obsproc.bufr.reports import Reports

HEADER = ("XOB", "YOB", "DHR", "ELV", "TYP", "T29", "ITP")
LEVEL = (
    "CAT", "POB", "PQM", "PPC", "QOB", "QQM", "QPC", "TOB", "TQM", "TPC", "ZOB", "ZQM", "ZPC", "UOB", "VOB",
    "WQM", "WPC", "XDR", "YDR", "HRDR", "POE", "QOE", "TOE", "WOE", "PFC", "QFC", "TFC", "ZFC", "UFC",
    "VFC", "TDO", "TVO",
)
WANTED = frozenset(HEADER + LEVEL)


@dataclass
class _Kind:
    """What is known of a message type so far; `found` by mnemonic as in `statistics`."""

    messages: int = 0
    subsets: int = 0
    levels: int = 0
    found: dict[str, dict[str, float]] = field(default_factory=dict)

    def add(self, reports: Reports) -> None:
        """Count more reports."""
        self.messages += reports.messages
        self.subsets += reports.subsets
        self.levels += reports.levels
        for name, new in statistics(reports).items():
            old = self.found.setdefault(name, {"n": 0, "sum": 0.0, "min": np.inf, "max": -np.inf})
            self.found[name] = {"n": old["n"] + new["n"], "sum": old["sum"] + new["sum"],
                                "min": min(old["min"], new["min"]), "max": max(old["max"], new["max"])}

    def statistics(self) -> Iterator[tuple[str, dict[str, float]]]:
        """In the order of the mnemonics."""
        return ((name, self.found[name]) for name in (*HEADER, *LEVEL) if name in self.found)


def _summed(parts: Iterable[DecodedFile]) -> tuple[DecodedFile, dict[str, _Kind]]:
    """The first part, which knows the file, and its message types."""
    kinds: dict[str, _Kind] = {}
    first = None
    for part in parts:
        first = first or replace(part, reports={})
        for name, reports in part.reports.items():
            kinds.setdefault(name, _Kind()).add(reports)
    assert first is not None  # a file without messages was refused
    return first, kinds


def as_json(parts: Iterable[DecodedFile]) -> str:
    """The statistics of a file, all of it or in parts, as JSON text."""
    file, kinds = _summed(parts)
    types = {name: {"subsets": kind.subsets, "levels": kind.levels, "vars": dict(kind.statistics())}
             for name, kind in kinds.items()}
    return json.dumps({file.path.name: {"sha256": file.sha256, "types": types}}, indent=1)


def as_text(parts: Iterable[DecodedFile]) -> str:
    """The statistics of a file, all of it or in parts, as a table for the eye."""
    file, kinds = _summed(parts)
    lines = [f"{file.path}  {len(file.messages)} messages  sha256 {file.sha256[:12]}…"]
    for name, kind in kinds.items():
        lines += ["", f"{name:8} {kind.messages} messages  {kind.subsets} subsets  {kind.levels} levels",
                  f"  {'':8}{'count':>9}{'sum':>18}{'min':>14}{'max':>14}"]
        lines += [f"  {mnemonic:8}{s['n']:9d}{s['sum']:18.3f}{s['min']:14.5g}{s['max']:14.5g}"
                  for mnemonic, s in kind.statistics()]
    return "\n".join(lines)


def statistics(reports: Reports) -> dict[str, dict[str, float]]:
    """Count, sum, minimum and maximum by mnemonic, of those that have a value."""
    found = {}
    for names, columns in ((HEADER, reports.header), (LEVEL, reports.level)):
        for name in names:
            values = columns.get(name, np.empty(0))
            values = values[np.isfinite(values)]
            if values.size:
                found[name] = {"n": int(values.size), "sum": float(values.sum()), "min": float(values.min()),
                               "max": float(values.max())}
    return found
