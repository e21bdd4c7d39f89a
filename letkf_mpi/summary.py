"""What the log says at the end: every observation accounted for, the fit before and after, seconds per phase."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from contracts.observations import Departures
from contracts.variables import Flag, Quantity
from letkf_mpi.local.update import Diagnostics

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


def analysis_lines(analysis: Diagnostics, levels: np.ndarray) -> list[str]:
    """Lines: inflation, relaxation and local observations of each level, and what was clipped."""
    lines = [f"level {level / 100:6g} hPa: inflation {_range(analysis.inflation[i])}, relaxation factor "
             f"{_range(analysis.relaxation[i])}, local observations {_range(analysis.count[i], '.0f')}"
             + _left_out(analysis.left_out[i]) for i, level in enumerate(levels)]
    return lines + [f"{analysis.clipped.sum()} negative humidities set to 0"]


def _left_out(number: np.ndarray) -> str:
    return f", left out for nearer ones {_range(number, '.0f')}" if number.any() else ""


def _range(values: np.ndarray, spec: str = ".3f") -> str:
    low, mean, high = (format(number, spec) for number in (values.min(), values.mean(), values.max()))
    return f"{mean} ({low} to {high})"


def balance_line(seconds: Sequence[float], work: np.ndarray) -> str:
    """How evenly the local analyses fell on the ranks, by the clock and by the work that was expected."""
    measured, expected = (float(max(of_ranks) / np.mean(of_ranks)) for of_ranks in (seconds, work))
    return (f"local analyses: {max(seconds):.2f} s on the slowest rank, {measured:.2f} times the mean "
            f"({expected:.2f} expected)")


class Phases:
    """Seconds of each phase, as rank 0 sees them; those of a phase within another are not of the other."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._within = 0.0

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        start, outer = time.perf_counter(), self._within
        self._within = 0.0
        yield
        taken = time.perf_counter() - start
        self.seconds[name] = self.seconds.get(name, 0.0) + taken - self._within
        self._within = outer + taken

    def line(self) -> str:
        parts = ", ".join(f"{name} {seconds:.2f}" for name, seconds in self.seconds.items())
        return f"seconds: {parts}; all {sum(self.seconds.values()):.2f}"
