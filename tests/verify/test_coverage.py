"""Counts before and after thinning, and their map."""

from datetime import timedelta

import matplotlib.image
import numpy as np
import pytest

from contracts import observations as contract
from contracts.errors import UserError
from contracts.observations import Source
from contracts.variables import Flag
from tests import builders
from tests.verify.case import experiment
from verify import __main__ as verify
from verify import coverage

TIME = builders.TIME
WINDOW = (TIME - timedelta(hours=3), TIME + timedelta(hours=3))
TABLE = builders.observations(
    np.zeros(7), quantity=[3, 3, 3, 3, 1, 2, 3], lon=np.arange(7) * 30.0, count=[1, 1, 1, 1, 1, 1, 2],
    flag=[Flag.passed, Flag.superobbed, Flag.superobbed, Flag.bad_mark, Flag.thinned, Flag.thinned, Flag.passed])


def test_counts_before_and_after():
    """A mean is not one of the file's rows; a rejected row is in neither column."""
    assert [line.split() for line in coverage.counts(TABLE).splitlines()] == [
        ["message", "type", "quantity", "before", "after"],
        ["ADPUPA", "120", "u_component_of_wind", "1", "0"],
        ["ADPUPA", "120", "v_component_of_wind", "1", "0"],
        ["ADPUPA", "120", "temperature", "3", "2"],
        ["all", "5", "2"]]


def colours_in(path):
    """Hexadecimal colours of the picture's pixels."""
    pixels = np.unique((matplotlib.image.imread(path)[..., :3] * 255).round().astype(int).reshape(-1, 3), axis=0)
    return {f"#{r:02X}{g:02X}{b:02X}" for r, g, b in pixels}


@pytest.mark.parametrize(("flags", "drawn"), [
    ([Flag.passed, Flag.thinned], {"kept", "dropped"}), ([Flag.passed, Flag.bad_mark], {"kept"}),
    ([Flag.passed, Flag.withheld], {"kept", "withheld"})])
def test_the_map_shows_what_became_of_each_place(tmp_path, flags, drawn, monkeypatch):
    """Dots as large as a pixel needs, no legend: a colour is in the picture only where a place has that fate."""
    monkeypatch.setattr(coverage, "SIZES", dict.fromkeys(coverage.SIZES, 60.0))
    monkeypatch.setattr("matplotlib.figure.Figure.legend", lambda *args, **named: None)
    table = builders.observations(np.zeros(2), lon=[60.0, 240.0], flag=flags)
    coverage.draw(tmp_path / "map.png", table, builders.flat_static(builders.space().grid), "made")
    assert colours_in(tmp_path / "map.png") & set(coverage.COLOURS.values()) == {
        coverage.COLOURS[name] for name in drawn}


def test_the_command_prints_counts_and_the_path_of_the_map(tmp_path, monkeypatch, capsys):
    path = experiment(tmp_path, monkeypatch)
    folder = tmp_path / "made"
    contract.write(folder / TIME.strftime("%Y%m%d%H") / "observations.nc", TABLE, Source(TIME, WINDOW))
    verify.main(["observations", str(path), TIME.strftime("%Y%m%d%H")])
    printed = capsys.readouterr().out
    assert coverage.counts(TABLE) in printed
    png = folder / "figures" / TIME.strftime("observations_%Y%m%d%H.png")
    assert str(png) in printed and png.stat().st_size > 10_000


def test_without_a_candidate_there_is_no_map(tmp_path, monkeypatch):
    path = experiment(tmp_path, monkeypatch)
    name = TIME.strftime("%Y%m%d%H")
    contract.write(tmp_path / "made" / name / "observations.nc",
                   builders.observations(np.zeros(2), flag=Flag.bad_mark), Source(TIME, WINDOW))
    with pytest.raises(UserError, match="no observation is fit for assimilation"):
        verify.main(["observations", str(path), name])
