"""Sections of the page of a league against the truth: by field, region, and distance to the stations."""

from collections.abc import Iterable
from itertools import chain

import numpy as np

from verify import page
from verify.blocks import ENSEMBLES
from verify.league import picture
from verify.league.result import Result
from verify.league.standing import compared, difference, error, of_error, places
from verify.league.table import NONE, Table, marked, mean
from verify.report.material import plain
from verify.score_file import units


def fields(table: Table) -> list[str]:
    """Analysis and background of each field: RMSE, CRPS, spread/error, bias, place; and a picture."""
    header = ["", "contestant", "analysis\nRMSE", "\n% of control", "\nCRPS", "spread\n/ error", "\nbias",
              "background\nRMSE", "\n% of control", "\nCRPS", "spread\n/ error", "\nbias", "place"]
    parts, pictures = [], []
    for channel in table.channels:
        score = error("analysis_rmse", channel)
        found = places(table.results, score)
        rows = [[*table.row(each), *chain(*(_scores(table, each, which, channel) for which in reversed(ENSEMBLES))),
                 str(found.get(each.title, NONE))] for each in table.begun]
        parts.append(_heading(channel) + page.table(header, rows, 2))
        if differences := compared(table.begun, table.control, score):
            pictures.append(picture.differences(plain(channel), table.control.title, differences))
    said = ("Background: the forecast of one cycle. Spread / error is 1 for a reliable ensemble of any size; the CRPS "
            "is the fair one. The place is that of the analysis RMSE of this field alone.")
    return [page.paragraph(said, "note"), page.figures(pictures), *parts]


def _scores(table: Table, result: Result, which: str, channel: str) -> Iterable[str]:
    score = error(f"{which}_rmse", channel)
    yield mean(result.score(f"{which}_rmse", channel))
    yield table.percent(result, score(table.control), score(result))
    yield mean(result.score(f"{which}_crps", channel))
    yield mean(result.ratio(which, channel))
    yield mean(result.score(f"{which}_bias", channel))


def _heading(channel: str) -> str:
    return f"<h3>{plain(channel)}, {units(channel)}</h3>"


def regions(table: Table) -> list[str]:
    """Analysis RMSE by region; empty where there is but one."""
    names = table.control.cycles[0].regions
    if len(names) < 2:
        return []
    header = ["", "contestant", *chain(*([f"{plain(name)}\nRMSE", "\n% of control"] for name in names))]
    parts = [page.paragraph("Analysis RMSE, and per cent of the control.", "note")]
    for channel in table.channels:
        rows = [[*table.row(each), *chain(*(_in(table, each, name, channel) for name in names))]
                for each in table.begun]
        parts.append(_heading(channel) + page.table(header, rows, 2))
    return parts


def _in(table: Table, result: Result, region: str, channel: str) -> list[str]:
    score = error("analysis_rmse", channel, region)
    return [mean(result.score("analysis_rmse", channel, region)),
            table.percent(result, score(table.control), score(result))]


def stations(table: Table) -> list[str]:
    """Where stations are near, and where none is; empty without fields of the control."""
    control, league = table.control.fields, table.league
    if control is None:
        return []
    header = ["", "contestant",
              *chain(*([f"{place}\nbackground", "\nanalysis", "\n% of control"] for place in control.places))]
    parts = [page.paragraph(f"Near: within {league.near_km:g} km of a station; voids: more than {league.void_km:g} km "
                            f"from any. RMSE of background and analysis, every {league.sample_hours} hours, and per "
                            "cent by which the analysis differs from the control's.", "note")]
    for channel in table.channels:
        rows = [[*table.row(each), *chain(*(_at(table, each, place, channel) for place in control.places))]
                for each in table.begun if each.fields is not None and channel in each.fields.channels]
        parts.append(_heading(channel) + page.table(header, rows, 2))
    return parts


def _at(table: Table, result: Result, place: str, channel: str) -> list[str]:
    background, analysis = (result.error_at(which, place, channel) for which in ENSEMBLES)
    control = table.control.error_at("analysis", place, channel)
    return [mean(background), mean(analysis), table.percent(result, np.log(control), np.log(analysis))]


def gains(table: Table) -> list[str]:
    """Analysis against background, by the same paired blocks."""
    def cell(result: Result, channel: str) -> str:
        after, before = (of_error(result, f"{which}_rmse", channel) for which in reversed(ENSEMBLES))
        found = difference(after, before)
        return marked(found) if found else NONE

    rows = [[*table.row(each), *(cell(each, channel) for channel in table.channels)] for each in table.begun]
    return [page.paragraph("RMSE of the analysis against that of its own background, per cent: below zero the "
                           "observations helped, also where nothing observes the field.", "note"),
            page.table(["", "contestant", *map(plain, table.channels)], rows, 2)] if rows else []
