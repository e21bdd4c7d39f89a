"""Section of the report with maps: what the last analysis did, how sure the ensemble is, who saw what."""


from pathlib import Path

import numpy as np

from contracts import field, state
from contracts.constants import HECTOPASCAL
from contracts.errors import UserError
from contracts.grid import Grid
from contracts.state import StateSpace
from contracts.variables import Channel, Flag
from verify import charts, page, shown
from verify.report.material import Material, plain
from verify.summary import number

FIELDS = ("inflation", "relaxation_factor", "local_observation_count")  # of the analysis, drawn where they were written
DEVIATIONS = {"background_deviation": "deviation of background errors as B has it",  # and states that a method leaves
              "uncertainty": "uncertainty of the analysis"}


def maps(material: Material) -> list[str]:
    """Raises UserError where [verify] map_channel names none of the state's channels."""
    channel, here = channel_of(material), material.settings.experiment.folder.at(material.last.time)
    name, unit = plain(channel.name), shown.units(channel.name)
    pictures, grid = [], material.space.grid
    background, analysis = (_read(material, channel, which.mean) for which in (here.background, here.analysis))
    if background is not None and analysis is not None:
        pictures.append(a_map(grid, f"increment, {name} ({unit})", analysis - background, diverging=True))
        mean = _mean_increment(material, channel)
        title = f"mean increment of {len(material.cycles)} cycles, {name} ({unit})"
        pictures.append(a_map(grid, title, mean, True))
    spreads = {which: spread for which, ensemble in (("background", here.background), ("analysis", here.analysis))
               if (spread := _read(material, channel, ensemble.spread)) is not None}
    said = {title: deviation for one, title in DEVIATIONS.items()
            if (deviation := _read(material, channel, here.field(one))) is not None}
    bounds = charts.ends(np.stack(list(spreads.values()))) if spreads else None  # one scale: they are to be compared
    pictures += [a_map(grid, f"{which} spread, {name} ({unit})", spread, bounds=bounds)
                 for which, spread in spreads.items()]
    pictures += [a_map(grid, f"{title}, {name} ({unit})", deviation) for title, deviation in said.items()]
    fields = {f"{plain(each)}, {_level(channel)}": values for each in FIELDS
              if (values := _diagnostic(material, channel, each)) is not None}
    constant = {title: float(values.flat[0]) for title, values in fields.items() if np.ptp(values) == 0}
    pictures += [a_map(grid, title, values) for title, values in fields.items() if title not in constant]
    return [page.figures([*pictures, _coverage(material)], wide=True),
            *(page.paragraph(f"The same everywhere: {title} {number(value)}.") for title, value in constant.items())]


def channel_of(material: Material) -> Channel:
    """That of [verify] map_channel; raises UserError where the state has none of that name."""
    space, wanted = material.space, material.settings.verify.map_channel
    for channel in space.channels:
        if channel.name == wanted:
            return channel
    names = ", ".join(channel.name for channel in space.channels)
    raise UserError(f"[verify] map_channel: the state has no channel {wanted!r}; it has {names}")


def _level(channel: Channel) -> str:
    return f"{channel.pressure / HECTOPASCAL:g} hPa" if channel.on_levels else "surface"


def _read(material: Material, channel: Channel, path: Path) -> np.ndarray | None:
    """(lat, lon) of one channel in the units that are shown, None where the file is not there."""
    if not path.exists():
        return None
    read = state.read(path, StateSpace(material.space.grid, (channel,))).data[0].astype(np.float64)
    return shown.factor(channel.name) * read


def _mean_increment(material: Material, channel: Channel) -> np.ndarray:
    folder = material.settings.experiment.folder
    pairs = [[_read(material, channel, which.mean) for which in (here.background, here.analysis)]
             for here in (folder.at(cycle.time) for cycle in material.cycles)]
    return np.mean([analysis - background for background, analysis in pairs
                    if background is not None and analysis is not None], axis=0)


def _diagnostic(material: Material, channel: Channel, name: str) -> np.ndarray | None:
    """(lat, lon) of a field of the analysis at the channel's level, None where it was not written."""
    space, path = material.space, material.settings.experiment.folder.at(material.last.time).field(name)
    if not path.exists():
        return None
    levels = np.unique(space.pressure)
    return field.read(path, name, space.grid, levels).data[np.searchsorted(levels, channel.pressure)]


def a_map(grid: Grid, title: str, values: np.ndarray, diverging: bool = False,
          bounds: tuple[float, float] | None = None) -> str:
    """With its numbers in words."""
    mean = float((values * grid.area_weights).mean())
    row, col = np.unravel_index(np.argmax(np.abs(values)), values.shape)
    told = (f"map of {title}: area mean {number(mean)}, from {number(values.min())} to {number(values.max())}; largest "
            f"at {grid.lat[row]:.0f} degrees north, {grid.lon[col]:.0f} degrees east")
    return page.figure(charts.field(title, told, grid, values, diverging, bounds))


def _coverage(material: Material) -> str:
    table = material.departures
    points = {}
    for flag, colour in ((Flag.withheld, charts.ANALYSIS), (Flag.assimilated, charts.BACKGROUND)):
        rows = table.flag == flag
        points[colour] = np.unique(np.round([table.lon[rows] % 360, table.lat[rows]], 1), axis=1)
    used, withheld = (points[colour].shape[1] for colour in (charts.BACKGROUND, charts.ANALYSIS))
    told = f"{used} places with assimilated observations" + (f", {withheld} with withheld ones" if withheld else "")
    title = "observations: assimilated" + (", withheld" if withheld else "")
    drawn = {colour: (lon, lat) for colour, (lon, lat) in points.items()}
    return page.figure(charts.places(title, f"map: {told}", drawn), told)
