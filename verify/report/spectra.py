"""Section of the report on energy by scale: whether analyses bring noise into, or take energy from, the small scales.

Spectra are of single members, a few of each ensemble, averaged; an ensemble's mean is smooth where members disagree.
Climatology is the truth at up to eight times, without a truth the first ensemble, states of other days.
"""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
from matplotlib.axes import Axes

from contracts import harmonics, members, state
from contracts.constants import HECTOPASCAL
from contracts.grid import Grid
from contracts.paths import EnsembleFolder
from contracts.state import State, StateSpace
from contracts.variables import Channel
from verify import charts, page, spectrum
from verify.report.material import Material
from verify.summary import number

WIND = ("u_component_of_wind", "v_component_of_wind")
SOME = 8  # states that a spectrum is averaged over
COLOURS = {"climatology": charts.FREE, "background": charts.BACKGROUND, "analysis": charts.ANALYSIS}

Spectra = dict[str, np.ndarray]  # by ensemble, (n,)


def spectra(material: Material) -> list[str]:
    """Kinetic energy and variance of temperature at a level; empty where the grid is too fine or no member is left."""
    space = material.settings.state.space(material.settings.grid.grid())
    if space.grid.lat.size > spectrum.MOST_ROWS or not all(name in space for name in (*WIND, "temperature")):
        return []
    level = space.levels("temperature")[np.abs(space.levels("temperature") - 500 * HECTOPASCAL).argmin()]
    channels = tuple(Channel(name, float(level)) for name in (*WIND, "temperature"))
    states = {name: found for name, found in _states(material, StateSpace(space.grid, channels)).items() if found}
    if "background" not in states or "analysis" not in states:
        return []
    kinetic = {name: _kinetic(space.grid, found) for name, found in states.items()}
    thermal = {name: _thermal(space.grid, found) for name, found in states.items()}
    where = f"{level / HECTOPASCAL:g} hPa"
    smallest, climate = 2 * harmonics.truncation(space.grid) // 3, len(states.get("climatology", ()))
    header = ["", "units", *states, *(f"{name} /\nclimatology" for name in states if name != "climatology")]
    rows = [_row("kinetic energy", "m2 s-2", kinetic, smallest), _row("temperature", "K2", thermal, smallest)]
    return [
        page.paragraph(f"Spectra over the total wavenumber n at {where}, means of {len(states['analysis'])} members of "
                       f"the last cycle; climatology: {_climatology(material, climate)}. The table sums the smallest "
                       f"scales, n > {smallest}: above 1 the analysis adds noise, below it smooths.", "note"),
        page.table(header, rows, 2),
        page.key(free="climatology", background="background", analysis="analysis"),
        page.figures([_picture(f"kinetic energy, {where} (m2 s-2)", kinetic),
                      _picture(f"variance of temperature, {where} (K2)", thermal)]),
    ]


def _states(material: Material, space: StateSpace) -> dict[str, list[State]]:
    first, last = material.cycles[0].time, material.last.time
    folder = material.settings.experiment.folder
    truths = [path for cycle in material.cycles[:: -(-len(material.cycles) // SOME)]
              if (path := material.settings.truth(cycle.time)) and path.exists()]
    climatology = [state.read(path, space) for path in truths] or _some(folder.at(first).background, space, first)
    return {"climatology": climatology, "background": _some(folder.at(last).background, space, last),
            "analysis": _some(folder.at(last).analysis, space, last)}


def _some(ensemble: EnsembleFolder, space: StateSpace, time: datetime) -> list[State]:
    """Of its first `SOME` members those that are there."""
    return list(members.read(ensemble, sorted(members.there(ensemble, SOME)), space, time))


def _climatology(material: Material, count: int) -> str:
    if not count:
        return "none, its members are no longer kept"
    kind = "times of the truth" if material.settings.verify.truth else "states that the first ensemble was made of"
    return f"{count} {kind}"


def _kinetic(grid: Grid, found: Sequence[State]) -> np.ndarray:
    u, v = (np.stack([one.field(name)[0] for one in found]) for name in WIND)
    return spectrum.kinetic_energy(grid, u, v).mean(axis=0)


def _thermal(grid: Grid, found: Sequence[State]) -> np.ndarray:
    return spectrum.variance(grid, np.stack([one.field("temperature")[0] for one in found])).mean(axis=0)


def _row(name: str, units: str, energy: Spectra, smallest: int) -> list[str]:
    small = {which: float(values[smallest + 1 :].sum()) for which, values in energy.items()}
    climate = small.get("climatology")
    ratios = [small[which] / climate for which in energy if which != "climatology" and climate]
    return [name, units, *(number(value) for value in small.values()), *map(number, ratios)]


def _picture(title: str, energy: Spectra) -> str:
    def draw(axis: Axes) -> None:
        for name, values in energy.items():
            axis.loglog(np.arange(1, values.size), values[1:], color=COLOURS[name])
        axis.set_xlabel("total wavenumber n")
        charts.round_ticks(axis.xaxis, [1, 3, 10, 30])
        axis.set_position(charts.LABELLED)

    middle = next(iter(energy.values())).size // 2
    told = "; ".join(f"{name} {number(float(values[1:].sum()))} in all, {number(float(values[middle:].sum()))} from "
                     f"wavenumber {middle} on" for name, values in energy.items())
    return page.figure(charts.chart(title, f"{title} by total wavenumber: {told}", draw))
