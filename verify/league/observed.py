"""A league without a truth: the fit to observations that no analysis has seen, over rows that all contestants have.

    e² = mean of (o − b)² or (o − a)² over the withheld rows of a quantity        (`common`: of all contestants, paired)
    d = 100 (e / e(control) − 1),   all quantities: 100 (exp(mean of log e / e(control)) − 1)

An interval is that of a bootstrap over the stations: whole ones are drawn, with all their rows and the same for all
contestants (Efron 1979, Ann. Stat. 7, 1).  It says how far a difference hangs on which stations were withheld; of how
it would be in other weather a few cycles say nothing, whatever the interval.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from contracts import observations, times
from contracts.errors import UserError
from contracts.variables import Flag, Quantity
from verify import bootstrap, common, groups, page, shown
from verify.league.config import Contestant
from verify.league.standing import Difference
from verify.league.table import NONE, Rows, marked
from verify.report.material import plain
from verify.summary import number

LEAST_ROWS = 20  # of a quantity, to be told
DRAWS = 2000


@dataclass(frozen=True)
class Sample:
    """Withheld rows of one `quantity` and `time` that all have: their `station` and squares of `omb` and `oma`
    (contestant, n)."""

    quantity: Quantity
    time: datetime
    station: np.ndarray
    omb: np.ndarray
    oma: np.ndarray


@dataclass(frozen=True)
class Fits:
    """`samples` of the contestants that have all times that the first has; `titles` theirs."""

    titles: Sequence[str]
    samples: Sequence[Sample]

    @classmethod
    def read(cls, contestants: Sequence[Contestant]) -> tuple["Fits", list[Contestant]]:
        """And those that have not; raises UserError where the control has none."""
        files = [{time: path for time in each.settings.experiment.times()
                  if (path := each.settings.experiment.folder.at(time).departures).exists()} for each in contestants]
        if not files[0]:
            raise UserError(f"{contestants[0].settings.experiment.folder.folder}: the control has no departures yet; "
                            "run: run/league.sh LEAGUE.toml")
        through = [set(mine) >= set(files[0]) for mine in files]
        chosen = [mine for mine, is_through in zip(files, through, strict=True) if is_through]
        samples = [sample for time in common.times(chosen) for sample in _samples(time, [f[time] for f in chosen])]
        titles = [each.title for each, is_through in zip(contestants, through, strict=True) if is_through]
        return cls(titles, samples), [each for each, there in zip(contestants, through, strict=True) if not there]

    @property
    def times(self) -> list[datetime]:
        return sorted({sample.time for sample in self.samples})

    def quantities(self) -> list[Quantity]:
        """Of which there are rows enough over all times."""
        return [each for each in Quantity if sum(sample.station.size for sample in self.of(each)) >= LEAST_ROWS]

    def of(self, quantity: Quantity, time: datetime | None = None) -> list[Sample]:
        return [s for s in self.samples if s.quantity == quantity and time in (None, s.time)]


def _samples(time: datetime, paths: Sequence[Path]) -> list[Sample]:
    tables = [groups.compared(observations.read_departures(path)[0]) for path in paths]
    alike = [table.select(rows) for table, rows in zip(tables, common.rows(tables), strict=True)]
    first, found = alike[0], []
    for quantity in Quantity:
        which = (first.flag == Flag.withheld) & (first.quantity == quantity)
        if which.any():
            omb, oma = (np.stack([(table.value - getattr(table, mean))[which] ** 2 for table in alike])
                        for mean in ("background_mean", "analysis_mean"))
            found.append(Sample(quantity, time, first.station[which], omb, oma))
    return found


def rms(samples: Sequence[Sample], which: str) -> np.ndarray:
    """(contestant,) over all rows."""
    return np.sqrt(np.concatenate([getattr(sample, which) for sample in samples], axis=1).mean(axis=1))


def differences(fits: Fits, quantities: Sequence[Quantity], which: str) -> list[Difference | None]:
    """Of each contestant against the first, over all `quantities`."""
    stations = np.unique(np.concatenate([sample.station for sample in fits.samples]))
    drawn = bootstrap.draws(stations.size, DRAWS)
    drawn[0] = 1  # the stations as they are
    logs = np.zeros((len(fits.titles), len(drawn)))
    for quantity in quantities:
        sums = np.zeros((len(fits.titles), stations.size))
        for sample in fits.of(quantity):
            place = np.searchsorted(stations, sample.station)
            sums += [np.bincount(place, weights=row, minlength=stations.size) for row in getattr(sample, which)]
        with np.errstate(divide="ignore", invalid="ignore"):
            total = sums @ drawn.T  # (contestant, draw)
            logs += 0.5 * np.log(total / total[0]) / len(quantities)
    found: list[Difference | None] = [None]
    for mine in logs[1:]:
        low, high = np.nanquantile(mine, [0.025, 0.975])
        mean, least, most = (float(100 * np.expm1(value)) for value in (mine[0], low, high))
        found.append(Difference(mean, least, most, stations.size))
    return found


def standings(fits: Fits) -> tuple[list[str], Rows]:
    """O−B and O−A by quantity, over all cycles, and both over all quantities against the control."""
    quantities = fits.quantities()
    percent = [differences(fits, quantities, which) for which in ("omb", "oma")]
    columns = [(rms(fits.of(q), "omb"), rms(fits.of(q), "oma"), shown.factor_of(q)) for q in quantities]
    header = ["contestant", "all, O−B,\n% of control", "all, O−A,\n% of control",
              *(f"{plain(q.name)}\n{shown.units_of(q)}" for q in quantities)]
    rows = [[title, *(marked(found) if (found := each[i]) else NONE for each in percent),
             *(f"{number(factor * omb[i])} → {number(factor * oma[i])}" for omb, oma, factor in columns)]
            for i, title in enumerate(fits.titles)]
    return header, rows


def by_cycle(fits: Fits, quantity: Quantity) -> tuple[list[str], Rows]:
    """O−B and O−A of each cycle."""
    rows = [sum(sample.station.size for sample in fits.of(quantity, time)) for time in fits.times]
    header = ["contestant", *(f"{times.name(time)}\n{n} rows" for time, n in zip(fits.times, rows, strict=True))]
    cells = [(rms(found, "omb"), rms(found, "oma")) if (found := fits.of(quantity, time)) else None
             for time in fits.times]
    factor = shown.factor_of(quantity)
    return header, [[title, *(f"{number(factor * c[0][i])} → {number(factor * c[1][i])}" if c else NONE for c in cells)]
                    for i, title in enumerate(fits.titles)]


def html(name: str, fits: Fits, waiting: Sequence[Contestant]) -> str:
    """The whole page."""
    stations = len({station for sample in fits.samples for station in sample.station.tolist()})
    said = (f"{len(fits.titles)} contestants with the same observations and first ensemble, {len(fits.times)} cycles. "
            "No truth says which is better: here is the fit to what no analysis has seen, over the rows of "
            f"{stations} withheld stations that all contestants kept. The control is {fits.titles[0]}.")
    note = ("Root mean square of observation minus ensemble mean, background → analysis. Per cent over all quantities: "
            "geometric mean; in brackets the 95 per cent interval of a bootstrap over the stations, a * where it "
            "leaves out zero. It says how far a difference hangs on which stations were withheld; of other weather it "
            "says nothing.")
    parts = [page.section("standing", "Withheld stations", page.paragraph(note, "note"), page.table(*standings(fits)))]
    parts += [page.section(q.name, f"{plain(q.name)}, {shown.units_of(q)}", page.table(*by_cycle(fits, q)))
              for q in fits.quantities()]
    if waiting:
        rows = [[each.title, str(each.path)] for each in waiting]
        parts.append(page.section("waiting", "Not finished", page.table(["contestant", "file"], rows, 2)))
    return page.document(f"League: {name}", "\n".join(
        [page.heading(plain(name), "not finished" if waiting else "complete"), page.paragraph(said), *parts]))
