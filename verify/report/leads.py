"""Section of the report on extended forecasts: error, spread and CRPS by lead, and ranks of the truth.

It is there once `python -m verify skill-spread` has written skill_spread.nc.
"""

import numpy as np
from matplotlib.axes import Axes

from contracts import netcdf
from contracts.constants import HOUR
from verify import charts, page, score_file, shown
from verify.config import Settings
from verify.report.material import plain
from verify.skill_spread import CONTRACT
from verify.summary import number

LINES = {"rmse": "-", "spread": "--", "crps": ":"}
MOST = 6  # leads of the table, and of ranks drawn two


def leads(settings: Settings) -> list[str]:
    """Of the headline's channels over the first region; empty without such a file."""
    path = settings.experiment.folder.folder / "skill_spread.nc"
    if not path.exists():
        return []
    with netcdf.open_to_read(path, CONTRACT) as dataset:
        names, region = score_file.names(dataset, "channel"), score_file.names(dataset, "region")[0]
        hours = np.asarray(dataset["lead"][:]) / HOUR
        starts, ranks = int(np.min(dataset["starts"][:])), np.asarray(dataset["rank_share"][:])[:, 0]
        found = {name: np.asarray(dataset[name][:])[:, 0] for name in (*LINES, "ratio")}  # (lead, channel)
    chosen = {name: names.index(name) for name in settings.verify.headline if name in names}
    some = np.unique(np.linspace(0, hours.size - 1, MOST).round().astype(int))
    header = ["channel", *(f"{'spread / error' if i == 0 else ''}\n{hours[n]:g} h" for i, n in enumerate(some))]
    return [
        page.paragraph(f"{plain(region).capitalize()}, {starts} starts, {ranks.shape[-1] - 1} members. Spread "
                       "/ error is 1 for a reliable ensemble of any size; the CRPS is the fair one. Ranks: how many "
                       "members lie below the truth, by area; level for a reliable ensemble.", "note"),
        page.table(header, [[plain(name), *(number(found["ratio"][n, c]) for n in some)]
                            for name, c in chosen.items()]),
        page.key(background="RMSE of the mean", background_dashed="spread", background_dotted="CRPS"),
        page.figures([_scores(name, hours, {score: found[score][:, c] for score in LINES}) for name, c in
                      chosen.items()]),
        page.figures([_ranks(name, hours[n], ranks[n, c]) for name, c in chosen.items()
                      for n in sorted({0, hours.size - 1})]),
    ]


def _scores(name: str, hours: np.ndarray, found: dict[str, np.ndarray]) -> str:
    scale, title = shown.factor(name), f"{plain(name)} ({shown.units(name)})"

    def draw(axis: Axes) -> None:
        for score, style in LINES.items():
            axis.plot(hours / 24, scale * found[score], style, color=charts.BACKGROUND,
                      marker="o" if hours.size < 3 else "")
        axis.set_ylim(bottom=0)
        axis.set_xlabel("days")
        axis.set_position((0.155, 0.2, 0.82, 0.67))

    told = ", ".join(f"{score} {number(scale * values[-1])}" for score, values in found.items())
    return page.figure(charts.chart(title, f"{title} by lead; at {hours[-1]:g} h {told}", draw))


def _ranks(name: str, hours: float, share: np.ndarray) -> str:
    often = share * share.size

    def draw(axis: Axes) -> None:
        axis.bar(np.arange(often.size), often, width=0.8, color=charts.BACKGROUND)
        axis.axhline(1.0, color=charts.INK, linewidth=0.8)
        axis.grid(axis="x", visible=False)

    title = f"{plain(name)}, ranks at {hours:g} h"
    told = f"{title}: lowest {number(often[0])} and highest {number(often[-1])} times as often as expected"
    return page.figure(charts.chart(title, told, draw))
