"""Differences to the control as points with their intervals, one contestant a row."""

from collections.abc import Mapping

from matplotlib.axes import Axes

from verify import charts, page
from verify.league.standing import Difference

ROW, REST = 0.17, 0.85  # inches of a row, and of title and axis
LEFT, GAP = 0.47, 0.03  # parts of the width: before a plot at the least, and between a name and its tick
BROWSERS = 1.15  # a name there is wider than one measured here at the most, as their letters are others
FAR = 50.0  # per cent: who is farther off is told by a number at the edge, so that the others can be told apart


def differences(title: str, control: str, found: Mapping[str, Difference]) -> str:
    """A figure; those whose interval leaves out zero stand out by colour."""
    near = [end for one in found.values() if abs(one.mean) <= FAR for end in (one.low, one.high, 0.0)] or [-FAR, FAR]
    low, high = min(near), max(near)
    margin = 0.06 * (high - low) or 1.0
    height = REST + ROW * len(found)

    def draw(axis: Axes) -> None:
        for row, one in enumerate(found.values()):
            colour = (charts.BACKGROUND if one.mean < 0 else charts.ANALYSIS) if one.tells else charts.FREE
            if abs(one.mean) > FAR:
                beyond = one.mean > 0
                axis.text(high if beyond else low, row, f"{one.mean:+.0f}".replace("-", "−"), color=colour, va="center",
                          ha="right" if beyond else "left", fontsize=7.5)
                continue
            axis.plot([one.low, one.high], [row, row], color=colour)
            axis.plot([one.mean], [row], "o", color=colour, markersize=4)
        axis.axvline(0, color=charts.FAINT, linewidth=0.8)
        axis.set_yticks(range(len(found)), list(found))
        axis.set_ylim(len(found) - 0.5, -0.5)
        axis.set_xlim(low - margin, high + margin)
        axis.set_xlabel(f"% of {control}")
        axis.tick_params(axis="y", labelsize=7.5)
        left = beside_names(axis)
        axis.set_position((left, 0.47 / height, 0.97 - left, 1 - REST / height))

    told = "; ".join(f"{name} {one}" for name, one in found.items())
    return page.figure(charts.chart(title, f"{title}, per cent of {control}: {told}", draw, height))


def beside_names(axis: Axes) -> float:
    """Where a plot begins, as a part of the figure's width, so that the longest name of a row stands before it."""
    longest = max(name.get_window_extent().width for name in axis.get_yticklabels())
    return max(LEFT, BROWSERS * longest / axis.figure.bbox.width + GAP)
