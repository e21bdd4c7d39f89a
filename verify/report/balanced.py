"""Section of the report on balance: whether the fields of the last increment belong together, as those of an error do.

Relations are those of `contracts.balance`; beside the increment stand the departures of members from their mean, and
the error of the background where there is a truth, which say how much balance there is to be had.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from contracts import balance, members, state
from contracts.balance import PHI, TROPICS, Agreement, T, U, V
from contracts.constants import HECTOPASCAL
from verify import charts, page
from verify.report.material import Material
from verify.summary import number

LEVEL = 500 * HECTOPASCAL
SOME = 8  # members whose departures are looked at
LATITUDES = range(-90, 91, 30)  # of the chart's ticks


def balanced(material: Material) -> list[str]:
    """Table and chart; empty without what the relations need, or where nothing was changed."""
    if not all(name in material.space for name in (U, V, PHI, T)):
        return []
    fields = {name: dx for name, dx in _fields(material).items() if any(one.any() for one in dx)}
    if "increment" not in fields:
        return []
    level = _level(material)
    rows = [[name, *_agreements(material, dx, level)] for name, dx in fields.items()]
    return [
        page.paragraph(f"The last increment of the mean: its wind at {level / HECTOPASCAL:g} hPa against the "
                       f"geostrophic wind of its geopotential, poleward of {TROPICS:g} degrees, and the thickness of "
                       "its layers against their temperature. 1 and 1 would be balance; what departures of members and "
                       "errors have is what an increment should have.", "note"),
        page.table(["", "geostrophic\ncorrelation", "\nslope", "hydrostatic\ncorrelation", "\nslope"], rows),
        page.key(analysis="wind of the increment", analysis_dashed="its geostrophic wind",
                 free="difference of the two"),
        page.figures([_picture(material, fields["increment"][0], level)]),
    ]


def _fields(material: Material) -> dict[str, np.ndarray]:
    """(some, channel, lat, lon) by name, of those whose files are there."""
    here, space, time = material.settings.experiment.folder.at(material.last.time), material.space, material.last.time
    truth, found = material.settings.truth(time), {}

    def of(path: Path) -> np.ndarray:
        return state.read(path, space, time).data.astype(np.float64)

    if here.background.mean.exists() and here.analysis.mean.exists():
        found["increment"] = (of(here.analysis.mean) - of(here.background.mean))[None]
    some = sorted(members.there(here.background, SOME))
    if len(some) > 1:
        X = np.stack([one.data.astype(np.float64) for one in members.read(here.background, some, space, time)])
        found["departures of members"] = X - X.mean(axis=0)
    if truth is not None and truth.exists() and here.background.mean.exists():
        found["error of the background"] = (of(here.background.mean) - of(truth))[None]
    return found


def _level(material: Material) -> float:
    """The level of wind and geopotential nearest to 500 hPa."""
    levels = np.array(sorted(set(material.space.levels(U)) & set(material.space.levels(PHI))))
    return float(levels[np.abs(levels - LEVEL).argmin()])


def _agreements(material: Material, fields: np.ndarray, level: float) -> list[str]:
    space, everywhere = material.space, np.ones(material.space.grid.shape, bool)
    of_winds = Agreement.of([balance.geostrophic(dx, space, level, everywhere) for dx in fields])
    layers = [balance.hydrostatic(dx, space, everywhere) for dx in fields]
    of_layers = Agreement.of(layers) if layers[0][0].size else Agreement(np.nan, np.nan)  # where all are too thick
    return [number(value) for each in (of_winds, of_layers) for value in (each.correlation, each.slope)]


def _picture(material: Material, dx: np.ndarray, level: float) -> str:
    grid = material.space.grid
    where = balance.has_geostrophic_wind(grid)
    wind, geostrophic, _ = balance.geostrophic(dx, material.space, level, np.ones(grid.shape, bool))
    lines: Mapping[str, np.ndarray] = {name: _by_row(values, where, grid.lon.size) for name, values in (
        ("wind", wind), ("geostrophic", geostrophic), ("difference", wind - geostrophic))}
    styles = {"wind": (charts.ANALYSIS, "-"), "geostrophic": (charts.ANALYSIS, "--"), "difference": (charts.FREE, "-")}

    def draw(axis: Axes) -> None:
        for half in (grid.lat < 0, grid.lat > 0):
            for name, values in lines.items():
                colour, style = styles[name]
                axis.plot(grid.lat[half & where], values[half[where]], style, color=colour)
        axis.set_xlim(-90, 90)
        axis.set_xticks(LATITUDES, [f"{lat}".replace("-", "−") for lat in LATITUDES])
        axis.set_xlabel("latitude, degrees north")
        axis.set_ylim(bottom=0)
        axis.set_position(charts.LABELLED)

    title = f"wind of the increment, {level / HECTOPASCAL:g} hPa (m s-1)"
    told = ", ".join(f"{name} {number(float(np.sqrt((values**2).mean())))}" for name, values in lines.items())
    return page.figure(charts.chart(title, f"{title}, root mean square by latitude: {told}", draw))


def _by_row(wind: np.ndarray, where: np.ndarray, longitudes: int) -> np.ndarray:
    """(row,) root mean square of a wind (2, point) along each row that is looked at."""
    return np.sqrt((wind.reshape(2, where.sum(), longitudes) ** 2).sum(axis=0).mean(axis=-1))
