"""`python -m verify` on the files of a made experiment."""

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import netCDF4
import numpy as np
import pytest

from contracts import config, errors, estimated_errors, state, times
from contracts.variables import Flag, Quantity
from tests import builders
from tests.verify.case import MEMBERS, TIMES, departures, experiment, run
from verify import __main__ as verify
from verify import groups, score_file, scores, summary
from verify.config import Settings
from verify.summary import number


@pytest.mark.parametrize("memory_gib", [1.0, 1e-9])
def test_scores_of_files_are_those_of_their_arrays(tmp_path, monkeypatch, memory_gib):
    path = experiment(tmp_path, monkeypatch)
    path.write_text(path.read_text() + f"memory_gib = {memory_gib}\n")
    settings = run(path)
    space, here = settings.state.space(settings.grid.grid()), settings.experiment.folder.at(TIMES[1])
    found = score_file.read(here.scores)
    weights = scores.region_weights(space.grid, settings.verify.regions)
    truth = state.read(settings.truth(TIMES[1]), space).data
    X = np.stack([state.read(p, space).data for p in here.analysis.members(MEMBERS)])
    for name, expected in scores.ensemble_scores(X, truth, weights).items():
        np.testing.assert_allclose(found.against_truth[f"analysis_{name}"], expected, rtol=1e-12)
    free = settings.experiment.folder.free(TIMES[1])
    mean, spread = (state.read(p, space).data.astype(float) for p in (free.mean, free.spread))
    np.testing.assert_allclose(found.against_truth["free_rmse"][0],
                               np.sqrt(scores.regional_mean((mean - truth) ** 2, weights)[0]), rtol=1e-12)
    np.testing.assert_allclose(found.against_truth["free_spread"][0],
                               np.sqrt(scores.regional_mean(spread**2, weights)[0]), rtol=1e-12)
    assert np.isnan(found.against_truth["free_crps"]).all()


def test_one_process_scores_each_time_when_its_analysis_is_there(tmp_path, monkeypatch):
    path = experiment(tmp_path, monkeypatch)
    settings = run(path)
    first, last = (settings.experiment.folder.at(time) for time in TIMES)
    expected, stamp = score_file.read(last.scores), first.scores.stat().st_mtime_ns
    last.scores.unlink()
    last.departures.rename(tmp_path / "later.nc")
    process = subprocess.Popen([sys.executable, "-m", "verify", "scores", str(path), "--follow"],
                               stderr=subprocess.PIPE, text=True)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(2)  # the analysis is not there
    (tmp_path / "later.nc").rename(last.departures)
    assert process.wait(60) == 0, process.stderr.read()
    found = score_file.read(last.scores)
    for name, numbers in expected.against_truth.items():
        np.testing.assert_array_equal(found.against_truth[name], numbers)
    assert first.scores.stat().st_mtime_ns == stamp


def test_follow_stands_instead_of_a_time_and_for_scores_only(tmp_path, monkeypatch, capsys):
    path = str(experiment(tmp_path, monkeypatch))
    for arguments in (["summary", path, "--follow"], ["scores", path, times.name(TIMES[0]), "--follow"]):
        with pytest.raises(SystemExit):
            verify.main(arguments)
        assert "--follow belongs to scores" in capsys.readouterr().err


def test_written_scores_are_read_back(tmp_path, monkeypatch):
    settings = run(experiment(tmp_path, monkeypatch))
    path = settings.experiment.folder.at(TIMES[0]).scores
    once = score_file.read(path)
    score_file.write(tmp_path / "again.nc", once)
    again = score_file.read(tmp_path / "again.nc")
    assert (once.time, once.members, once.reference, once.regions, once.channels, once.counts) == (
        again.time, again.members, again.reference, again.regions, again.channels, again.counts)
    assert once.time == TIMES[0]
    assert sum(once.counts.values()) == 400
    for name in once.against_truth:
        np.testing.assert_array_equal(once.against_truth[name], again.against_truth[name])
    for column in fields(once.fit):
        np.testing.assert_array_equal(getattr(once.fit, column.name), getattr(again.fit, column.name))


def test_without_a_truth_there_are_observation_statistics_only(tmp_path, monkeypatch):
    settings = run(experiment(tmp_path, monkeypatch, with_truth=False))
    found = score_file.read(settings.experiment.folder.at(TIMES[0]).scores)
    assert not found.against_truth
    assert len(found.fit) > 0
    text = summary.text([found], settings.verify.headline)
    assert "Against the truth" not in text
    withheld, assimilated = (text.index(f"Fit to observations, {fate}") for fate in ("withheld", "assimilated"))
    assert withheld < assimilated
    assert max(map(len, text.splitlines())) <= 120
    pressure = found.fit.select(Flag.withheld, Quantity.surface_pressure).total()["omb_rms"]
    row = next(line for line in text[withheld:].splitlines() if line.startswith("surface_pressure"))
    assert row.split()[1:3] == ["hPa", number(pressure / 100)]


def test_the_summary_prints_the_numbers_of_the_files(tmp_path, monkeypatch, capsys):
    path = experiment(tmp_path, monkeypatch)
    settings = run(path)
    verify.main(["summary", str(path)])
    printed = capsys.readouterr().out
    last = score_file.read(settings.experiment.folder.at(TIMES[1]).scores)
    row = next(line for line in printed.splitlines() if line.startswith("temperature_500"))
    shown = [float(cell) for cell in row.split()[2:]]
    k = np.sqrt((MEMBERS + 1) / MEMBERS)
    expected = [last.score(f"{e}_rmse", "temperature_500") for e in ("background", "analysis", "free")]
    spread = [last.score(f"{e}_spread", "temperature_500") for e in ("background", "analysis")]
    expected += spread + [k * s / r for s, r in zip(spread, expected[:2], strict=True)]
    assert shown[:7] == pytest.approx(expected, rel=5e-3)
    counts = next(line for line in printed.splitlines() if line.startswith(times.name(TIMES[0])))
    assert counts.split()[-1] == "400"
    assert str(last.counts[Flag.bad_mark]) in printed


@pytest.mark.parametrize("with_truth", [True, False])
def test_both_figures_are_drawn(tmp_path, monkeypatch, capsys, with_truth):
    path = experiment(tmp_path, monkeypatch, with_truth)
    run(path)
    verify.main(["figures", str(path)])
    drawn = [Path(line) for line in capsys.readouterr().out.split()]
    assert [p.name for p in drawn] == ["series.png", "increment.png"]
    for p in drawn:
        assert p.read_bytes().startswith(b"\x89PNG")
        assert p.stat().st_size > 10_000


def test_consistency_of_all_times_is_printed_and_written(tmp_path, monkeypatch, capsys):
    path = experiment(tmp_path, monkeypatch)
    verify.main(["consistency", str(path)])
    printed = capsys.readouterr().out
    assert "Errors by quantity and layer" in printed and "Spread and skill" in printed
    with netCDF4.Dataset(printed.splitlines()[-1]) as dataset:
        compared = sum(np.isin(departures(n).flag, groups.COMPARED).sum() for n in range(len(TIMES)))
        assert dataset["count"][:].sum() == compared
    assert estimated_errors.read(Path(printed.splitlines()[-1]).with_name("estimated.toml")).otherwise == "cdas"


def test_a_missing_truth_is_named(tmp_path, monkeypatch):
    path = experiment(tmp_path, monkeypatch)
    missing = config.load(path, Settings).truth(TIMES[0])
    missing.unlink()
    with pytest.raises(errors.ContractError, match=f"{missing}: no such file"):
        verify.main(["scores", str(path), times.name(TIMES[0])])


def test_a_channel_that_is_not_there_is_named(tmp_path, monkeypatch):
    """The usual one; another name is looked at with the settings."""
    path = experiment(tmp_path, monkeypatch)
    run(path)
    path.write_text(path.read_text().replace("levels_hpa = [500, ", "levels_hpa = ["))
    with pytest.raises(errors.UserError, match="map_channel: the state has no channel 'temperature_500'"):
        verify.main(["figures", str(path)])


def test_no_scores_yet_is_said(tmp_path, monkeypatch):
    with pytest.raises(errors.UserError, match="no time has scores yet"):
        verify.main(["summary", str(experiment(tmp_path, monkeypatch))])


@pytest.mark.parametrize("setting", ["regions = {nowhere = [20, 10]}", "layers_hpa = [0, 1000]", "truht = 'x'"])
def test_wrong_settings_are_refused(tmp_path, monkeypatch, setting):
    path = experiment(tmp_path, monkeypatch, with_truth=False)
    path.write_text(path.read_text().replace('truth = ""', setting))
    with pytest.raises(errors.UserError, match="verify"):
        config.load(path, Settings)


@pytest.mark.parametrize("setting", ['headline = ["temprature_500"]', 'map_channel = "temprature_500"'])
def test_a_channel_that_no_state_has_is_named_with_the_nearest(setting):
    text = builders.experiment() + f"[verify]\n{setting}\n"
    words = r"\[verify\] .*unknown channel 'temprature_500'; .*mean 'temperature_500'"
    with pytest.raises(errors.UserError, match=words):
        config.decode(text, Settings, "e.toml")
