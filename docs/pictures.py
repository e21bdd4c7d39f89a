"""Figures of the pages, drawn from the tables of leagues in the repository: `python -m docs.pictures FOLDER`.

Each contestant has one point with its interval; nothing is drawn that `run/leagues/*.csv` does not hold, and nobody who
is farther than half from the control.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # no window system is needed
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402

from docs import quoted  # noqa: E402
from docs.quoted import Row  # noqa: E402
from verify.figures import COLOURS, STYLE, save  # noqa: E402
from verify.league.picture import FAR  # noqa: E402

LEAGUE = "january_february_1992"
BETTER, WORSE, NEITHER = COLOURS["background"], COLOURS["analysis"], COLOURS["free"]
PLACES = {"near stations": BETTER, "between": NEITHER, "voids": WORSE}


def main() -> None:
    """Draw all of them."""
    parser = argparse.ArgumentParser(prog="python -m docs.pictures", description=__doc__,
                                     epilog="example:  python -m docs.pictures build/pictures")
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    draw(folder)
    print(folder)


def draw(folder: Path, league: str = LEAGUE) -> None:
    """standings.png, places.png and reliability.png of a league."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = quoted.table(league)
    order = [row["contestant"] for row in rows if (row["field"], row["score"]) == ("all fields", "analysis_rmse")
             and abs(float(row["percent"] or 0)) <= FAR]
    for name, drawn in (("standings", standings), ("places", places), ("reliability", reliability)):
        with plt.rc_context(STYLE):
            figure, axis = plt.subplots(figsize=(6.4, 1.0 + 0.22 * len(order)), layout="constrained")
            drawn(axis, rows, order)
            save(figure, folder / f"{name}.png")


def standings(axis: Axes, rows: Sequence[Row], order: Sequence[str]) -> None:
    """All fields against the control, with intervals."""
    for number, one in enumerate(chosen(rows, order, "all fields", "globe", "analysis_rmse")):
        if one is None or not one["percent"]:
            continue
        low, mean, high = (float(one[name]) for name in ("low", "percent", "high"))
        colour = NEITHER if low <= 0 <= high else BETTER if mean < 0 else WORSE
        axis.plot([low, high], [number, number], color=colour)
        axis.plot([mean], [number], "o", color=colour, markersize=4)
    _name(axis, order, "analysis RMSE of all fields, % of the control")
    axis.axvline(0, color="#999999", linewidth=0.8)


def places(axis: Axes, rows: Sequence[Row], order: Sequence[str]) -> None:
    """T500 where stations are near, and where none is."""
    for where, colour in PLACES.items():
        found = chosen(rows, order, "temperature_500", where, "analysis_rmse")
        points = [(float(one["value"]), number) for number, one in enumerate(found) if one and one["value"]]
        axis.plot(*zip(*points, strict=True), "o", color=colour, markersize=4, label=where)
    _name(axis, order, "analysis RMSE of temperature at 500 hPa, K")
    axis.legend(loc="upper right")


def reliability(axis: Axes, rows: Sequence[Row], order: Sequence[str]) -> None:
    """Spread/error of T500 and Z500."""
    for field, colour in (("temperature_500", BETTER), ("geopotential_500", WORSE)):
        found = chosen(rows, order, field, "globe", "analysis_spread_error")
        points = [(float(one["value"]), number) for number, one in enumerate(found) if one and one["value"]]
        axis.plot(*zip(*points, strict=True), "o", color=colour, markersize=4, label=field.replace("_", " "))
    _name(axis, order, "spread / error of the analysis")
    axis.axvline(1, color="#999999", linewidth=0.8)
    axis.legend(loc="upper left")


def chosen(rows: Sequence[Row], order: Sequence[str], field: str, where: str, score: str) -> list[Row | None]:
    """One row for each contestant, None where it has none."""
    asked = (field, where, score)
    found = {row["contestant"]: row for row in rows if (row["field"], row["where"], row["score"]) == asked}
    return [found.get(title) for title in order]


def _name(axis: Axes, order: Sequence[str], label: str) -> None:
    axis.set_yticks(range(len(order)), list(order), fontsize=7.5)
    axis.set_ylim(len(order) - 0.5, -0.5)
    axis.set_xlabel(label)


if __name__ == "__main__":
    main()
