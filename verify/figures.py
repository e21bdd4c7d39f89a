"""Two pictures of an experiment: how scores develop, and what the last analysis changed where.

Colours are those of Okabe and Ito (2008), which colour-blind people can tell apart.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # no window system is needed
import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

from contracts import paths, times  # noqa: E402
from contracts.grid import Grid  # noqa: E402
from contracts.observations import Observations  # noqa: E402
from contracts.state import State  # noqa: E402
from contracts.static import Static  # noqa: E402
from contracts.variables import Flag, Quantity  # noqa: E402
from verify.score_file import Scores, units  # noqa: E402

COLOURS = {"free": "#999999", "background": "#0072B2", "analysis": "#D55E00"}
STYLE: Any = {"font.size": 9, "axes.titlesize": 10, "axes.spines.top": False, "axes.spines.right": False,
         "axes.grid": True, "grid.color": "#dddddd", "grid.linewidth": 0.6, "legend.frameon": False}


def series(path: Path, cycles: Sequence[Scores], headline: Sequence[str], title: str) -> None:
    """Write the PNG of RMSE and spread by channel, or of the fit to observations by quantity without a truth."""
    if cycles[-1].against_truth:
        names: list[Any] = [name for name in headline if name in cycles[-1].channels]
        draw: Callable[..., None] = _draw_skill
        note = f"solid: RMSE of the ensemble mean, {cycles[-1].regions[0]}; dashed: spread"
    else:
        names = [quantity for quantity in Quantity if any(
            cycle.fit.select(Flag.assimilated, quantity).total()["count"] for cycle in cycles)]
        draw, note = _draw_fit, "RMS of observation minus ensemble mean; solid: assimilated, dotted: withheld"
    columns = min(3, max(1, len(names)))
    rows = max(1, -(-len(names) // columns))
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(rows, columns, figsize=(3.6 * columns, 2.5 * rows + 0.7), squeeze=False,
                                    sharex=True, layout="constrained")
        for axis, name in zip(axes.flat, names, strict=False):
            draw(axis, cycles, name)
        _finish_series(figure, axes, len(names), f"{title}\n{note}")
        save(figure, path)


def _draw_skill(axis: Axes, cycles: Sequence[Scores], channel: str) -> None:
    when = date2num([cycle.time for cycle in cycles])
    for ensemble, colour in COLOURS.items():
        rmse, spread = ([cycle.score(f"{ensemble}_{name}", channel) for cycle in cycles] for name in ("rmse", "spread"))
        if np.isfinite(rmse).any():
            axis.plot(when, rmse, color=colour, label=ensemble, **_line(len(cycles)))
            axis.plot(when, spread, color=colour, linestyle="--", linewidth=1)
    axis.set_title(f"{channel.replace('_', ' ')} ({units(channel)})")


def _draw_fit(axis: Axes, cycles: Sequence[Scores], quantity: Quantity) -> None:
    when = date2num([cycle.time for cycle in cycles])
    for flag, line in ((Flag.assimilated, "-"), (Flag.withheld, ":")):
        totals = [cycle.fit.select(flag, quantity).total() for cycle in cycles]
        for column, name in (("omb_rms", "background"), ("oma_rms", "analysis")):
            label = {"background": "O−B", "analysis": "O−A"}[name] if flag == Flag.assimilated else None
            axis.plot(when, [total[column] for total in totals], line, color=COLOURS[name], label=label,
                      **_line(len(cycles)))
    axis.set_title(f"{quantity.name.replace('_', ' ')} ({quantity.units})")


def _line(cycles: int) -> dict[str, Any]:
    """Points that can be told apart, or a line thin enough for a year."""
    return {"marker": "o", "markersize": 2.5} if cycles <= 120 else {"linewidth": 0.7}


def _finish_series(figure: Figure, axes: np.ndarray, used: int, title: str) -> None:
    for axis in axes.flat[:used]:
        axis.set_ylim(bottom=0)
        locator = AutoDateLocator(minticks=2, maxticks=6)
        axis.xaxis.set_major_locator(locator)
        axis.xaxis.set_major_formatter(ConciseDateFormatter(locator))
        axis.tick_params(labelbottom=True)
    for axis in axes.flat[used:]:
        axis.set_axis_off()
    handles, labels = axes.flat[0].get_legend_handles_labels()
    if used < axes.size:
        axes.flat[-1].legend(handles, labels, loc="center", fontsize=10)
    else:
        axes.flat[0].legend(handles, labels)
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")


def increment(path: Path, background: State, analysis: State, channel: str, observations: Observations,
              static: Static | None, title: str) -> None:
    """Write the PNG of analysis minus background of one channel, with coastline and assimilated observations.

    Raises ValueError where the states have no such channel.
    """
    names = [c.name for c in background.space.channels]
    if channel not in names:
        raise ValueError(f"the state has no channel {channel!r}; it has {', '.join(names)}")
    number = names.index(channel)
    grid = background.space.grid
    difference = _closed(analysis.data[number].astype(float) - background.data[number])
    limit = max(np.percentile(np.abs(difference), 99.5), np.finfo(np.float32).tiny)
    with plt.rc_context(STYLE | {"axes.grid": False}):
        figure, axis = plt.subplots(figsize=(9, 4.6), layout="constrained")
        mesh = axis.pcolormesh(_edges(_closed_lon(grid)), _edges(grid.lat).clip(-90, 90), difference, cmap="RdBu_r",
                               vmin=-limit, vmax=limit)
        if static is not None:
            draw_coast(axis, static)
        used = observations.select(observations.flag == Flag.assimilated)
        places = np.unique(np.stack([used.lon % 360.0, used.lat], axis=1), axis=0)
        axis.scatter(places[:, 0], places[:, 1], s=2.5, color="black", linewidths=0, alpha=0.6)
        figure.colorbar(mesh, ax=axis, label=f"{channel.replace('_', ' ')}, analysis − background ({units(channel)})",
                        extend="both", shrink=0.85)
        axis.set(xlim=(0, 360), ylim=(-90, 90), xticks=range(0, 361, 60), yticks=range(-90, 91, 30), aspect="equal",
                 xlabel="longitude (°E)", ylabel="latitude (°N)")
        axis.set_title(f"{title}: increment of the ensemble mean, {times.name(analysis.time)}\n"
                       f"dots: {len(places)} places with assimilated observations", loc="left")
        save(figure, path)


def _closed(field: np.ndarray) -> np.ndarray:
    """`field` (lat, lon) with its first column repeated beyond the last, so that the picture goes round the globe."""
    return np.concatenate([field, field[:, :1]], axis=1)


def _closed_lon(grid: Grid) -> np.ndarray:
    return np.append(grid.lon, grid.lon[0] + 360.0)


def _edges(centres: np.ndarray) -> np.ndarray:
    """Edges (n + 1,) of the cells around `centres` (n,)."""
    middle = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[2 * centres[0] - middle[0]], middle, [2 * centres[-1] - middle[-1]]])


def draw_coast(axis: Axes, static: Static) -> None:
    """The line where land covers half of a cell."""
    if static.land_sea_mask.min() >= 0.5 or static.land_sea_mask.max() < 0.5:
        return
    axis.contour(_closed_lon(static.grid), static.grid.lat, _closed(static.land_sea_mask), levels=[0.5],
                 colors="#444444", linewidths=0.8)


def save(figure: Figure, path: Path) -> None:
    with paths.atomic(path) as partial:
        figure.savefig(partial, dpi=140, format="png")
    plt.close(figure)
