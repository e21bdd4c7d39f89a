"""Experiments side by side: what a sweep ends with, as tables in Markdown.

Averages over the last half of the cycles that have scores, in the first region: RMSE and spread of background and
analysis by channel, the mean of the inflation β over levels and area, and whether the run diverged.  Where one of them
has no truth, instead the fit to observations by quantity: O−B and O−A, those first that no analysis has seen, over the
rows that all of them have (`common`).

An experiment is called diverged where it did not reach its last time, or where over that half the analysis of any of
the channels shown is worse than the climate: RMSE above that of the free ensemble's mean where one was run, else above
the first background's, which is made of states of another year and knows nothing of the weather.  Without a truth
nobody knows.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from contracts import field
from contracts.variables import Flag, Quantity
from verify import common, shown
from verify.config import Settings
from verify.fit import Fit
from verify.score_file import Scores
from verify.summary import number

SHOWN = {"background_rmse": "background RMSE", "background_spread": "background spread",
         "analysis_rmse": "analysis RMSE", "analysis_spread": "analysis spread"}
FITTED = {"omb_rms": "RMS O-B", "oma_rms": "RMS O-A", "omb_mean": "mean O-B", "oma_mean": "mean O-A"}
FATES = (Flag.withheld, Flag.assimilated)  # the first say what an analysis is worth, the others how far it was drawn


@dataclass(frozen=True)
class Summary:
    """One experiment: over the last half `scores` by (score, channel), `fit` and the files of its `departures`;
    `climate` its RMSE by channel.  In SI."""

    name: str
    cycles: Sequence[Scores]
    planned: int
    inflation: float
    scores: dict[tuple[str, str], float]
    climate: dict[str, float]
    fit: Fit
    departures: Mapping[datetime, Path]

    @property
    def diverged(self) -> str:
        """Why it is called diverged; "no" where it is not, "-" where no truth says so."""
        worse = [name for name, limit in self.climate.items() if not self.scores["analysis_rmse", name] <= limit]
        reasons = [f"stopped after {len(self.cycles)} of {self.planned}"] if len(self.cycles) < self.planned else []
        reasons += [f"{len(worse)} of {len(self.climate)} channels worse than the climate"] if worse else []
        return "; ".join(reasons) or ("no" if self.climate else "-")


def of(settings: Settings, cycles: Sequence[Scores], channels: Sequence[str]) -> Summary:
    """The summary of an experiment from its `cycles`, at least one, in order."""
    half = last_half(cycles)
    free = {name: mean(half, "free_rmse", name) for name in channels}
    first = {name: mean(cycles[:1], "background_rmse", name) for name in channels}
    climate = {name: free[name] if np.isfinite(free[name]) else first[name] for name in channels}
    climate = {name: rmse for name, rmse in climate.items() if np.isfinite(rmse)}  # none without a truth
    scores = {(score, name): mean(half, score, name) for score in SHOWN for name in channels}
    experiment = settings.experiment
    files = {cycle.time: experiment.folder.at(cycle.time).departures for cycle in half}
    return Summary(experiment.name, cycles, len(experiment.times()), mean_inflation(settings, half), scores, climate,
                   Fit.join([cycle.fit for cycle in half]),
                   {time: path for time, path in files.items() if path.exists()})


def last_half(cycles: Sequence[Scores]) -> Sequence[Scores]:
    return cycles[len(cycles) // 2 :]


def mean(cycles: Iterable[Scores], score: str, channel: str) -> float:
    """Average over cycles of one score of one channel."""
    return float(np.mean([cycle.score(score, channel) for cycle in cycles]))


def mean_inflation(settings: Settings, cycles: Sequence[Scores]) -> float:
    """Mean β over times, levels and area; NaN where an analysis of another kind writes none."""
    space = settings.state.space(settings.grid.grid())
    files = [settings.experiment.folder.at(cycle.time).inflation for cycle in cycles]
    if not all(path.exists() for path in files):
        return float("nan")
    weights = space.grid.area_weights / space.grid.area_weights.sum()
    fields = (field.read(path, "inflation", space.grid, np.unique(space.pressure)).data for path in files)
    return float(np.mean([(data * weights).sum(axis=(1, 2)).mean() for data in fields]))


def markdown(rows: Sequence[Summary], channels: Sequence[str]) -> str:
    """A table of the experiments, then one for each channel, or without a truth for each quantity observed."""
    head = ["experiment", "cycles", "mean inflation", "diverged"]
    whole = [[row.name, f"{len(row.cycles)} of {row.planned}", number(row.inflation), row.diverged] for row in rows]
    tables = [table(head, whole)]
    if any(not cycle.against_truth for row in rows for cycle in row.cycles):
        return "\n\n".join([*tables, *_fits(rows)])
    for channel in channels:
        factor = shown.factor(channel)
        body = [[row.name, *(number(factor * row.scores[score, channel]) for score in SHOWN)] for row in rows]
        title = f"{channel}, {shown.units(channel)}, last half"
        tables.append(f"{title}\n\n" + table(["experiment", *SHOWN.values()], body))
    return "\n\n".join(tables)


def _fits(rows: Sequence[Summary]) -> Iterator[str]:
    """For each quantity and fate that any of the experiments has a table of the fit to observations."""
    files = [row.departures for row in rows]
    yield (f"Fit to observations over the rows that all of these experiments have with one fate, at the "
           f"{len(common.times(files))} times of the last half that all have; \"own\" counts those of the one alone.")
    fits = common.fits(files)
    for fate in FATES:
        for quantity in Quantity:
            own = [row.fit.select(fate, quantity).total()["count"] for row in rows]
            if any(own):
                totals = [fit.select(fate, quantity).total() for fit in fits]
                factor = shown.factor_of(quantity)
                body = [[row.name, str(total["count"]), str(count), *(number(factor * total[name]) for name in FITTED)]
                        for row, count, total in zip(rows, own, totals, strict=True)]
                title = f"{quantity.name}, {shown.units_of(quantity)}, {fate.name}, last half"
                yield f"{title}\n\n" + table(["experiment", "number", "own", *FITTED.values()], body)


def monthly(rows: Sequence[Summary], channels: Sequence[str]) -> str:
    """For each channel a table of the analysis by month: RMSE, and spread behind a stroke."""
    months = sorted({cycle.time.strftime("%Y-%m") for row in rows for cycle in row.cycles})
    tables = []
    for channel in channels:
        body = [[row.name, *(_month(row.cycles, month, channel) for month in months)] for row in rows]
        title = f"{channel}, {shown.units(channel)}, analysis RMSE / spread by month"
        tables.append(f"{title}\n\n" + table(["experiment", *months], body))
    return "\n\n".join(tables)


def _month(cycles: Sequence[Scores], month: str, channel: str) -> str:
    chosen = [cycle for cycle in cycles if cycle.time.strftime("%Y-%m") == month]
    if not chosen:
        return "-"
    return " / ".join(number(shown.factor(channel) * mean(chosen, score, channel))
                      for score in ("analysis_rmse", "analysis_spread"))


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown; the first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in [header, rule, *rows]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
