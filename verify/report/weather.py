"""The report begins with the weather: charts of the analysis, what it changed, how sure it is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from matplotlib.axes import Axes

from contracts import state
from contracts.constants import GRAVITY, HECTOPASCAL, ZERO_CELSIUS
from contracts.paths import EnsembleFolder
from contracts.state import StateSpace
from verify import charts, page
from verify.derived import sea_level_pressure
from verify.report.material import Material
from verify.score_file import Scores
from verify.summary import number

MOST_TIMES, OF_COLUMNS = 8, 96  # to choose from on such a grid; on a finer one fewer: the page must not grow heavy
ARROWS = 24  # along a circle of latitude, at most
LOWEST = 1000 * HECTOPASCAL  # of the levels that sea-level pressure is reckoned from, the nearest to it
DECAMETRE = 10.0


@dataclass(frozen=True)
class Chart:
    """Fields of one ensemble mean or spread at a `time`, by name of their channel, each (lat, lon)."""

    space: StateSpace
    time: datetime
    fields: dict[str, np.ndarray]

    @classmethod
    def read(cls, ensemble: EnsembleFolder, what: str, space: StateSpace, time: datetime) -> "Chart | None":
        """`what`: mean or spread; None where it is not there."""
        path = getattr(ensemble, what)
        if not path.exists():
            return None
        data = state.read(path, space, time).data.astype(np.float64)
        return cls(space, time, {channel.name: data[n] for n, channel in enumerate(space.channels)})

    def has(self, *names: str) -> bool:
        return all(name in self.fields for name in names)

    def height(self, level: str) -> np.ndarray:
        """m, of a level such as "500"."""
        return self.fields[f"geopotential_{level}"] / GRAVITY

    def sea_level_pressure(self) -> np.ndarray | None:
        """hPa, from the lowest level that has geopotential and temperature."""
        levels = sorted({channel.pressure for channel in self.space.channels if channel.on_levels},
                        key=lambda pressure: abs(pressure - LOWEST))
        for pressure in levels:
            names = [f"{name}_{pressure / HECTOPASCAL:g}" for name in ("geopotential", "temperature")]
            if self.has(*names):
                geopotential, temperature = (self.fields[name] for name in names)
                return sea_level_pressure(geopotential, temperature, pressure) / HECTOPASCAL
        return None


def weather(material: Material) -> list[str]:
    """Charts at the times to choose from, the last one shown first; empty where a state has none of their fields."""
    drawn = {f"{cycle.time:%Y-%m-%d %H}": page.figures(_charts(material, cycle.time), wide=True)
             for cycle in chosen(material.cycles, material.at, material.space.grid.lon.size)}
    if not any(drawn.values()):
        return []
    note = ("Means of the ensemble; sea-level pressure is reckoned from the lowest level with the standard lapse rate. "
            "The arrow keys go through the times; python -m verify report EXPERIMENT.toml --at TIME … chooses them.")
    return [page.paragraph(note, "note"), page.choice("weather", drawn)]


def chosen(cycles: Sequence[Scores], at: Sequence[datetime], columns: int) -> list[Scores]:
    """The cycles at the times `at` and the last one, or some evenly spaced ones for a grid of so many `columns`."""
    if at:
        return [cycle for cycle in cycles if cycle.time in at or cycle is cycles[-1]]
    count = min(len(cycles), max(2, min(MOST_TIMES, MOST_TIMES * OF_COLUMNS // columns)))
    spaced = np.linspace(0, len(cycles) - 1, count).round().astype(int)
    return [cycles[n] for n in np.unique(spaced)]


def _charts(material: Material, time: datetime) -> list[str]:
    here, space = material.settings.experiment.folder.at(time), material.space
    analysis, spread = (Chart.read(here.analysis, what, space, time) for what in ("mean", "spread"))
    background = Chart.read(here.background, "mean", space, time)
    if analysis is None:
        return []
    found = [_height(analysis), _low_level(analysis)]
    if background is not None and analysis.has("geopotential_500"):
        found.append(_map(analysis, "analysis minus background, height of 500 hPa (m)",
                          analysis.height("500") - background.height("500"), diverging=True))
    if spread is not None and spread.has("geopotential_500"):
        found.append(_map(spread, "spread of the analysis, height of 500 hPa (m)", spread.height("500")))
    return [each for each in found if each]


def _height(analysis: Chart) -> str:
    """Height of 500 hPa in colours, sea-level pressure in lines."""
    if not analysis.has("geopotential_500"):
        return ""
    pressure, grid = analysis.sea_level_pressure(), analysis.space.grid

    def lines(axis: Axes) -> None:
        if pressure is not None:
            closed, lon = charts.closed_at_date_line(grid, pressure)
            axis.contour(lon, grid.lat, closed, levels=np.arange(900, 1100, 8), colors="#ffffff", linewidths=0.7)

    title = "height of 500 hPa (dam)" + ("" if pressure is None else ", sea-level pressure every 8 hPa")
    told = ("" if pressure is None else
            f"; sea-level pressure from {number(pressure.min())} to {number(pressure.max())} hPa")
    return _map(analysis, title, analysis.height("500") / DECAMETRE, over=lines, told=told)


def _low_level(analysis: Chart) -> str:
    """Temperature at 850 hPa in colours, wind in arrows."""
    names = ("temperature_850", "u_component_of_wind_850", "v_component_of_wind_850")
    if not analysis.has(*names):
        return ""
    T, u, v = (analysis.fields[name] for name in names)
    grid = analysis.space.grid

    def arrows(axis: Axes) -> None:
        step = -(-grid.lon.size // ARROWS)
        (eastward, lon), (northward, _) = charts.closed_at_date_line(grid, u), charts.closed_at_date_line(grid, v)
        inner = slice(step // 2, None, step)
        axis.quiver(lon[:-1][inner], grid.lat[inner], eastward[inner, :-1][:, inner], northward[inner, :-1][:, inner],
                    color="#ffffff", scale=350, width=0.003)

    fastest = number(float(np.hypot(u, v).max()))
    return _map(analysis, "temperature at 850 hPa (°C) and wind", T - ZERO_CELSIUS, over=arrows,
                told=f"; wind up to {fastest} m s-1")


def _map(of: Chart, title: str, values: np.ndarray, diverging: bool = False,
         over: Callable[[Axes], None] | None = None, told: str = "") -> str:
    grid = of.space.grid
    mean = float((values * grid.area_weights).mean())
    said = (f"map of {title}, {of.time:%Y-%m-%d %H} UTC: area mean {number(mean)}, from {number(values.min())} to "
            f"{number(values.max())}{told}")
    return page.figure(charts.field(title, said, grid, values, diverging, over=over))
