"""Section of the report with a spread that `python -m networks downscale` brought to a finer grid: what it was made of,
what interpolation makes of that, what the network does, and the spread itself where the experiment is on that grid."""

from pathlib import Path

import numpy as np

from contracts import state, times
from contracts.grid import Grid
from contracts.paths import TimeFolder
from contracts.state import StateSpace
from contracts.variables import Channel
from verify import charts, page, shown
from verify.report import maps as plain_maps
from verify.report.material import Material, plain


def maps(material: Material) -> list[str]:
    """Of the last time that has one; empty where none has."""
    folder = material.settings.experiment.folder
    made = [here for cycle in material.cycles if (here := folder.at(cycle.time)).downscaled.spread.exists()]
    if not made:
        return []
    channel, here = plain_maps.channel_of(material), made[-1]
    found = {title: _read(path, channel) for title, path in _files(here).items() if path.exists()}
    fine = state.grid_of(here.downscaled.spread)
    if material.space.grid.is_same(fine):
        found["the ensemble's own"] = _read(here.background.spread, channel)
    bounds = charts.ends(np.concatenate([values.ravel() for _, values in found.values()]))  # they are to be compared
    what = f"{plain(channel.name)} ({shown.units(channel.name)})"
    told = f"Spread of the background of {times.name(times.parse(here.folder.name))}; colours are the same in all."
    return [page.paragraph(told, "note"),
            page.figures([plain_maps.a_map(grid, f"{title}, {what}", values, bounds=bounds)
                          for title, (grid, values) in found.items()], wide=True)]


def _files(here: TimeFolder) -> dict[str, Path]:
    return {"coarse": here.downscaled_from("coarse").spread,
            "bilinear and mean error": here.downscaled_from("guess").spread,
            "network": here.downscaled.spread}


def _read(path: Path, channel: Channel) -> tuple[Grid, np.ndarray]:
    """Grid and (lat, lon), in the units that are shown."""
    grid = state.grid_of(path)
    values = state.read(path, StateSpace(grid, (channel,))).data[0].astype(np.float64)
    return grid, shown.factor(channel.name) * values
