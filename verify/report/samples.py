"""Section of the report with members of the last analysis beside the truth, and its spread beside its error."""

from pathlib import Path

import numpy as np

from contracts import members, state
from contracts.state import State, StateSpace
from contracts.variables import Channel
from verify import charts, page, shown
from verify.report import maps
from verify.report.material import Material, plain

SOME = 3  # members that are drawn


def samples(material: Material) -> list[str]:
    """Maps of the channel of [verify] map_channel; empty without a truth or where members are no longer kept."""
    time, experiment = material.last.time, material.settings.experiment
    here, truth = experiment.folder.at(time).analysis, material.settings.truth(time)
    numbers = range(1, min(SOME, experiment.members) + 1)
    if truth is None or not all(path.exists() for path in (truth, here.mean, here.spread)) or (
            len(members.there(here, len(numbers))) < len(numbers)):
        return []
    channel = maps.channel_of(material)
    space = StateSpace(material.space.grid, (channel,))
    drawn = zip(numbers, members.read(here, numbers, space, time), strict=True)
    of = {"truth": _read(material, channel, truth), "mean": _read(material, channel, here.mean),
          **{f"member {number}": _shown(channel, one) for number, one in drawn}}
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
    return _shown(channel, state.read(path, StateSpace(material.space.grid, (channel,))))


def _shown(channel: Channel, one: State) -> np.ndarray:
    return shown.factor(channel.name) * one.data[0].astype(np.float64)
