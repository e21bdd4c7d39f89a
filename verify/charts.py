"""Small charts and maps as SVG inside a page: text stays text, colours follow the page from light to dark.

Matplotlib draws in a few marker colours, which then become variables of the page's style sheet.  Identifiers get the
chart's own prefix, because all charts of a page share one document; whatever names an address is taken out.
"""

import io
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, ScalarFormatter

from contracts.grid import SAME_DEGREES, Grid
from verify import coast

INK, FAINT, RULE = "#010101", "#020202", "#030303"
BACKGROUND, ANALYSIS, FREE = "#040404", "#050505", "#060606"
_VARIABLES = {INK: "ink", FAINT: "faint", RULE: "rule",
              BACKGROUND: "background", ANALYSIS: "analysis", FREE: "free"}
_STYLE: Any = {
    "font.size": 9, "svg.fonttype": "none", "svg.hashsalt": "verify", "path.simplify": True, "lines.linewidth": 1.6,
    "text.color": INK, "axes.titlecolor": INK, "axes.labelcolor": FAINT, "xtick.color": FAINT, "ytick.color": FAINT,
    "axes.edgecolor": RULE, "axes.grid": True, "grid.color": RULE, "grid.linewidth": 0.5, "axes.titlelocation": "left",
    "axes.titlesize": 10, "axes.spines.top": False, "axes.spines.right": False,
}
_ON_SIGNS, _ON_AMOUNTS = "#333333", "#ffffff"  # coasts over colours that stay the same in the dark
_WIDTH, _MAP = 3.6, (5.4, 2.75)  # inches
LABELLED = 0.165, 0.2, 0.81, 0.67  # place of axes with a label below, in shares of the chart
FINEST = 360  # columns of a map; finer grids are thinned

Draw = Callable[[Axes], None]


def chart(title: str, alternative: str, draw: Draw, height: float = 2.5) -> str:
    """A chart of the usual width, `height` inches high; `alternative` says in words what is to be seen."""
    with plt.rc_context(_STYLE):
        figure = plt.figure(figsize=(_WIDTH, height))
        axis = figure.add_axes((0.155, 0.17, 0.82, 0.70))
        draw(axis)
        axis.set_title(title)
        _plain_numbers(axis)
        return _svg(figure, alternative)


def _plain_numbers(axis: Axes) -> None:
    """Few ticks and no powers of ten in the corner, which would stand in the title."""
    for direction in (axis.xaxis, axis.yaxis):
        if isinstance(direction.get_major_formatter(), ScalarFormatter):
            direction.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
            direction.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("-", "−")))


def series(title: str, alternative: str, when: Sequence[datetime],
           lines: Sequence[tuple[Sequence[float], str, str]]) -> str:
    """Lines (values, colour, style) over time, from zero on."""
    def draw(axis: Axes) -> None:
        for values, colour, style in lines:
            axis.plot(date2num(when), values, style, color=colour, marker="o" if len(when) < 3 else "")
        dates(axis)
        axis.set_ylim(bottom=0)

    return chart(title, alternative, draw)


def dates(axis: Axes) -> None:
    """Few ticks at round dates, of an axis of matplotlib's days."""
    locator = AutoDateLocator(minticks=3, maxticks=6)
    axis.xaxis.set_major_locator(locator)
    axis.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))


def round_ticks(direction: Axis, at: Sequence[float]) -> None:
    """Ticks at these numbers and nowhere else, of a logarithmic axis."""
    direction.set_ticks(list(at), [f"{tick:g}" for tick in at])
    direction.set_ticks([], minor=True)


def field(title: str, alternative: str, grid: Grid, values: np.ndarray, diverging: bool = False,
          bounds: tuple[float, float] | None = None, over: Draw | None = None) -> str:
    """A map of `values` (lat, lon) with a colour bar; `diverging` colours stand for the sign.

    `bounds` are the ends of the colours, by default those of the values; `over` draws upon them.
    """
    low, high = bounds or ends(values, diverging)
    closed, lon = closed_at_date_line(grid, values)
    step = -(-grid.lon.size // FINEST)
    drawn = _even(grid)

    def draw(axis: Axes) -> None:
        rows = np.abs(drawn.lat[:, None] - grid.lat).argmin(axis=1)  # of the values, the nearest ones
        image = axis.imshow(closed[rows][::step, ::step], origin="lower", extent=_extent(lon, drawn.lat),
                            interpolation="none",
                            cmap="RdBu_r" if diverging else "viridis", vmin=low, vmax=high)
        bar = axis.figure.colorbar(image, cax=axis.figure.add_axes((0.91, 0.14, 0.018, 0.72)))
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=8)
        if over is not None:
            over(axis)

    return _map(title, alternative, draw, _ON_SIGNS if diverging else _ON_AMOUNTS)


def ends(values: np.ndarray, diverging: bool = False) -> tuple[float, float]:
    """The least and the most of the colours for `values`, without the outermost half per cent above."""
    high = float(np.percentile(np.abs(values) if diverging else values, 99.5))
    low = -high if diverging else float(values.min())
    return (low, high) if high > low else (low, low + 1.0)


def places(title: str, alternative: str, points: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> str:
    """A map of points (longitude, latitude) by colour."""
    def draw(axis: Axes) -> None:
        for colour, (lon, lat) in points.items():
            axis.plot((lon + 180.0) % 360.0 - 180.0, lat, linestyle="", marker="o", markersize=2, markeredgewidth=0,
                      color=colour)

    return _map(title, alternative, draw, FAINT)


def _map(title: str, alternative: str, draw: Draw, coast_colour: str) -> str:
    with plt.rc_context(_STYLE | {"axes.grid": False}):
        figure = plt.figure(figsize=_MAP)
        axis = figure.add_axes((0.06, 0.10, 0.84, 0.80))
        draw(axis)
        axis.plot(*coast.joined().T, color=coast_colour, linewidth=0.6)
        axis.set(xlim=(-180, 180), ylim=(-90, 90), xticks=range(-180, 181, 60), yticks=range(-90, 91, 30),
                 aspect="equal")
        axis.tick_params(labelsize=8, length=2)
        axis.set_title(title)
        return _svg(figure, alternative)


def _even(grid: Grid) -> Grid:
    """The grid itself where its rows have equal steps, as pictures need; else one whose rows have its smallest step."""
    steps = np.diff(grid.lat)
    if np.ptp(steps) < 2 * SAME_DEGREES:
        return grid
    count = min(int(np.ceil(180.0 / steps.min())), FINEST)
    return Grid(Grid.regular(count, grid.lon.size).lat, grid.lon)


def closed_at_date_line(grid: Grid, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`values` (lat, lon) from -180 to 180 degrees east with the first column again at the end, and its longitudes."""
    lon = (grid.lon + 180.0) % 360.0 - 180.0
    order = np.argsort(lon)
    order = np.append(order, order[0])
    return values[:, order], np.append(lon[order[:-1]], lon[order[0]] + 360.0)


def _extent(lon: np.ndarray, lat: np.ndarray) -> tuple[float, float, float, float]:
    dlat, dlon = lat[1] - lat[0], lon[1] - lon[0]
    return lon[0] - dlon / 2, lon[-1] + dlon / 2, lat[0] - dlat / 2, lat[-1] + dlat / 2


def _svg(figure: Figure, alternative: str) -> str:
    """The figure as an element of a page."""
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    plt.close(figure)
    text = file.getvalue()
    text = text[text.index("<svg"):]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\s+xmlns(:xlink)?="[^"]*"', "", text).replace("xlink:href", "href")
    for colour, name in _VARIABLES.items():
        text = text.replace(colour, f"var(--{name})")
    text = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font: \1 system-ui, sans-serif", text)
    text = re.sub(r' d="([^"]*)"', lambda path: f' d="{_short(path[1])}"', text)
    text = re.sub(r"<!--.*?-->\s*", "", text)
    size = re.search(r'viewBox="[^"]*"', text)
    assert size is not None
    head = f'<svg {size[0]} role="img" aria-label="{escape(alternative)}"><title>{escape(alternative)}</title>'
    return head + _own_names(text[text.index(">") + 1 :], alternative)


def _short(path: str) -> str:
    """A path of lines with each point told from the one before, in tenths of a point, as fine as any screen.

    One with curves has its numbers shortened to hundredths.
    """
    if re.search(r"[^MLz\d\s.\-e]", path):
        return re.sub(r"(\.\d\d)\d+", r"\1", path)
    words, at, before = [], (0, 0), ""
    for command, x, y in re.findall(r"([MLz])(?: (\S+) (\S+))?", path):
        if command == "z":
            words.append("z")
        else:
            point = (round(10 * float(x)), round(10 * float(y)))
            step = " ".join(f"{(new - old) / 10:g}" for new, old in zip(point, at, strict=True))
            words.append(f"M{point[0] / 10:g} {point[1] / 10:g}" if command == "M" else
                         f"{'l' if before != 'L' else ' '}{step}")
            at = point
        before = command
    return "".join(words)


def _own_names(text: str, alternative: str) -> str:
    """Identifiers that are referred to get a prefix that follows from the chart and its words; the others go."""
    prefix = f"c{zlib.crc32((alternative + text).encode()):08x}"
    text = re.sub(r'(url\(#|href="#)', rf"\g<1>{prefix}", text)
    known = set(re.findall(rf'(?:url\(#|href="#)({prefix}[^)"]*)', text))
    return re.sub(r' id="([^"]*)"', lambda name: f' id="{prefix}{name[1]}"' if prefix + name[1] in known else "", text)
