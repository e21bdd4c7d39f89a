"""Increments of single observations as maps: a row for each covariance, a column for each observation."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from contracts import paths
from contracts.balance import PHI, T, U, V, index_of
from contracts.constants import GRAVITY
from contracts.state import StateSpace
from networks.look.observed import Observed

ACROSS = 40.0  # degrees to either side of the observation that are drawn
ARROWS = 4  # of the strongest wind that fit into the width of a map
LINES = (-0.8, -0.6, -0.4, -0.2, -0.1, 0.1, 0.2, 0.4, 0.6, 0.8)  # of height, in units of the largest of a column


def draw(path: Path, increments: Mapping[str, Mapping[Observed, np.ndarray]], space: StateSpace) -> None:
    """Height as lines, temperature in colours, wind as arrows, at the level that is observed, around the place that is;
    each column has one scale for each of them."""
    from matplotlib.figure import Figure

    columns = list(next(iter(increments.values())))
    figure = Figure(figsize=(3.1 * len(columns), 2.3 * len(increments)), layout="constrained")
    axes = figure.subplots(len(increments), len(columns), squeeze=False)
    for number, observed in enumerate(columns):
        shown = {name: _shown(fields[observed], space, observed) for name, fields in increments.items()}
        largest = np.max([np.abs(fields).max((1, 2)) for fields in shown.values()], axis=0)
        for axis, (name, fields) in zip(axes[:, number], shown.items(), strict=True):
            _map(axis, fields, space, largest, observed)
            axis.set_title(f"{name}: {observed.name}", fontsize=8)
    with paths.atomic(path) as partial:
        figure.savefig(partial, format="png", dpi=110)


def _shown(dx: np.ndarray, space: StateSpace, observed: Observed) -> np.ndarray:
    """(field, lat, lon) temperature, height, wind, the place observed in the middle column."""
    middle = space.grid.lon.size // 2
    place = int(np.abs(space.grid.lon - observed.lon).argmin())
    fields = np.stack([dx[index_of(space, name, observed.level)] for name in (T, PHI, U, V)])
    return np.roll(fields / np.array([1, GRAVITY, 1, 1])[:, None, None], middle - place, axis=-1)


def _map(axis: Any, fields: np.ndarray, space: StateSpace, largest: np.ndarray, observed: Observed) -> None:
    t, z, u, v = fields
    lat, lon = space.grid.lat, space.grid.lon - space.grid.lon[space.grid.lon.size // 2]  # degrees east of the place
    axis.pcolormesh(lon, lat, t, cmap="RdBu_r", vmin=-largest[0], vmax=largest[0], shading="nearest")
    axis.contour(lon, lat, z, levels=largest[1] * np.array(LINES), colors="k", linewidths=0.7)
    axis.quiver(lon, lat, u, v, scale=np.hypot(*largest[2:]) * ARROWS, width=0.004)
    axis.set(xlim=(-ACROSS, ACROSS), ylim=(max(-90, observed.lat - ACROSS), min(90, observed.lat + ACROSS)))
    axis.axhline(0, color="0.5", linewidth=0.5)
    axis.tick_params(labelsize=6)
