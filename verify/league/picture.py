"""Differences to the control as points with their intervals, one contestant a row."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from verify import charts, page
from verify.league.standing import Difference

ROW, REST = 0.17, 0.85  # inches of a row, and of title and axis


def differences(title: str, control: str, found: Mapping[str, Difference]) -> str:
    """A figure; those whose interval leaves out zero stand out by colour."""
    height = REST + ROW * len(found)

    def draw(axis: Axes) -> None:
        rows = np.arange(len(found))
        for row, one in zip(rows, found.values(), strict=True):
            colour = (charts.BACKGROUND if one.mean < 0 else charts.ANALYSIS) if one.tells else charts.FREE
            axis.plot([one.low, one.high], [row, row], color=colour)
            axis.plot([one.mean], [row], "o", color=colour, markersize=4)
        axis.axvline(0, color=charts.FAINT, linewidth=0.8)
        axis.set_yticks(rows, list(found))
        axis.set_ylim(len(found) - 0.5, -0.5)
        axis.set_xlabel(f"% of {control}")
        axis.tick_params(axis="y", labelsize=7.5)
        axis.set_position((0.47, 0.47 / height, 0.5, 1 - REST / height))

    told = "; ".join(f"{name} {one}" for name, one in found.items())
    return page.figure(charts.chart(title, f"{title}, per cent of {control}: {told}", draw, height))
