"""Section of the page of a league on forecasts from the analyses: of one model for all, and of their own members."""

from itertools import chain

import numpy as np

from verify import page
from verify.league import picture
from verify.league.result import Result
from verify.league.standing import Score, compared, places
from verify.league.table import NONE, Table, mean
from verify.report.material import plain
from verify.score_file import units
from verify.summary import number


def section(table: Table) -> list[str]:
    """Empty where nobody has forecasts."""
    return [*_of_means(table), *_of_members(table)]


def _of_means(table: Table) -> list[str]:
    hours = table.hours
    if not hours:
        return []
    shown = [each for each in table.begun if each.deterministic and each.deterministic.count]
    scores: list[Score] = [table.overall, *(table.ahead(lead, table.channels) for lead in hours)]
    found = [places(table.results, score) for score in scores]
    header = ["", "contestant", "starts", *chain(*([f"{name}\n%", "\nplace"] for name in ("analysis", *_names(hours))))]
    rows = [[*table.row(each), str(each.deterministic.count if each.deterministic else 0),
             *chain(*([table.percent(each, score(table.control), score(each)), str(at.get(each.title, NONE))]
                      for score, at in zip(scores, found, strict=True)))] for each in shown]
    drawn = {name: compared(shown, table.control, score) for name, score in zip(_names(hours), scores[1:], strict=True)}
    return [
        page.paragraph(
            f"One model for all, {table.model}, without noise, from the mean of each contestant's analyses: what "
            "differs is the analysis alone, whatever its own model is. RMSE over the globe, all starts of a block of "
            f"{table.league.block_days} days together. All fields: per cent of {table.control.title}, paired by block, "
            "and the place.", "note"),
        page.table(header, rows, 2),
        page.figures([picture.differences(f"all fields, {name} ahead", table.control.title, differences)
                      for name, differences in drawn.items() if differences]),
        *chain(*(_field(table, shown, hours, channel) for channel in table.channels)),
    ]


def _field(table: Table, shown: list[Result], hours: tuple[int, ...], channel: str) -> list[str]:
    header = ["", "contestant", *chain(*([f"{name}\nRMSE", "\n% of control"] for name in _names(hours)))]
    scores = [table.ahead(lead, [channel]) for lead in hours]
    rows = [[*table.row(each), *chain(*(_told(table, each, score) for score in scores))] for each in shown]
    return [f"<h3>{plain(channel)}, {units(channel)}, forecast</h3>", page.table(header, rows, 2)]


def _told(table: Table, result: Result, score: Score) -> list[str]:
    mine = score(result)
    return [mean(np.exp(mine)), table.percent(result, score(table.control), mine)]


def _names(hours: tuple[int, ...]) -> list[str]:
    return [f"{lead} h" for lead in hours]


def _of_members(table: Table) -> list[str]:
    """Extended forecasts of contestants' own models and members, by lead."""
    hours = sorted({lead for each in table.results for lead in each.forecasts})
    header = ["", "contestant", "starts", *(f"{lead} h" for lead in hours)]
    parts = [page.paragraph("Members: RMSE over the globe of the mean of the forecasts that contestants made of their "
                            "own members.", "note")]
    for channel in table.channels:
        rows = [[*table.row(each), str(max(count for _, count in each.forecasts.values())),
                 *(_member(each, lead, channel) for lead in hours)] for each in table.results if each.forecasts]
        parts.append(f"<h3>{plain(channel)}, {units(channel)}, members</h3>" + page.table(header, rows, 2))
    return parts if hours else []


def _member(result: Result, lead: int, channel: str) -> str:
    names = [each.name for each in result.contestant.settings.state.channels()]
    return number(float(result.forecasts[lead][0][names.index(channel)])) if (
        lead in result.forecasts and channel in names) else NONE
