"""Section of the report on a free run of years: whether a model stays on the climate without an observation."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import date2num

from contracts import times
from verify import charts, page, shown
from verify.config import Settings
from verify.free_run import PERCENTILES, FreeRun
from verify.report.material import plain
from verify.summary import number

TICKS = (0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 1, 1.2, 1.5, 2, 3, 5, 10, 20)  # of ratios


def free(settings: Settings) -> list[str]:
    """Global means of its days and power of its zonal waves, of the headline's channels; empty without such a run."""
    path = settings.experiment.folder.folder / "free_run.nc"
    if not path.exists():
        return []
    run = FreeRun.read(path)
    chosen = {name: run.channels.index(name) for name in settings.verify.headline if name in run.channels}
    low, high = PERCENTILES
    header = ["channel", "days", f"inside {low} to {high} %\nof the climate's days, %", "first day\noutside"]
    return [
        page.paragraph(f"One member, without an observation; between the {low}st and {high}th percentile of the "
                       "climate's days its global mean belongs.", "note"),
        page.table(header, [_row(run, name, n) for name, n in chosen.items()]),
        page.key(background="global mean, once a day", free_dashed="percentiles of the climate's days"),
        page.figures([_means(run, name, n) for name, n in chosen.items()]),
        page.paragraph("Power of zonal waves over that of the climate: below 1 a model smooths, above it brings "
                       "noise.", "note"),
        page.figures([_waves(run, name, n) for name, n in chosen.items()]),
    ]


def _row(run: FreeRun, name: str, n: int) -> list[str]:
    outside = run.outside[:, n]
    return [plain(name), str(outside.size - 1), f"{100 * (1 - outside.mean()):.1f}",
            str(outside.argmax()) if outside.any() else "–"]


def _means(run: FreeRun, name: str, n: int) -> str:
    scale = shown.factor(name)
    values, bounds = scale * run.means[:, n], [scale * bound[n] for bound in (run.low, run.high)]
    when = [times.from_seconds(int(second)) for second in run.seconds]

    def draw(axis: Axes) -> None:
        axis.plot(date2num(when), values, color=charts.BACKGROUND, linewidth=0.8)
        for bound in bounds:
            axis.axhline(bound, color=charts.FREE, linestyle="--", linewidth=1.0)
        charts.dates(axis)
        axis.margins(y=0.08)
        axis.set_position((0.19, 0.17, 0.79, 0.70))

    title = f"{plain(name)} ({shown.units(name)})"
    told = (f"global mean of {title} over {values.size - 1} days: from {number(values.min())} to "
            f"{number(values.max())}; the climate's days from {number(bounds[0])} to {number(bounds[1])}")
    return page.figure(charts.chart(title, told, draw))


def _waves(run: FreeRun, name: str, n: int) -> str:
    ratio = run.power[n, 1:] / run.climate_power[n, 1:]
    wavenumber = np.arange(1, ratio.size + 1)

    def draw(axis: Axes) -> None:
        axis.loglog(wavenumber, ratio, color=charts.BACKGROUND)
        axis.axhline(1.0, color=charts.FREE, linestyle="--", linewidth=1.0)
        axis.set_xlabel("zonal wavenumber")
        charts.round_ticks(axis.xaxis, [1, 3, 10, 30])
        low, high = min(ratio.min(), 0.9) / 1.1, max(ratio.max(), 1.1) * 1.1
        axis.set_ylim(low, high)
        charts.round_ticks(axis.yaxis, [tick for tick in TICKS if low < tick < high])
        axis.set_position(charts.LABELLED)

    title = f"{plain(name)}, power of waves"
    told = (f"{title} over that of the climate: from {number(ratio.min())} to {number(ratio.max())}; wave {ratio.size} "
            f"{number(ratio[-1])}")
    return page.figure(charts.chart(title, told, draw))
