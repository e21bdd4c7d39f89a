"""What a page says of a result is what the files say, or the page is not built."""

import re
from pathlib import Path

import pytest

from docs import gather, pictures, quoted

LEAGUE = "january_february_1992"


def row(title: str, field: str, score: str = "analysis_rmse", where: str = "globe") -> quoted.Row:
    (found,) = [each for each in quoted.table(LEAGUE) if (each["contestant"], each["field"], each["score"],
                                                          each["where"]) == (title, field, score, where)]
    return found


def test_a_number_of_a_league_is_that_of_its_table():
    title = "800 km, noise with memory"  # with a comma in it
    assert float(quoted.quotation(f"{LEAGUE}: {title}, temperature_500")) == pytest.approx(
        float(row(title, "temperature_500")["value"]), rel=6e-3)
    assert float(quoted.quotation(f"{LEAGUE}: {title}, temperature_500, voids")) == pytest.approx(
        float(row(title, "temperature_500", where="voids")["value"]), rel=6e-3)
    assert float(quoted.quotation(f"{LEAGUE}: {title}, specific_humidity_700")) == pytest.approx(
        1000 * float(row(title, "specific_humidity_700")["value"]), rel=6e-3)
    mean, low, high = map(float, re.findall(r"[+-][\d.]+", quoted.quotation(
        f"{LEAGUE}: {title}, all fields, percent").replace("−", "-")))
    found = row(title, "all fields")
    told = tuple(float(found[name]) for name in ("percent", "low", "high"))
    assert (mean, low, high) == pytest.approx(told, abs=0.06)
    assert quoted.quotation(f"{LEAGUE}: {title}, all fields, place").split(" to ")[0] == found["first"]
    ratio = float(row(title, "temperature_500", "analysis_spread_error")["value"])
    told = quoted.quotation(f"{LEAGUE}: {title}, temperature_500, spread_error")
    assert float(told) == pytest.approx(ratio, abs=6e-3)


def test_a_lead_is_that_of_the_forecasts(monkeypatch):
    common = dict(contestant="a, b", field="all fields", where="globe", low="-9", high="-3", blocks="5", first="2")
    rows = [common | dict(last="3", score=score, value="1", percent=percent)
            for score, percent in (("analysis_rmse", "-4"), ("forecast_120h_rmse", "-6"))]
    monkeypatch.setattr(quoted, "table", lambda league: rows)
    assert quoted.quotation("x: a, b, all fields, 120 h, percent") == "−6.0 (−9.0 to −3.0)"
    assert quoted.quotation("x: a, b, all fields, 120 h, place") == "2 to 3"
    assert quoted.quotation("x: a, b, all fields, percent") == "−4.0 (−9.0 to −3.0)"
    with pytest.raises(ValueError, match="has no such number"):
        quoted.quotation("x: a, b, all fields, 72 h, percent")


def test_a_number_of_another_file_must_stand_there(tmp_path, monkeypatch):
    monkeypatch.setattr(quoted, "CHECKOUT", tmp_path)
    (tmp_path / "results.md").write_text("an error of 10.25 K and 3.5")
    assert quoted.filled("{{10.25 in\nresults.md}} or {{3.5 in results.md}}") == "10.25 or 3.5"
    for absent in ("0.25", "10.2", "3", "7"):  # parts of a number are none
        with pytest.raises(ValueError, match=f"results.md does not say {absent}"):
            quoted.filled(f"{{{{{absent} in results.md}}}}")
    with pytest.raises(ValueError, match="nowhere.md does not say 1"):
        quoted.filled("{{1 in nowhere.md}}")


@pytest.mark.parametrize("words", ["nobody, temperature_500", "LETKF 600 km, temperature_499",
                                   "LETKF 600 km, all fields, percent", "LETKF 600 km, temperature_500, nowhere"])
def test_what_a_league_does_not_say_is_refused(words):
    with pytest.raises(ValueError, match="has no such number"):
        quoted.quotation(f"{LEAGUE}: {words}")
    with pytest.raises(ValueError, match="there is no such table"):
        quoted.quotation(f"other: {words}")


def test_the_draft_types_no_decimal_of_its_own():
    text = (gather.PAGES / "paper.md").read_text(encoding="utf-8").partition("## Literature")[0]
    assert re.findall(r"\d+\.\d+", re.sub(r"\{\{[^{}]+\}\}|`[^`]*`", "", text)) == []
    assert len(re.findall(r"\{\{", text)) > 20


def test_the_figures_show_the_contestants_of_the_table(tmp_path: Path):
    pictures.draw(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["places.png", "reliability.png", "standings.png"]
    rows = quoted.table(LEAGUE)
    order = [each["contestant"] for each in rows if (each["field"], each["score"]) == ("all fields", "analysis_rmse")]
    chosen = pictures.chosen(rows, order, "temperature_500", "voids", "analysis_rmse")
    assert [each and each["contestant"] for each in chosen] == order
