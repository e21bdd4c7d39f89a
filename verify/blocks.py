"""Experiments against a control by blocks of days, with intervals: what `compare --blocks DAYS` prints, in Markdown.

    e_b = sqrt(mean of RMSE^2 over the cycles of block b)             of each experiment and of the control
    r_b = sqrt((k + 1) / k) sqrt(mean of spread^2) / e_b              1 where the ensemble of k members is reliable
    d_b = 100 (e_b / e_b(control) - 1)                                paired: the same days, the same weather

Weather lasts for days, so cycles are no independent samples and blocks of ten days nearly are.  Shown are means over
blocks ± half of the 95 per cent interval of the mean, t(0.975, n - 1) s / sqrt(n) (Student 1908, Biometrika 6, 1).  The
factor of the spread is for an ensemble whose members and truth are draws of one distribution (Fortin et al. 2014, J.
Hydrometeorol. 15, 1708).  Only blocks that all experiments have whole count.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import sqrt

import numpy as np

from contracts import times
from contracts.errors import UserError
from verify import shown
from verify.compare import table
from verify.score_file import Scores

ENSEMBLES = ("background", "analysis")


@dataclass(frozen=True)
class Named:
    """The scores of an experiment's cycles, in order."""

    name: str
    cycles: Sequence[Scores]


@dataclass(frozen=True)
class Errors:
    """`rmse` and `spread` (block, 2) of background and analysis of one channel, `members` of the ensemble."""

    rmse: np.ndarray
    spread: np.ndarray
    members: int

    @property
    def reliability(self) -> np.ndarray:
        """(block, 2) spread/error, 1 where the ensemble is reliable."""
        return sqrt((self.members + 1) / self.members) * self.spread / self.rmse


def cut(rows: Sequence[Named], days: int, skip: int) -> list[list[list[Scores]]]:
    """The cycles of each experiment by block of `days`, the first `skip` days left out; raises UserError where the
    experiments begin or step differently, or share no two whole blocks."""
    begins = {tuple(cycle.time for cycle in row.cycles[:2]) for row in rows}
    if len(begins) > 1 or len(rows[0].cycles) < 2:
        raise UserError("blocks are of the same days: these experiments begin at "
                        f"{', '.join(sorted({times.name(row.cycles[0].time) for row in rows}))}, or step differently; "
                        "compare experiments with one start and step_hours")
    start, second = next(iter(begins))
    each, first = timedelta(days=days) // (second - start), timedelta(days=skip) // (second - start)
    count = min(len(_whole(row.cycles, start, second - start)[first:]) // each for row in rows)
    if count < 2:
        raise UserError(f"blocks of {days} days after the first {skip}: these experiments share {count} whole ones, "
                        "and an interval needs two; choose fewer days or skip fewer")
    return [[list(row.cycles[first + b * each : first + (b + 1) * each]) for b in range(count)] for row in rows]


def _whole(cycles: Sequence[Scores], start: datetime, step: timedelta) -> Sequence[Scores]:
    """The cycles up to the first time that has no scores."""
    gap = next((i for i, cycle in enumerate(cycles) if cycle.time != start + i * step), len(cycles))
    return cycles[:gap]


def errors(blocks: Sequence[Sequence[Scores]], channel: str) -> Errors:
    """Those of one experiment."""
    def root(score: str) -> np.ndarray:
        return np.array([[sqrt(np.mean([cycle.score(f"{ensemble}_{score}", channel) ** 2 for cycle in block]))
                          for ensemble in ENSEMBLES] for block in blocks])

    return Errors(root("rmse"), root("spread"), blocks[0][0].members)


def interval(values: np.ndarray) -> np.ndarray:
    """Half the 95 per cent interval of the mean over blocks; `values` (block, …)."""
    from scipy.stats import t  # here, because it takes half a second that other commands save

    return t.ppf(0.975, len(values) - 1) * values.std(axis=0, ddof=1) / sqrt(len(values))


def markdown(rows: Sequence[Named], channels: Sequence[str], days: int, skip: int) -> str:
    """A table for each channel; the first of `rows` is the control.

    Raises UserError where one of them has no scores against a truth.
    """
    if without := [row.name for row in rows if not all(cycle.against_truth for cycle in row.cycles)]:
        raise UserError(f"blocks compare errors against a truth, and {', '.join(without)} has none; name one in "
                        "[verify] truth, or leave out --blocks to see the fit to observations")
    blocks = cut(rows, days, skip)
    head = ["experiment", *ENSEMBLES, "spread/error", f"{ENSEMBLES[0]}, %", f"{ENSEMBLES[1]}, %"]
    title = f"{len(blocks[0])} blocks of {days} days, the first {skip} days left out; % against {rows[0].name}"
    tables = [title]
    for channel in channels:
        found = [errors(each, channel) for each in blocks]
        factor = shown.factor(channel)
        body = [[row.name, *_cells(mine, found[0] if mine is not found[0] else None, factor)]
                for row, mine in zip(rows, found, strict=True)]
        tables.append(f"{channel}, {shown.units(channel)}\n\n" + table(head, body))
    return "\n\n".join(tables)


def _cells(mine: Errors, control: Errors | None, factor: float) -> list[str]:
    """Errors in SI times `factor`."""
    means, halves = factor * mine.rmse.mean(axis=0), factor * interval(mine.rmse)
    ratio = " / ".join(f"{value:.2f}" for value in mine.reliability.mean(axis=0))
    cells = [f"{mean:.3g} ± {half:.2g}" for mean, half in zip(means, halves, strict=True)] + [ratio]
    if control is None:
        return cells + ["", ""]
    change = 100 * (mine.rmse / control.rmse - 1)
    halves = interval(change)
    return cells + [f"{mean:+.1f} ± {half:.1f}" for mean, half in zip(change.mean(axis=0), halves, strict=True)]
