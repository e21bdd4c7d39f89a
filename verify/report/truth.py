"""Sections of the report against a truth: RMSE, spread and CRPS, and what the free ensemble lost."""

from pathlib import Path

import numpy as np

from contracts import texts
from contracts.errors import UserError
from contracts.nature import NatureFolder
from verify import charts, page, shown
from verify.report.material import Material, plain
from verify.scores import spread_error_ratio
from verify.summary import number

ENSEMBLES = {"background": charts.BACKGROUND, "analysis": charts.ANALYSIS}
SCORES = {"rmse": "-", "spread": "--", "crps": ":"}


def skill(material: Material) -> list[str]:
    """Table of the last half, then scores over time; empty without a truth."""
    found = material.cycles
    if not material.channels:
        return []
    half = len(found) - len(found) // 2
    header = ["channel", "units", "RMSE\nbackground", "\nanalysis", "spread\nbackground", "\nanalysis",
              "spread / error\nbackground", "\nanalysis", "CRPS\nbackground", "\nanalysis"]
    return [
        page.paragraph(f"{plain(found[-1].regions[0]).capitalize()}, mean of the last {half} cycles; the truth is "
                       f"{told(Path(material.last.reference).parent)}. Spread / error is 1 for a reliable ensemble of "
                       "any size; the CRPS is the fair one.", "note"),
        page.table(header, [_row(material, name) for name in material.channels], 2),
        page.key(background="background RMSE", background_dashed="spread", background_dotted="CRPS",
                 analysis="analysis RMSE", analysis_dashed="spread", analysis_dotted="CRPS"),
        page.figures([_scores(material, name) for name in material.channels]),
    ]


def told(folder: Path) -> str:
    """What the states of a `folder` are, as far as a nature run there says it."""
    try:
        note = texts.record(NatureFolder(folder).settings)
    except UserError:
        return f"the states of {folder.name}"
    if "packed" in note:
        return f"the states of {note['packed']}, a packed nature run, in {folder.name}"
    options = {**note.get("options", {}), **note.get("parameters", {})}
    with_them = f" ({', '.join(f'{name} = {value}' for name, value in options.items())})" if options else ""
    return f"a run of {note.get('model', 'a model without a name')}{with_them}, in {folder.name}"


def _row(material: Material, name: str) -> list[str]:
    half = material.cycles[len(material.cycles) // 2 :]

    def mean(score: str) -> list[float]:
        return [float(np.mean([cycle.score(f"{which}_{score}", name) for cycle in half])) for which in ENSEMBLES]

    rmse, spread = mean("rmse"), mean("spread")
    ratio = [spread_error_ratio(s, r, material.last.members) for s, r in zip(spread, rmse, strict=True)]
    scale = shown.factor(name)
    return [plain(name), shown.units(name), *(number(scale * value) for value in [*rmse, *spread]), *map(number, ratio),
            *(number(scale * value) for value in mean("crps"))]


def _scores(material: Material, name: str) -> str:
    lines = {f"{which} {score}": (_series(material, f"{which}_{score}", name), colour, style)
             for which, colour in ENSEMBLES.items() for score, style in SCORES.items()}
    told = ", ".join(f"{label} {number(values[-1])}" for label, (values, _, _) in lines.items())
    return _over_time(material, name, f"at the last {told}", list(lines.values()))


def drift(material: Material) -> list[str]:
    """RMSE of the free ensemble's mean beside the background's; empty where none was run."""
    names = [name for name in material.channels if np.isfinite(material.last.score("free_rmse", name))]
    if not names:
        return []
    return [
        page.paragraph("The same first ensemble, forecast through all cycles without an observation: what the "
                       "analyses are worth is the distance between the lines.", "note"),
        page.key(free="free RMSE", free_dashed="free spread", background="background RMSE"),
        page.figures([_free(material, name) for name in names]),
    ]


def _free(material: Material, name: str) -> str:
    free, spread, cycled = (_series(material, score, name) for score in ("free_rmse", "free_spread", "background_rmse"))
    told = f"free RMSE from {number(free[0])} to {number(free[-1])}, background RMSE at the last {number(cycled[-1])}"
    lines = [(free, charts.FREE, "-"), (spread, charts.FREE, "--"), (cycled, charts.BACKGROUND, "-")]
    return _over_time(material, name, told, lines)


def _series(material: Material, score: str, name: str) -> list[float]:
    return [shown.factor(name) * cycle.score(score, name) for cycle in material.cycles]


def _over_time(material: Material, name: str, told: str, lines: list[tuple[list[float], str, str]]) -> str:
    title = f"{plain(name)} ({shown.units(name)})"
    return page.figure(charts.series(title, f"{title} over {len(material.cycles)} cycles: {told}",
                                     [cycle.time for cycle in material.cycles], lines))
