"""Section of the report with members of the last analysis beside the truth, and its spread beside its error."""

from pathlib import Path

import numpy as np

from contracts import state
from contracts.state import StateSpace
from contracts.variables import Channel
from verify import charts, page, shown
from verify.report import maps
from verify.report.material import Material, plain

SOME = 3  # members that are drawn


def samples(material: Material) -> list[str]:
    """Maps of the channel of [verify] map_channel; empty without a truth or where members are no longer kept."""
    time, experiment = material.last.time, material.settings.experiment
    here, truth = experiment.folder.at(time).analysis, material.settings.truth(time)
    members = here.members(min(SOME, experiment.members))
    files = {"truth": truth, "mean": here.mean, **{f"member {n}": path for n, path in enumerate(members, start=1)}}
    if truth is None or not all(path is not None and path.exists() for path in [*files.values(), here.spread]):
        return []
    channel = maps.channel_of(material)
    of = {name: _read(material, channel, path) for name, path in files.items() if path is not None}
    size = {"error of the mean": np.abs(of["mean"] - of["truth"]), "spread": _read(material, channel, here.spread)}
    named = f"{plain(channel.name)} ({shown.units(channel.name)})"
    note = ("Members look like the truth where a generative method has learned its texture; a mean is smoother. The "
            "spread of a reliable ensemble is large where its mean errs, on average and not point by point.")
    grid = material.space.grid
    pictures = [[maps.a_map(grid, f"{title}, {named}", values, bounds=charts.ends(np.stack(list(alike.values()))))
                 for title, values in alike.items()] for alike in (of, size)]
    return [page.paragraph(note, "note"), *(page.figures(alike, wide=True) for alike in pictures)]


def _read(material: Material, channel: Channel, path: Path) -> np.ndarray:
    """(lat, lon) in the units that are shown."""
    read = state.read(path, StateSpace(material.space.grid, (channel,))).data[0].astype(np.float64)
    return shown.factor(channel.name) * read
