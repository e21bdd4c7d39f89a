"""The status says what the files say, also after a kill."""

import fcntl
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from msgspec import structs
from prometheus_client import parser as prometheus_text
from prometheus_client.openmetrics import parser as openmetrics

from contracts import clock, observations, times
from contracts.observations import Delivery
from contracts.variables import Flag, Quantity
from tests.verify import watched
from tests.verify.case import MEMBERS, TIMES
from verify import __main__ as verify
from verify import prometheus, score_file, status, watch

FIRST, LAST = map(times.name, TIMES)


@pytest.fixture
def settings(tmp_path, monkeypatch):
    return watched.finished(tmp_path, monkeypatch)[1]


def stamp(settings, **moments: float) -> None:
    """Set when each product of the last cycle, and the lock, was written."""
    here = settings.experiment.folder.at(TIMES[1])
    following = settings.experiment.folder.at(TIMES[1] + settings.experiment.step).background
    files = {"lock": [settings.experiment.folder.folder / ".lock"], "observations": [here.observations],
             "background": [here.background.mean, here.background.spread], "analysis": [here.departures],
             "forecast": [following.mean, following.spread], "verify": [here.scores]}
    for name, moment in moments.items():
        for path in files[name]:
            path.touch()
            os.utime(path, (moment, moment))


def states(cycle) -> list[str]:
    return [stage.state for stage in cycle.stages.values()]


def test_a_finished_experiment_is_complete_and_has_the_numbers_of_its_files(settings):
    now = status.of(settings)
    assert (now.state, now.finished, now.planned, now.reason) == ("complete", 2, 2, "")
    assert [cycle.time for cycle in now.cycles] == [FIRST, LAST]
    assert states(now.cycles[1]) == ["done"] * 4
    scores = score_file.read(settings.experiment.folder.at(TIMES[1]).scores)
    assert now.cycles[1].counts == {flag.name: number for flag, number in scores.counts.items()}
    for quantity, found in now.cycles[1].departures.items():
        of_it = Quantity[quantity]
        total = scores.fit.select(Flag.assimilated, of_it).total()
        assert (found.count, found.omb_rms, found.background_spread) == (
            total["count"], total["omb_rms"], total["background_spread"])


def test_seconds_count_from_when_what_a_stage_needs_was_there(settings):
    stamp(settings, lock=1e9, background=1e9 + 20, observations=1e9 + 10, analysis=1e9 + 21.5, forecast=1e9 + 24,
          verify=1e9 + 22)
    stages = status.of(settings).cycles[1].stages
    assert [stages[name].seconds for name in ("analysis", "forecast", "verify")] == [1.5, 2.5, 0.5]
    stamp(settings, lock=1e9 + 23)  # stopped after the analysis, and begun again
    assert status.of(settings).cycles[1].stages["forecast"].seconds == 1.0


def test_after_a_kill_what_is_missing_waits_and_nothing_is_at_work(settings):
    here = settings.experiment.folder.at(TIMES[1])
    here.scores.unlink()
    here.departures.unlink()
    now = status.of(settings)
    assert (now.state, now.finished, now.now) == ("stopped", 1, LAST)
    assert states(now.cycles[1]) == ["done", "waiting", "done", "waiting"]
    assert "run/cycle.sh" in now.reason


@pytest.mark.parametrize("lost", ["observations", "departures", "scores"])
@pytest.mark.parametrize("time", TIMES)
def test_an_experiment_that_lost_a_file_is_not_complete(settings, lost, time):
    getattr(settings.experiment.folder.at(time), lost).unlink()
    now = status.of(settings)
    assert (now.state, now.now) == ("stopped", times.name(time))


def test_an_experiment_that_lost_a_member_is_not_complete(settings):
    settings.experiment.folder.at(TIMES[0]).analysis.member(MEMBERS).unlink()
    assert status.of(settings).state == "stopped"


def test_the_last_words_of_the_driver_are_told_where_no_stage_had_any(settings):
    settings.experiment.folder.at(TIMES[1]).scores.unlink()
    words = settings.experiment.folder.folder / "log" / "cycle.out"
    words.parent.mkdir(exist_ok=True)
    words.write_text("2026-01-01T00:00:00Z cycle.sh ERROR the disk has no room\n")
    now = status.of(settings)
    assert (now.state, now.reason) == ("STALLED", "run/cycle.sh: the disk has no room")


def test_cycles_that_only_have_observations_are_not_in_hand_yet(settings):
    for name in ("scores", "departures"):
        for time in TIMES:
            getattr(settings.experiment.folder.at(time), name).unlink()
    now = status.of(settings)
    assert [cycle.time for cycle in now.cycles] == [now.now] == [FIRST]


def test_an_analysis_without_one_of_its_members_is_not_done(settings):
    here = settings.experiment.folder.at(TIMES[1])
    here.scores.unlink()
    here.analysis.member(MEMBERS).unlink()
    assert status.of(settings).cycles[1].stages["analysis"].state == "waiting"
    here.analysis.tidied.touch()  # members that were there and are no longer kept
    assert status.of(settings).cycles[1].stages["analysis"].state == "done"


def test_a_lock_that_is_held_means_running_and_silence_means_stalled(settings):
    here = settings.experiment.folder.at(TIMES[1])
    here.scores.unlink()
    with (settings.experiment.folder.folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        now = status.of(settings)
        assert (now.state, now.reason) == ("running", "")
        assert states(now.cycles[1])[-1] == "running"
        long_ago = (datetime.now(UTC) - timedelta(hours=2)).timestamp()
        for path in settings.experiment.folder.folder.rglob("*"):
            os.utime(path, (long_ago, long_ago))
        now = status.of(settings)
        assert (now.state, now.reason) == ("STALLED", "no file appeared for 120 minutes")


def test_a_stage_whose_last_words_are_an_error_has_stalled_the_experiment(settings):
    here = settings.experiment.folder.at(TIMES[1])
    scores = here.scores.rename(here.folder / "later.nc")
    words = here.log("verify").with_suffix(".out")
    words.parent.mkdir(exist_ok=True)
    words.write_text("2026-01-01T00:00:00Z verify INFO all is well\n"
                     "2026-01-01T00:00:01Z verify ERROR truth.nc: no such file\n")
    now = status.of(settings)
    assert (now.state, now.reason) == ("STALLED", "verify: truth.nc: no such file")
    assert now.cycles[1].stages["verify"].state == "failed"
    scores.rename(here.scores)
    stamp(settings, verify=words.stat().st_mtime + 1)  # a second try went well
    assert (status.of(settings).state, status.of(settings).reason) == ("complete", "")


def test_the_files_of_a_cycle_are_told_and_in_real_time_what_it_made_of_them(settings):
    assert [(cycle.files, cycle.made) for cycle in status.of(settings).cycles] == [({}, None)] * 2
    assert "files" not in watch.text(status.of(settings))
    here, made = settings.experiment.folder.at(TIMES[1]), TIMES[1] + timedelta(hours=2.5)
    deliveries = (Delivery("a.csv", "read"), Delivery("b.csv", "missing"), Delivery("c 1.csv", "read"))
    table, source = observations.read(here.observations)
    observations.write(here.observations, table, replace(source, deliveries=deliveries, made=made))
    last = status.of(settings).cycles[1]
    assert (last.files, last.made) == ({"read": ["a.csv", "c 1.csv"], "missing": ["b.csv"]}, made)
    rows, used = sum(last.counts.values()), last.counts["assimilated"]
    told = watch.text(status.of(settings))
    assert re.search(rf"{LAST} +2\.50 +{rows} +{used} .* done +read a.csv, c 1.csv; missing b.csv$", told, re.M), told
    assert 'letkf_observation_files{experiment="made",fate="missing"} 1' in prometheus.text(status.of(settings))
    here.observations.write_bytes(b"damaged")
    assert status.of(settings).cycles[1].files == {}


def test_silence_in_real_time_is_measured_by_the_clock_of_the_experiment(settings):
    """Ten minutes without a file: nothing where the next time is six hours away, much where these take six seconds."""
    experiment = structs.replace(settings.experiment, mode="realtime")
    verify = structs.replace(settings.verify, stalled_minutes=5)
    settings = structs.replace(settings, experiment=experiment, verify=verify)
    experiment.folder.at(TIMES[1]).scores.unlink()
    with (experiment.folder.folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ago = datetime.now(UTC).timestamp() - 600
        for path in experiment.folder.folder.rglob("*"):
            os.utime(path, (ago, ago))
        assert status.of(settings).state == "running"
        clock.of(experiment, 3600.0)
        assert status.of(settings).state == "STALLED"


def test_a_damaged_file_of_scores_is_a_warning(settings):
    scores = settings.experiment.folder.at(TIMES[1]).scores
    scores.write_bytes(scores.read_bytes()[:1000])
    last = status.of(settings).cycles[1]
    assert not last.counts and len(last.warnings) == 1 and "scores.nc" in last.warnings[0]


@pytest.mark.parametrize(("written", "error"), [
    ("Traceback (most recent call last):\n  File x\nZeroDivisionError: division by zero\n",
     "ZeroDivisionError: division by zero"),
    ("2026-01-01T00:00:00Z letkf_mpi.analysis ERROR b.nc: is damaged\n", "b.nc: is damaged"),
    ("2026-01-01T00:00:00Z obsproc WARNING Error marks are many\n", ""),
    ("2026-01-01T00:00:00Z verify ERROR of the run before\n# begun 2026-01-02T00:00:00Z\nall is well\n", ""),
])
def test_the_last_error_is_found(tmp_path, written, error):
    path = tmp_path / "x.out"
    path.write_text(written)
    assert status.last_error(path) == error


def test_warnings_of_the_logs_are_told_once(settings):
    here = settings.experiment.folder.at(TIMES[0])
    line = "2026-01-01T00:00:00Z obsproc WARNING two messages were damaged\n"
    here.log("obsproc").write_text(line + line + line.replace("WARNING", "INFO"))
    assert status.of(settings).cycles[0].warnings == ["obsproc: two messages were damaged"]


def test_before_anything_was_done_it_is_not_begun(tmp_path, monkeypatch):
    _, settings = watched.finished(tmp_path, monkeypatch)
    settings.experiment.folder.folder.rename(tmp_path / "elsewhere")
    assert (status.of(settings).state, status.of(settings).finished) == ("not begun", 0)


def test_both_files_are_written_and_the_metrics_can_be_parsed(tmp_path, monkeypatch, capsys):
    path, settings = watched.finished(tmp_path, monkeypatch)
    verify.main(["status", str(path)])
    assert "made: complete" in capsys.readouterr().out
    folder = settings.experiment.folder.folder
    told = json.loads((folder / "status.json").read_text())
    assert (told["contract"], told["state"], told["finished"]) == ("status/1", "complete", 2)
    text = (folder / "status.prom").read_text()
    for parser in (openmetrics, prometheus_text):
        families = {family.name: family for family in parser.text_string_to_metric_families(text)}
        assert {family.type for family in families.values()} == {"gauge"}
        assert all(family.documentation.endswith(".") for family in families.values())
        samples = [sample for family in families.values() for sample in family.samples]
        assert {sample.labels["experiment"] for sample in samples} == {"made"}
        assert [sample.value for sample in families["letkf_cycles_finished"].samples] == [2]
        assert [sample.value for sample in families["letkf_stalled"].samples] == [0]
        assert len(samples) == text.count("{")


def test_labels_of_metrics_come_back_from_the_parser():
    label = {"a": 'x"\\\n'}
    (family,) = openmetrics.text_string_to_metric_families(f"# TYPE m gauge\nm{prometheus._labels(label)} 1\n# EOF\n")
    assert family.samples[0].labels == label


def test_status_follows_until_all_is_complete(tmp_path, monkeypatch):
    path, settings = watched.finished(tmp_path, monkeypatch)
    last = settings.experiment.folder.at(TIMES[1]).scores
    last.rename(tmp_path / "later.nc")
    process = subprocess.Popen([sys.executable, "-m", "verify", "status", str(path), "--follow"],
                               stderr=subprocess.PIPE, text=True)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(3)
    (tmp_path / "later.nc").rename(last)
    assert process.wait(60) == 0, process.stderr.read()
    assert json.loads((settings.experiment.folder.folder / "status.json").read_text())["state"] == "complete"
