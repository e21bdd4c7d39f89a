"""Without a truth contestants are held against what no analysis has seen."""

import re

import numpy as np
import pytest

from contracts import observations
from contracts.variables import Flag
from tests.verify.leagues import LEAGUE, fitted
from verify import __main__ as verify
from verify.league import config as league_config
from verify.league import observed
from verify.league.observed import Fits


def test_without_a_truth_contestants_are_held_against_what_no_analysis_has_seen(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WORK", str(tmp_path))
    for name, factor in (("control", 2.0), ("better", 1.0), ("slower", 1.0)):
        fitted(tmp_path, name, factor, times=1 if name == "slower" else 2)
    path = tmp_path / "short.toml"
    path.write_text(LEAGUE)
    verify.main(["league", str(path)])
    rows = [re.split(r" +\| ", line.strip("| ")) for line in capsys.readouterr().out.splitlines()[2:] if "|" in line]
    assert [row[:3] for row in rows] == [["the control", "-", "-"],
                                         ["better", "−50.0 (−50.0 to −50.0) *", "−50.0 (−50.0 to −50.0) *"]]
    for row in rows:
        for cell in row[3:]:
            before, after = map(float, cell.split(" → "))
            assert after == pytest.approx(before / 2, rel=0.02)
    page = (tmp_path / "short" / "league.html").read_text()
    assert "2 cycles" in page and "slower" in page and "Not finished" in page


def test_rows_count_that_all_contestants_have_withheld(tmp_path, monkeypatch):
    monkeypatch.setenv("WORK", str(tmp_path))
    for name in ("control", "better", "slower"):
        fitted(tmp_path, name, 1.0)
    (tmp_path / "short.toml").write_text(LEAGUE)
    _, contestants = league_config.load(tmp_path / "short.toml")
    fits, waiting = Fits.read(contestants)
    assert waiting == [] and len(fits.times) == 2
    time = fits.times[0]
    tables = [observations.read_departures(each.settings.experiment.folder.at(time).departures)[0]
              for each in contestants]
    held = np.all([table.flag == Flag.withheld for table in tables], axis=0)
    for quantity in fits.quantities():
        which = held & (tables[0].quantity == quantity)
        (sample,) = fits.of(quantity, time)
        assert sample.station.size == which.sum()
        expected = np.sqrt(np.mean((tables[1].value - tables[1].analysis_mean)[which] ** 2))
        assert observed.rms([sample], "oma")[1] == pytest.approx(expected)
