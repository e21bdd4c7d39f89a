"""What a cycle cost, as `run/cycle.sh` wrote it down: processor seconds and memory of all programs together.

`log/cost.csv` in the experiment's folder has a row for each run of it that ended by itself or by a signal; a run that
was killed leaves none, and its cycles do not count either.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

from contracts.errors import ContractError

COLUMNS = ["cycles", "cpu_seconds", "peak_mib"]


@dataclass(frozen=True)
class Cost:
    """`cpu_seconds` a cycle, start of the programs and scoring included; `peak_mib` None where no run had services."""

    cycles: int
    cpu_seconds: float
    peak_mib: float | None


def read(folder: Path) -> Cost | None:
    """Of the experiment in `folder`; None where no cycle was measured.

    Raises ContractError where the file is damaged.
    """
    path = folder / "log" / "cost.csv"
    if not path.exists():
        return None
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    try:
        cycles = sum(int(row["cycles"]) for row in rows)
        seconds = sum(float(row["cpu_seconds"]) for row in rows)
        peak = max((float(row["peak_mib"]) for row in rows), default=0.0)
    except (KeyError, TypeError, ValueError):
        raise ContractError(f"{path}: expected columns of numbers {', '.join(COLUMNS)}; remove it, the next run of "
                            "run/cycle.sh begins it anew") from None
    return Cost(cycles, seconds / cycles, peak or None) if cycles else None
