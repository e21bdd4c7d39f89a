"""What the log of an analysis says of observations: every one accounted for, the fit before and after."""

import numpy as np

from contracts.observations import Departures
from contracts.variables import Flag, Quantity

_COLUMNS = ("quantity", "read", "assimilated", "RMS O-B", "RMS O-A", "spread B", "spread A", "units")


def observations_table(table: Departures) -> list[str]:
    """Lines: counts, fit and spread of each quantity, then what became of the rest."""
    if not len(table):
        return ["no observations"]
    rows = [_COLUMNS, *(_fit(table, quantity) for quantity in Quantity if (table.quantity == quantity).any())]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_COLUMNS))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    counts = table.counts()
    if sum(counts.values()) != len(table):
        raise AssertionError(f"{len(table)} observations, {sum(counts.values())} accounted for")
    return lines + [f"{len(table)} observations: " + _fates(counts)] + _reasons(table)


def _fit(table: Departures, quantity: Quantity) -> tuple[str, ...]:
    of_it = table.quantity == quantity
    used = of_it & (table.flag == Flag.assimilated)
    before, after = table.value - table.background_mean, table.value - table.analysis_mean
    numbers = [_rms(column[used]) for column in (before, after, table.background_spread, table.analysis_spread)]
    return (quantity.name, str(of_it.sum()), str(used.sum()), *(f"{number:.4g}" for number in numbers), quantity.units)


def _reasons(table: Departures) -> list[str]:
    """A line for each quantity that lost observations."""
    lines = []
    for quantity in Quantity:
        lost = (table.quantity == quantity) & (table.flag != Flag.assimilated)
        if lost.any():
            lines.append(f"  not assimilated of {quantity.name}: " + _fates(table.select(lost).counts()))
    return lines


def _fates(counts: dict[Flag, int]) -> str:
    return ", ".join(f"{flag.name} {number}" for flag, number in counts.items())


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2))) if values.size else float("nan")
