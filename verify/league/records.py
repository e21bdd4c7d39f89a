"""`league.csv`: the numbers of the page as one table, a row for each contestant, field, place and score.

What a text quotes of a league, it takes from here; the file is small enough to be kept beside the league file.
"""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from contracts import paths
from verify.blocks import ENSEMBLES
from verify.league.standing import Score, difference, error, places
from verify.league.table import Table
from verify.ranking import Place

COLUMNS = ("contestant", "field", "where", "score", "value", "percent", "low", "high", "blocks", "first", "last")
ALL = "all fields"
GLOBE = "globe"


def write(path: Path, table: Table) -> None:
    """All rows, when they are complete; units are those of the scores (SI), per cent are of the control."""
    with paths.atomic(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows(table))


def rows(table: Table) -> Iterator[list[str]]:
    """Of all that have blocks; a number that there is none of is empty."""
    yield from _errors(table, ALL, GLOBE, "analysis_rmse", table.overall, table.places)
    yield from _ahead(table, ALL, table.channels)
    for channel in table.channels:
        for which in reversed(ENSEMBLES):
            for score in ("rmse", "crps"):
                yield from _errors(table, channel, GLOBE, f"{which}_{score}", error(f"{which}_{score}", channel))
            for name, value in _others(which, channel).items():
                yield from _values(table, channel, name, value)
        yield from _ahead(table, channel, [channel])
        for region in table.control.cycles[0].regions[1:]:
            yield from _errors(table, channel, region, "analysis_rmse", error("analysis_rmse", channel, region))
        for place in table.control.fields.places if table.control.fields else ():
            yield from _errors(table, channel, place, "analysis_rmse", _at(place, channel))


def _others(which: str, channel: str) -> dict[str, Score]:
    """By name what is no error."""
    return {f"{which}_bias": lambda each: each.score(f"{which}_bias", channel),
            f"{which}_spread_error": lambda each: each.ratio(which, channel)}


def _at(place: str, channel: str) -> Score:
    return lambda each: np.log(each.error_at("analysis", place, channel))


def _ahead(table: Table, field: str, channels: Sequence[str]) -> Iterator[list[str]]:
    """Errors of the deterministic forecasts by lead."""
    for lead in table.hours:
        yield from _errors(table, field, GLOBE, f"forecast_{lead:03d}h_rmse", table.ahead(lead, channels))


def _errors(table: Table, field: str, where: str, name: str, logarithm: Score,
            placed: dict[str, Place] | None = None) -> Iterator[list[str]]:
    """With the difference to the control and the place among those that are through."""
    placed = placed if placed is not None else places(table.results, logarithm)
    control = logarithm(table.control)
    for each in table.begun:
        mine = logarithm(each)
        found = None if each is table.control else difference(mine, control)
        told = [found.mean, found.low, found.high] if found else [np.nan] * 3
        place = placed.get(each.title)
        yield [each.title, field, where, name, _number(np.exp(mine).mean() if mine.size else np.nan),
               *map(_number, told), str(len(each.blocks)),
               *((str(place.first), str(place.last)) if place else ("", ""))]


def _values(table: Table, channel: str, name: str, score: Score) -> Iterator[list[str]]:
    for each in table.begun:
        yield [each.title, channel, GLOBE, name, _number(score(each).mean()), "", "", "", str(len(each.blocks)), "", ""]


def _number(value: float) -> str:
    """Four digits: more than any interval here tells."""
    return f"{value:.4g}" if np.isfinite(value) else ""
