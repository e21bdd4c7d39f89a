"""Section of the report on the minimisations that made the members of the last analysis: J by iteration.

Where B and R are what departures are made of, J at the minimum is half a chi squared of as many degrees of freedom as
there are observations (Talagrand 1999, ECMWF Workshop on Diagnosis of Data Assimilation Systems, 17): 1/2 for each.  A
member that is analysed by itself has perturbations beside the errors, alike and independent, and so twice as much.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from contracts import members
from verify import charts, page
from verify.report.material import Material
from verify.summary import number

OF_MEAN, OF_MEMBER = 0.5, 1.0  # J for each observation that is expected at the minimum


def minimisation(material: Material) -> list[str]:
    """Table and chart; empty where members were not found by a minimisation, or are no longer kept."""
    found = _courses(material)
    if not found:
        return []
    one = len(found) > 1 and all(np.array_equal(each, found[0]) for each in found)
    of, expected = ("that of the mean", OF_MEAN) if one else (f"{len(found)} members, each by itself", OF_MEMBER)
    rows = [_row("J, before", [each[0] for each in found]), _row("J, at the end", [each[-1] for each in found]),
            _row("iterations", [each.size - 1 for each in found])]
    return [
        page.paragraph(f"The last analysis, {of}: the cost J for each observation. At the end {expected:g} is expected "
                       "where background and observations err as they are said to; above it they err more.", "note"),
        page.table(["", "least", "mean", "most"], rows),
        page.figures([_picture(found[:1] if one else found, of, expected)]),
    ]


def _courses(material: Material) -> list[np.ndarray]:
    """(iterations + 1,) of each member of the last analysis."""
    experiment, time = material.settings.experiment, material.last.time
    here = experiment.folder.at(time).analysis
    courses = members.courses(here, sorted(members.there(here, experiment.members)))
    return [one for one in courses if one is not None]


def _row(name: str, values: Sequence[float]) -> list[str]:
    return [name, *(f"{value:.3g}" for value in (np.min(values), np.mean(values), np.max(values)))]


def _picture(found: list[np.ndarray], of: str, expected: float) -> str:
    longest = max(each.size for each in found) - 1

    def draw(axis: Axes) -> None:
        axis.axhline(expected, color=charts.FREE, linestyle="--", linewidth=1)
        for each in found:
            axis.plot(each, color=charts.ANALYSIS, linewidth=0.8)
        axis.set_xlabel("iteration")
        ticks = range(0, longest + 1, -(-longest // 5) or 1)
        axis.set_xticks(ticks, map(str, ticks))
        axis.set_ylim(bottom=0)
        axis.set_position(charts.LABELLED)

    ends = [float(np.mean([each[end] for each in found])) for end in (0, -1)]
    return page.figure(charts.chart("J for each observation", f"J for each observation by iteration, {of}: from "
                                    f"{number(ends[0])} to {number(ends[1])}, expected {expected:g}", draw),
                       "dashed: what is expected at the minimum")
