"""What is in a PREPBUFR file: per message type the messages, subsets and levels, and per mnemonic the statistics
of the current values (the first event of each stack).

The JSON form is {file name: {"sha256", "types": {TYPE: {"subsets", "levels", "vars": {MNEMONIC: {"n", "sum", "min",
"max"}}}}}}, values in the file's own units.
"""

import json

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


def as_json(file: DecodedFile) -> str:
    """The statistics of a file as JSON text."""
    types = {kind: {"subsets": reports.subsets, "levels": reports.levels, "vars": statistics(reports)}
             for kind, reports in file.reports.items()}
    return json.dumps({file.path.name: {"sha256": file.sha256, "types": types}}, indent=1)


def as_text(file: DecodedFile) -> str:
    """The statistics of a file as a table for the eye."""
    lines = [f"{file.path}  {len(file.messages)} messages  sha256 {file.sha256[:12]}…"]
    for kind, reports in file.reports.items():
        lines += ["", f"{kind:8} {reports.messages} messages  {reports.subsets} subsets  {reports.levels} levels",
                  f"  {'':8}{'count':>9}{'sum':>18}{'min':>14}{'max':>14}"]
        lines += [f"  {name:8}{s['n']:9d}{s['sum']:18.3f}{s['min']:14.5g}{s['max']:14.5g}"
                  for name, s in statistics(reports).items()]
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
