"""Sections of the report in which the observations judge: fit, ranks, spread and skill."""

from collections.abc import Sequence
from dataclasses import fields

import numpy as np
from matplotlib.axes import Axes

from contracts.constants import HECTOPASCAL
from contracts.variables import Flag, Quantity
from verify import charts, page
from verify.consistency import Statistics
from verify.fit import Fit
from verify.report.material import Material, plain
from verify.summary import number

DEPARTURES = {"omb": charts.BACKGROUND, "oma": charts.ANALYSIS}


def fit(material: Material) -> list[str]:
    """Observation minus background and analysis: by quantity and type, over time, by layer."""
    header = ["fate", "quantity", "type", "units", "number", "mean\nO−B", "\nO−A", "RMS\nO−B", "\nO−A",
              "background\nspread", "error\ngiven", "consistency"]
    upper_air = [quantity for quantity in material.quantities if not quantity.at_surface]
    return [
        page.paragraph("All cycles. Consistency is the mean square of O−B over the sum of the squares of background "
                       "spread and error given: 1 where both are right, above it where they are too small.", "note"),
        page.table(header, _rows(material.fit), 4),
        page.key(background="RMS O−B", analysis="RMS O−A", background_dotted="mean O−B", analysis_dotted="mean O−A",
                 free_dashed="√(background spread² + error²)"),
        page.figures([_over_time(material, quantity) for quantity in material.quantities]),
        "<h3>By layer (hPa), assimilated</h3>" if upper_air else "",
        page.figures([_by_layer(material, quantity) for quantity in upper_air]),
    ]


def _rows(groups: Fit) -> list[list[str]]:
    keys = np.stack([groups.flag, groups.quantity, groups.type], axis=1)
    rows = []
    for key in np.unique(keys, axis=0):
        total, quantity = _where(groups, (keys == key).all(axis=1)).total(), Quantity(int(key[1]))
        shown = [total[name] for name in ("omb_mean", "oma_mean", "omb_rms", "oma_rms", "background_spread", "error")]
        consistency = total["omb_rms"] ** 2 / (total["background_spread"] ** 2 + total["error"] ** 2)
        rows.append([Flag(int(key[0])).name, plain(quantity.name), str(key[2]), quantity.units, str(total["count"]),
                     *map(number, [*shown, consistency])])
    return rows


def _where(groups: Fit, which: np.ndarray) -> Fit:
    return Fit(**{column.name: getattr(groups, column.name)[which] for column in fields(Fit)})


def _over_time(material: Material, quantity: Quantity) -> str:
    totals = [cycle.fit.select(Flag.assimilated, quantity).total() for cycle in material.cycles]
    lines = [([total[f"{name}_rms"] for total in totals], colour, "-") for name, colour in DEPARTURES.items()]
    expected = [float(np.hypot(total["background_spread"], total["error"])) for total in totals]
    title = f"{plain(quantity.name)} ({quantity.units})"
    told = (f"{title}, assimilated, over {len(totals)} cycles: at the last RMS O−B {number(lines[0][0][-1])}, RMS O−A "
            f"{number(lines[1][0][-1])}, expected of spread and error {number(expected[-1])}")
    return page.figure(charts.series(title, told, [cycle.time for cycle in material.cycles],
                                     [*lines, (expected, charts.FREE, "--")]))


def _by_layer(material: Material, quantity: Quantity) -> str:
    groups = material.fit.select(Flag.assimilated, quantity)
    bounds = np.unique(np.stack([groups.layer_upper, groups.layer_lower], axis=1), axis=0) / HECTOPASCAL
    totals = [_where(groups, groups.layer_upper == top * HECTOPASCAL).total() for top, _ in bounds]
    names = [f"{bottom:g}–{top:g}" for top, bottom in bounds]

    def draw(axis: Axes) -> None:
        rows = np.arange(len(totals))
        for name, colour in DEPARTURES.items():
            for score, style in (("rms", "o-"), ("mean", "o:")):
                axis.plot([total[f"{name}_{score}"] for total in totals], rows, style, color=colour, markersize=3)
        expected = [np.hypot(total["background_spread"], total["error"]) for total in totals]
        axis.plot(expected, rows, "--", color=charts.FREE)
        axis.set_yticks(rows, names)
        axis.invert_yaxis()
        axis.set_position((0.24, 0.17, 0.74, 0.70))

    told = "; ".join(f"{name} hPa {number(total['omb_rms'])} and {number(total['oma_rms'])}"
                     for name, total in zip(names, totals, strict=True))
    title = f"{plain(quantity.name)} ({quantity.units})"
    return page.figure(charts.chart(title, f"{title}, RMS O−B and RMS O−A by layer: {told}", draw))


def ranks(material: Material) -> list[str]:
    """Rank histograms of assimilated and withheld observations; empty where no ranks were written."""
    found = {key: statistics for key, statistics in material.sums.by("flag", "quantity").items()
             if statistics.ranks.any() and key[0] in (Flag.assimilated, Flag.withheld)}
    note = ("How many members, each with a draw of the observation's error, lie below the observed value; level for a "
            "reliable ensemble, hollow for too little spread, sloping for bias.")
    pictures = [_histogram(flag, quantity, each) for (flag, quantity), each in found.items()]
    return [page.paragraph(note, "note"), page.figures(pictures)] if pictures else []


def _histogram(flag: int, quantity: int, found: Statistics) -> str:
    share = found.ranks / found.ranks.sum() * found.ranks.size

    def draw(axis: Axes) -> None:
        axis.bar(np.arange(share.size), share, width=0.8, color=charts.BACKGROUND)
        axis.axhline(1.0, color=charts.INK, linewidth=0.8)
        axis.grid(axis="x", visible=False)

    title = f"{plain(Quantity(quantity).name)}, {Flag(flag).name}"
    told = (f"{title}: {found.ranks.sum()} observations among {share.size - 1} members; lowest rank {number(share[0])} "
            f"and highest {number(share[-1])} times as often as expected, mean rank {number(found.mean_rank)} of the "
            "number of members")
    return page.figure(charts.chart(title, told, draw))


def spread_skill(material: Material) -> list[str]:
    """Background error against spread, in bins of spread over observation error."""
    by_quantity: dict[int, list[Statistics]] = {}
    for (flag, quantity, _), found in material.sums.by("flag", "quantity", "spread_bin").items():
        if flag == Flag.assimilated and np.isfinite(found.skill):
            by_quantity.setdefault(quantity, []).append(found)
    note = ("Observations in bins of the background's spread there. The error is that of the background's mean without "
            "the observation's part; spread is scaled to the size of the ensemble. Where the points stand on the line, "
            "spread tells of error.")
    pictures = [_pairs(Quantity(quantity), bins) for quantity, bins in by_quantity.items()]
    return [page.paragraph(note, "note"), page.figures(pictures)] if pictures else []


def _pairs(quantity: Quantity, bins: Sequence[Statistics]) -> str:
    pairs = np.array([(found.adjusted_spread, found.skill) for found in bins])
    sizes = 8 + 60 * np.array([found.count for found in bins]) / max(found.count for found in bins)

    def draw(axis: Axes) -> None:
        most = 1.08 * pairs.max()
        axis.plot([0, most], [0, most], color=charts.INK, linewidth=0.8)
        axis.plot(pairs[:, 0], pairs[:, 1], color=charts.BACKGROUND, linewidth=0.8)
        axis.scatter(pairs[:, 0], pairs[:, 1], s=sizes, color=charts.BACKGROUND, linewidths=0)
        axis.set(xlim=(0, most), ylim=(0, most), ylabel="error", xlabel="spread")
        axis.set_position((0.165, 0.2, 0.80, 0.66))

    title = f"{plain(quantity.name)} ({quantity.units})"
    told = "; ".join(f"{number(spread)} and {number(error)}" for spread, error in pairs)
    return page.figure(charts.chart(title, f"{title}, spread and error by bin: {told}", draw))
