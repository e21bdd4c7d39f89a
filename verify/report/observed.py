"""Sections of the report in which the observations judge: fit, ranks, spread and skill."""

from collections.abc import Sequence
from dataclasses import fields

import numpy as np
from matplotlib.axes import Axes

from contracts.constants import HECTOPASCAL
from contracts.variables import Flag, Quantity
from verify import charts, page, shown
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
        page.table(header, _rows(material.fit, ("flag", "quantity")), 4),
        page.folded("By type of report", page.table(header, _rows(material.fit, ("flag", "quantity", "type")), 4)),
        page.key(background="RMS O−B", analysis="RMS O−A", background_dotted="mean O−B", analysis_dotted="mean O−A",
                 free_dashed="√(background spread² + error²)"),
        page.figures([_over_time(material, quantity) for quantity in material.quantities]),
        "<h3>By layer (hPa), assimilated</h3>" if upper_air else "",
        page.figures([_by_layer(material, quantity) for quantity in upper_air]),
    ]


def _rows(groups: Fit, by: Sequence[str]) -> list[list[str]]:
    """A row for each combination of the columns `by`, the withheld ones first: nothing else has not been used."""
    keys = np.stack([getattr(groups, name) for name in by], axis=1)
    rows = []
    for key in sorted(map(tuple, np.unique(keys, axis=0)), key=lambda key: (key[0] != Flag.withheld, *key)):
        total, quantity = _where(groups, (keys == key).all(axis=1)).total(), Quantity(int(key[1]))
        values = [total[name] for name in ("omb_mean", "oma_mean", "omb_rms", "oma_rms", "background_spread", "error")]
        consistency = total["omb_rms"] ** 2 / (total["background_spread"] ** 2 + total["error"] ** 2)
        kind = shown.report(int(key[2])) if len(key) > 2 else "all"
        rows.append([Flag(int(key[0])).name, plain(quantity.name), kind, shown.units_of(quantity), str(total["count"]),
                     *(number(shown.factor_of(quantity) * value) for value in values), number(consistency)])
    return rows


def _where(groups: Fit, which: np.ndarray) -> Fit:
    return Fit(**{column.name: getattr(groups, column.name)[which] for column in fields(Fit)})


def _over_time(material: Material, quantity: Quantity) -> str:
    totals = [cycle.fit.select(Flag.assimilated, quantity).total() for cycle in material.cycles]
    scale, title = shown.factor_of(quantity), f"{plain(quantity.name)} ({shown.units_of(quantity)})"
    lines = [([scale * total[f"{name}_rms"] for total in totals], colour, "-") for name, colour in DEPARTURES.items()]
    expected = [scale * float(np.hypot(total["background_spread"], total["error"])) for total in totals]
    told = (f"{title}, assimilated, over {len(totals)} cycles: at the last RMS O−B {number(lines[0][0][-1])}, RMS O−A "
            f"{number(lines[1][0][-1])}, expected of spread and error {number(expected[-1])}")
    return page.figure(charts.series(title, told, [cycle.time for cycle in material.cycles],
                                     [*lines, (expected, charts.FREE, "--")]))


def _by_layer(material: Material, quantity: Quantity) -> str:
    groups = material.fit.select(Flag.assimilated, quantity)
    bounds = np.unique(np.stack([groups.layer_upper, groups.layer_lower], axis=1), axis=0) / HECTOPASCAL
    totals = [_where(groups, groups.layer_upper == top * HECTOPASCAL).total() for top, _ in bounds]
    names, scale = [f"{bottom:g}–{top:g}" for top, bottom in bounds], shown.factor_of(quantity)

    def draw(axis: Axes) -> None:
        rows = np.arange(len(totals))
        for name, colour in DEPARTURES.items():
            for score, style in (("rms", "o-"), ("mean", "o:")):
                values = [scale * total[f"{name}_{score}"] for total in totals]
                axis.plot(values, rows, style, color=colour, markersize=3)
        expected = [scale * np.hypot(total["background_spread"], total["error"]) for total in totals]
        axis.plot(expected, rows, "--", color=charts.FREE)
        axis.set_yticks(rows, names)
        axis.invert_yaxis()
        axis.set_position((0.24, 0.17, 0.74, 0.70))

    told = "; ".join(f"{name} hPa {number(scale * total['omb_rms'])} and {number(scale * total['oma_rms'])}"
                     for name, total in zip(names, totals, strict=True))
    title = f"{plain(quantity.name)} ({shown.units_of(quantity)})"
    return page.figure(charts.chart(title, f"{title}, RMS O−B and RMS O−A by layer: {told}", draw))


def ranks(material: Material) -> list[str]:
    """Rank histograms of assimilated and withheld observations; empty where no ranks were written."""
    by_fate = material.sums.by("flag", "quantity").items()
    found = {key: statistics for fate in (Flag.withheld, Flag.assimilated) for key, statistics in by_fate
             if key[0] == fate and statistics.ranks.any()}
    note = ("How many members, each with a draw of the observation's error, lie below the observed value: level for a "
            "reliable ensemble, hollow for too little spread, sloping for bias. The factor below each would make the "
            "spread explain, with the error given, how far the observations lie from the mean.")
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
    return page.figure(charts.chart(title, told, draw), _spread_factor(found))


def _spread_factor(found: Statistics) -> str:
    """By how much the spread is too small or too large, as a sentence."""
    factor = found.skill / found.adjusted_spread
    if not np.isfinite(factor):
        return "the error given alone is more than the observations differ by"
    return f"right with the spread times {number(factor)}"


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
    pairs = shown.factor_of(quantity) * np.array([(found.adjusted_spread, found.skill) for found in bins])
    sizes = 8 + 60 * np.array([found.count for found in bins]) / max(found.count for found in bins)

    def draw(axis: Axes) -> None:
        most = 1.08 * pairs.max()
        axis.plot([0, most], [0, most], color=charts.INK, linewidth=0.8)
        axis.plot(pairs[:, 0], pairs[:, 1], color=charts.BACKGROUND, linewidth=0.8)
        axis.scatter(pairs[:, 0], pairs[:, 1], s=sizes, color=charts.BACKGROUND, linewidths=0)
        axis.set(xlim=(0, most), ylim=(0, most), ylabel="error", xlabel="spread")
        axis.set_position((0.165, 0.2, 0.80, 0.66))

    title = f"{plain(quantity.name)} ({shown.units_of(quantity)})"
    told = "; ".join(f"{number(spread)} and {number(error)}" for spread, error in pairs)
    return page.figure(charts.chart(title, f"{title}, spread and error by bin: {told}", draw))
