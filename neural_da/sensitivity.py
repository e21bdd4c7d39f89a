r"""What each observation did to a forecast from observations, by autograd: a table by type and by station.

    python -m neural_da.sensitivity EXPERIMENT.toml 1992010100 --hours 24

The forecast of `neural_da.predict` is judged by what is observed at its end, in units of the errors:

    J = 1/n sum (d - A xi)²           over the n observations of that time that the network knows

An observation i enters by its departure from what was forecast of it; with w_i times that departure, w = 1 the forecast
and w = 0 one in which everything observed had been forecast,

    impact_i = integral of dJ/dw_i from w = 0 to w = 1, all w alike            sum_i impact_i = J(1) - J(0)

as Langland & Baker (2004, Tellus 56A, 189), whose trapezoidal rule (Errico 2007, Tellus 59A, 273) is exact where the
forecast is linear in what is observed; this network is not, so that the integral is taken at Gauss points.  The adjoint
of model and analysis is that of the network.  An impact below 0 is an observation that helped.
"""

import csv
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from contracts import paths, program, times
from contracts.errors import UserError
from contracts.observations import Observations, concatenate
from contracts.variables import Quantity
from neural_da.predict_config import load

if TYPE_CHECKING:
    from neural_da.predicting import Look, Predictor

PROGRAM = "neural_da.sensitivity"
POINTS = 8  # of the integral
SHOWN = 10  # stations that helped most, and that harmed most
log = logging.getLogger(PROGRAM)


@dataclass(frozen=True)
class Impacts:
    """Of each observation that was taken in, a row of `table`, its `impact` (n,); J with all of them, `after`, and
    where none departs from the forecast, `before`."""

    table: Observations
    impact: np.ndarray
    before: float
    after: float


def of(predictor: "Predictor", time: datetime, hours: int) -> Impacts:
    """On the forecast from `time`, `hours` later; raises UserError where that is no step of it or not observed."""
    count, beyond = divmod(timedelta(hours=hours), predictor.step)
    if beyond or not count:
        raise UserError(f"--hours: expected a multiple of the network's step, {predictor.step}, got {hours} h")
    looks, judge = predictor.looks(time), predictor.look(time + count * predictor.step)
    if not len(judge.table):
        raise UserError(f"nothing is observed at {times.name(time + count * predictor.step)} that the network knows: "
                        "name other --hours")
    points, weights = np.polynomial.legendre.leggauss(POINTS)
    impact = sum(weight / 2 * _slopes(predictor, time, looks, judge, count, (1 + point) / 2)[1]
                 for point, weight in zip(points, weights, strict=True))
    before, after = (_slopes(predictor, time, looks, judge, count, share)[0] for share in (0.0, 1.0))
    return Impacts(concatenate([look.table for look in looks]), np.asarray(impact), before, after)


def _slopes(predictor: "Predictor", time: datetime, looks: Sequence["Look"], judge: "Look", count: int,
            share: float) -> tuple[float, np.ndarray]:
    """J and its derivatives (n,) by the shares of all observations, at the same `share` of each."""
    import torch

    shares = [torch.full_like(look.seen.departure, share).requires_grad_() for look in looks]
    seen = [replace(look.seen, share=of_it) for look, of_it in zip(looks, shares, strict=True)]
    *_, last = predictor.steps(time, seen, count)
    J = (judge.seen.departure - judge.seen.stations.observe(last.xi)).square().mean()
    slopes = torch.autograd.grad(J, shares)
    return float(J.detach()), np.concatenate([slope[0].numpy() for slope in slopes])


def lines(found: Impacts) -> Iterator[str]:
    """The table."""
    total = found.impact.sum()
    yield (f"J {found.before:.4f} -> {found.after:.4f}, a change of {found.after - found.before:.4f}; impacts sum to "
           f"{total:.4f}")
    yield f"{'type':8s} {'quantity':26s} {'number':>7s} {'impact':>10s} {'share':>7s} {'helped':>7s}"
    for (kind, quantity), impact in _groups(found, found.table.message_type, found.table.quantity):
        yield (f"{_text(kind):8s} {Quantity(quantity).name:26s} {len(impact):7d} {impact.sum():10.5f} "
               f"{impact.sum() / total:7.1%} {np.mean(impact < 0):7.0%}")
    stations = sorted(_groups(found, found.table.lat, found.table.lon), key=lambda group: group[1].sum())
    yield f"{'lat':>7s} {'lon':>7s} {'number':>7s} {'impact':>10s} {'share':>7s}"
    for (lat, lon), impact in [*stations[:SHOWN], *stations[SHOWN:][-SHOWN:]]:
        yield f"{lat:7.1f} {lon:7.1f} {len(impact):7d} {impact.sum():10.5f} {impact.sum() / total:7.1%}"


def _groups(found: Impacts, *columns: np.ndarray) -> list[tuple[tuple, np.ndarray]]:
    """The impacts of each combination of what stands in the `columns`, in their order."""
    groups: dict[tuple, list[float]] = {}
    for key, impact in zip(zip(*(column.tolist() for column in columns), strict=True), found.impact, strict=True):
        groups.setdefault(key, []).append(impact)
    return [(key, np.array(groups[key])) for key in sorted(groups)]


def write(path: Path, found: Impacts) -> None:
    """A line for each observation, by rename."""
    table = found.table
    columns = (table.time, table.lat, table.lon, table.pressure, table.type, table.value, found.impact)
    with paths.atomic(path) as partial, open(partial, "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["quantity", "time", "lat", "lon", "pressure_pa", "type", "value", "impact"])
        for quantity, *row in zip(table.quantity, *columns, strict=True):
            writer.writerow([Quantity(quantity).name, *(value.item() for value in row)])


def _text(kind: bytes) -> str:
    return kind.decode("latin-1").strip("\0 ") or "-"


def main(arguments: Sequence[str]) -> None:
    parser = program.parser(
        PROGRAM, "Say what each observation did to the forecast of [predict], judged by what is observed at its end.",
        "python -m neural_da.sensitivity run/experiments/generative/predict.toml 1992010100 --hours 24")
    program.add_experiment(parser)
    parser.add_argument("time", metavar="TIME", help="YYYYMMDDHH in UTC, from which the forecast starts")
    parser.add_argument("--hours", type=int, default=24, help="after TIME, where it is judged (default 24)")
    chosen = parser.parse_args(arguments)
    settings = load(chosen.experiment)
    time = settings.experiment.time_of(chosen.time)
    from neural_da.predicting import Predictor  # here, because torch takes a second, too long for a word of help

    found = of(Predictor.of(settings, time), time, chosen.hours)
    path = settings.experiment.folder.at(time).folder / f"sensitivity_{chosen.hours:03d}h.csv"
    write(path, found)
    for line in lines(found):
        print(line)
    log.info("%s: %d observations", path, len(found.table))


if __name__ == "__main__":
    program.run(main, PROGRAM)
