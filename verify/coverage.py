"""What thinning left of the observations of one time: counts before and after, and a map of kept and dropped places.

*Before* are the rows of the files that were fit for assimilation: those that passed and those that thinning took out
(`thinned`, or `superobbed` as members of a mean). *After* are the rows that passed, means among them. Withheld rows are
in neither; they are drawn, because they judge the analysis.
"""

from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from contracts.observations import Observations
from contracts.static import Static
from contracts.variables import Flag, Quantity
from verify import figures

TAKEN_OUT = (Flag.thinned, Flag.superobbed)
COLOURS = {"dropped": "#E69F00", "withheld": "#009E73", "kept": "#0072B2"}  # drawn in this order
SIZES = {"dropped": 2.0, "withheld": 4.0, "kept": 4.0}  # points squared
SHOWN_ONCE = (Quantity.v_component_of_wind, Quantity.v_component_of_wind_10m)  # they share the fate of u


def counts(table: Observations) -> str:
    """A text table: rows before and after thinning by message type, report type and quantity."""
    before, after = _before(table), table.flag == Flag.passed
    groups = np.rec.fromarrays([table.message_type, table.type, table.quantity])
    lines = [_line("message", "type", "quantity", "before", "after")]
    for group in np.unique(groups[before | after]):
        rows = groups == group
        lines.append(_line(group[0].decode(), group[1], Quantity(int(group[2])).name,
                           (before & rows).sum(), (after & rows).sum()))
    return "\n".join([*lines, _line("all", "", "", before.sum(), after.sum())])


def _line(*cells: object) -> str:
    message, kind, quantity, before, after = cells
    return f"{message:8} {kind!s:>5}  {quantity:25}{before:>8}{after:>8}"


def _before(table: Observations) -> np.ndarray:
    return np.isin(table.flag, [Flag.passed, *TAKEN_OUT]) & (table.count == 1)


def draw(path: Path, table: Observations, static: Static | None, title: str) -> None:
    """Write the PNG: a map per quantity with the places where any row was kept, was withheld, or all were dropped.

    Raises ValueError where no observation was fit for assimilation.
    """
    present = np.unique(table.quantity[_before(table)])
    quantities = [quantity for quantity in Quantity if quantity in present and quantity not in SHOWN_ONCE]
    if not quantities:
        raise ValueError("no observation is fit for assimilation")
    columns = min(2, len(quantities))
    with plt.rc_context(figures.STYLE | {"axes.grid": False}):
        figure, axes = plt.subplots(-(-len(quantities) // columns), columns, squeeze=False, layout="constrained",
                                    figsize=(6.6 * columns, 3.7 * -(-len(quantities) // columns)))
        for axis, quantity in zip(axes.flat, quantities, strict=False):
            _map(axis, table.select(table.quantity == quantity), quantity, static)
        for axis in axes.flat[len(quantities) :]:
            axis.set_axis_off()
        figure.legend(*axes.flat[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, markerscale=4)
        figure.suptitle(title, fontsize=10, x=0.01, ha="left")
        figures.save(figure, path)


def _map(axis: Axes, table: Observations, quantity: Quantity, static: Static | None) -> None:
    if static is not None:
        figures.draw_coast(axis, static)
    kept, dropped = table.flag == Flag.passed, np.isin(table.flag, TAKEN_OUT)
    everywhere, left = _places(table, kept | dropped), _places(table, kept)
    drawn = {"dropped": np.setdiff1d(everywhere, left), "withheld": _places(table, table.flag == Flag.withheld),
             "kept": left}
    for name, places in drawn.items():
        axis.scatter(places.real, places.imag, s=SIZES[name], linewidths=0, color=COLOURS[name], label=name)
    axis.set(xlim=(0, 360), ylim=(-90, 90), xticks=range(0, 361, 60), yticks=range(-90, 91, 30), aspect="equal")
    name = quantity.name.replace("u_component_of_wind", "wind").replace("_", " ")
    axis.set_title(f"{name}: {_before(table).sum()} rows before, {kept.sum()} after", loc="left", fontsize=9)


def _places(table: Observations, rows: np.ndarray) -> np.ndarray:
    """Distinct positions, longitude + i latitude."""
    return np.unique(np.mod(table.lon[rows], 360.0) + 1j * table.lat[rows])
