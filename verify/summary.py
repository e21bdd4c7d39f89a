"""The tables that a cycle run ends with: skill against the truth, fit to observations, fate of every observation."""

from collections.abc import Sequence

import numpy as np

from contracts import times
from contracts.variables import Flag, Quantity
from verify import scores, shown
from verify.fit import Fit
from verify.score_file import Scores

HYPHENS = {"assimilated": "assimi-\nlated", "monitored": "moni-\ntored", "difference": "differ-\nence",
           "duplicate": "dupli-\ncate"}
FITTED = ((Flag.withheld, "withheld"), (Flag.assimilated, "assimilated"))


def text(cycles: Sequence[Scores], headline: Sequence[str]) -> str:
    """All tables for cycles in order of time; tables without content are left out."""
    if not cycles:
        raise ValueError("a summary needs the scores of at least one time")
    tables = [skill_table(cycles, headline), fit_table(cycles), count_table(cycles)]
    return "\n\n".join(table for table in tables if table)


def skill_table(cycles: Sequence[Scores], headline: Sequence[str]) -> str:
    """RMSE, spread and their ratio at the last time and on average over the second half, in the first region."""
    last, half = cycles[-1], cycles[len(cycles) // 2:]
    channels = [name for name in headline if name in last.channels and last.against_truth]
    if not channels:
        return ""
    header = ["", "units", "RMSE\nbackgr.", "\nanalysis", "\nfree", "spread\nbackgr.", "\nanalysis",
              "spread/error\nbackgr.", "\nanalysis", "CRPS\nbackgr.", "\nanalysis"]
    periods = [(f"at {times.name(last.time)}, cycle {len(cycles)}", cycles[-1:])]
    if len(half) > 1:
        periods.append((f"mean of the last {len(half)} cycles", half))
    parts = []
    for title, chosen in periods:
        rows = [[name, shown.units(name), *map(number, _skill(chosen, name))] for name in channels]
        parts.append(f"Against the truth {last.reference}, {last.regions[0]}, {title}\n" + table(header, rows))
    return "\n\n".join(parts)


def _skill(cycles: Sequence[Scores], channel: str) -> list[float]:
    """One row of the skill table, averaged over `cycles`, in the units shown; the ratio is that of the averages."""
    def mean(name: str) -> float:
        return float(np.mean([cycle.score(name, channel) for cycle in cycles]))

    rmse = {name: mean(f"{name}_rmse") for name in ("background", "analysis", "free")}
    spread = {name: mean(f"{name}_spread") for name in ("background", "analysis")}
    ratio = [scores.spread_error_ratio(spread[name], rmse[name], cycles[0].members) for name in spread]
    crps = [mean(f"{name}_crps") for name in ("background", "analysis")]
    amounts, factor = [*rmse.values(), *spread.values()], shown.factor(channel)
    return [*(factor * value for value in amounts), *ratio, *(factor * value for value in crps)]


def fit_table(cycles: Sequence[Scores]) -> str:
    """RMS of O−B and O−A by quantity at the first, the last and all times: those withheld, then the others."""
    ends = {times.name(cycle.time): cycle.fit for cycle in (cycles[0], cycles[-1])}
    whole = Fit.join([cycle.fit for cycle in cycles])
    columns = [f"{period if i == 0 else ''}\n{name}" for period in ends for i, name in enumerate(("O-B", "O-A"))]
    columns += [f"{'all times' if i == 0 else ''}\n{name}" for i, name in
                enumerate(("number", "O-B", "O-A", "mean", "spread"))]
    tables = []
    for fate, fate_name in FITTED:
        rows = [[quantity.name, shown.units_of(quantity), *_fit_cells(quantity, fate, list(ends.values()), whole)]
                for quantity in Quantity if whole.select(fate, quantity).total()["count"]]
        if rows:
            title = f"Fit to observations, {fate_name}: RMS of O-B and O-A, mean of O-B, spread of the background"
            tables.append(f"{title}\n" + table(["", "units", *columns], rows))
    return "\n\n".join(tables)


def _fit_cells(quantity: Quantity, fate: Flag, ends: Sequence[Fit], whole: Fit) -> list[str]:
    factor, total = shown.factor_of(quantity), whole.select(fate, quantity).total()
    at_ends = [fit.select(fate, quantity).total()[name] for fit in ends for name in ("omb_rms", "oma_rms")]
    of_all = [total[name] for name in ("omb_rms", "oma_rms", "omb_mean", "background_spread")]
    numbers = [number(factor * value) for value in [*at_ends, *of_all]]
    return [*numbers[: len(at_ends)], str(total["count"]), *numbers[len(at_ends) :]]


def count_table(cycles: Sequence[Scores]) -> str:
    """Observations by fate, one row per time; the last column is the number of rows read."""
    present = [flag for flag in Flag if any(flag in cycle.counts for cycle in cycles)]
    rows = [[times.name(cycle.time), *(str(cycle.counts.get(flag, 0)) for flag in present),
             str(sum(cycle.counts.values()))] for cycle in cycles]
    return "Observations by fate\n" + table(["time", *map(_narrow, present), "all"], rows)


def _narrow(flag: Flag) -> str:
    """The name of a fate as a narrow heading."""
    words = flag.name.split("_")
    return "\n".join(HYPHENS.get(word, word) for word in words)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; text to the left, numbers to the right; a header may have lines."""
    height = max(cell.count("\n") for cell in header)
    heads = [("\n" * (height - cell.count("\n")) + cell).split("\n") for cell in header]
    header_lines = [list(cells) for cells in zip(*heads, strict=True)]
    widths = [max(len(row[i]) for row in [*header_lines, *rows]) for i in range(len(header))]
    numeric = [all(_is_number(row[i]) for row in rows) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        padded = [cell.rjust(width) if right else cell.ljust(width)
                  for cell, width, right in zip(cells, widths, numeric, strict=True)]
        return "  ".join(padded).rstrip()

    return "\n".join([*map(line, header_lines), "  ".join("-" * width for width in widths), *map(line, rows)])


def _is_number(cell: str) -> bool:
    return cell == "-" or cell.replace(".", "").replace("e-", "").lstrip("-").isdigit()


def number(value: float) -> str:
    """Three significant digits, `-` where there is no value."""
    if not np.isfinite(value):
        return "-"
    return f"{value:#.3g}".rstrip(".") if abs(value) < 999.5 else f"{value:.0f}"
