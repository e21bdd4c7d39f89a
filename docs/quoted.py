"""Numbers of a page come from files of the repository: what a page says of a result is looked up, not typed.

    {{0.143 in run/experiments/claims/RESULTS.md}}                  that file must hold these characters
    {{january_february_1992: LETKF 600 km, temperature_500}}        of run/leagues/NAME.csv: the score, globe, analysis
    {{january_february_1992: LETKF 600 km, temperature_500, near stations}}
    {{january_february_1992: 800 km, noise with memory, all fields, percent}}
    {{january_february_1992: 800 km, noise with memory, all fields, 120 h, percent}}      forecasts of one model

`percent` tells the difference to the league's control with its interval, `spread_error` the ratio of the two, `place`
the place.  A contestant's title may have commas: the field is the first word that names one.  What is not found is a
ValueError that names the page's words, so that no page can outlive its numbers.
"""

import csv
import re
from functools import lru_cache
from pathlib import Path

from verify import shown
from verify.league.standing import Difference
from verify.ranking import Place
from verify.summary import number

CHECKOUT = Path(__file__).resolve().parents[1]
LEAGUES = CHECKOUT / "run" / "leagues"
_QUOTED = re.compile(r"\{\{([^{}]+)\}\}")

Row = dict[str, str]


def filled(text: str) -> str:
    """`text` with every quotation replaced by its number."""
    return _QUOTED.sub(lambda found: quotation(" ".join(found[1].split())), text)


def quotation(words: str) -> str:
    """What one quotation says; raises ValueError where no file says it."""
    if " in " in words and ":" not in words.partition(" in ")[0]:
        value, _, name = words.partition(" in ")
        path = CHECKOUT / name
        if not path.is_file() or not re.search(rf"(?<![\d.]){re.escape(value)}(?!\.?\d)", path.read_text("utf-8")):
            raise ValueError(f"{{{{{words}}}}}: {name} does not say {value}; quote what it says now")
        return value
    name, _, asked = words.partition(": ")
    return _of_league(words, name, asked.split(", "))


def _of_league(words: str, league: str, asked: list[str]) -> str:
    rows = table(league)
    fields = {row["field"] for row in rows}
    at = next((i for i, word in enumerate(asked) if word in fields), len(asked) - 1)
    title, field, more = ", ".join(asked[:at]), asked[at], asked[at + 1:]
    what = more.pop() if more and more[-1] in TOLD else "value"
    where = more[0] if more else "globe"
    score = "analysis_spread_error" if what == "spread_error" else "analysis_rmse"
    if lead := re.fullmatch(r"(\d+) h", where):
        where, score = "globe", f"forecast_{int(lead[1]):03d}h_rmse"
    found = [row for row in rows if (row["contestant"], row["field"], row["where"], row["score"])
             == (title, field, where, score)]
    if len(found) != 1 or not (told := TOLD[what](found[0])):
        raise ValueError(f"{{{{{words}}}}}: run/leagues/{league}.csv has no such number; make it anew (run/league.sh "
                         "--page) or quote what it has")
    return told


@lru_cache
def table(league: str) -> list[Row]:
    """The rows of run/leagues/LEAGUE.csv (`verify.league.records`); raises ValueError where there is none."""
    path = LEAGUES / f"{league}.csv"
    if not path.exists():
        raise ValueError(f"{path.relative_to(CHECKOUT)}: there is no such table; copy league.csv of that league there")
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _value(row: Row) -> str:
    """Three digits, in the units that the report shows."""
    return number(shown.factor(row["field"]) * float(row["value"]))


def _percent(row: Row) -> str:
    if not row["percent"]:
        return ""
    mean, low, high = (float(row[name]) for name in ("percent", "low", "high"))
    return str(Difference(mean, low, high, int(row["blocks"])))


def _place(row: Row) -> str:
    return str(Place(int(row["first"]), int(row["last"]), ())) if row["first"] else ""


TOLD = {"value": _value, "percent": _percent, "spread_error": lambda row: f"{float(row['value']):.2f}", "place": _place}
