"""The corridor with real processes: it works, it survives being killed, it says what is wrong."""

import os
import random
import re
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from contracts import times
from tests.system import experiment
from tests.system.experiment import (
    CYCLES,
    MEMBERS,
    RANKS,
    SHOWN,
    TEXT,
    TIMES,
    Experiment,
    copy,
    data,
    kill,
    member,
    nothing_half_written,
    processes_of,
    resumes_to_the_same,
    told,
    truncate,
    until,
)
from verify import score_file


def test_it_runs_and_learns(finished):
    made, done = finished
    assert done.returncode == 0, done.stdout + done.stderr
    first, last = (score_file.read(made.folder / name / "scores.nc") for name in TIMES)
    for variable in ("temperature_500", "u_component_of_wind_500", "geopotential_500", "surface_pressure"):
        # Eight members span the truth and hundreds of observations see it: one analysis comes near, the next stays.
        for analysis in (first, last):
            assert analysis.score("analysis_rmse", variable) < first.score("background_rmse", variable) / 5
        assert last.score("analysis_spread", variable) < first.score("analysis_spread", variable)
    for step in ("observations", "analysis", "forecast", "verify"):
        assert sum(line.split()[1:2] == [step] for line in done.stdout.splitlines()) == CYCLES, done.stdout
    for name in ("series.png", "increment.png"):
        assert (made.folder / "figures" / name).exists()
        assert f"figures/{name}" in done.stdout
    assert "temperature_500" in done.stdout
    assert not list(made.folder.rglob("*.part"))
    assert told(made) == ("complete", "done", "")


def test_the_forecast_of_persistence_is_the_analysis(finished):
    files = data(finished[0].folder)
    for number in range(1, MEMBERS + 1):
        before, after = files[f"{TIMES[0]}/analysis/m{number:04d}.nc"], files[f"{TIMES[1]}/background/m{number:04d}.nc"]
        np.testing.assert_array_equal(before["temperature"], after["temperature"])


def test_the_experiment_is_kept_as_it_was_run(finished):
    made, _ = finished
    kept = (made.folder / "experiment.toml").read_text()
    assert kept.startswith("# run with letkf-mpi")
    assert kept.endswith(made.path.read_text().strip() + "\n")


def test_a_finished_run_does_nothing_again(finished):
    made, _ = finished
    before = {path: path.stat().st_mtime_ns for path in made.folder.rglob("*.nc")}
    done = made.run()
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("complete already") == CYCLES
    assert {path: path.stat().st_mtime_ns for path in made.folder.rglob("*.nc")} == before


def test_killed_within_each_stage_it_ends_with_the_same_bits(fresh, finished):
    """Moments at random, between stages too, are the campaign's."""
    for stage in ("observations", "analysis", "forecast", "verify"):
        kill_within(stage, fresh)
        nothing_half_written(fresh)
    resumes_to_the_same(fresh, finished)


def kill_within(stage: str, made: Experiment) -> None:
    """At some moment of the step of the last time."""
    words = made.folder / TIMES[1] / "log" / f"{stage}.out"  # stands there while the step is at work
    words.unlink(missing_ok=True)
    process = made.start()
    until(lambda: words.exists() or process.poll() is not None, f"{stage} of {TIMES[1]}")
    assert words.exists(), f"{stage} of {TIMES[1]} never began"
    time.sleep(random.Random(stage).uniform(0.0, 0.3))
    kill(process)


def test_beside_the_run_its_status_is_told(fresh):
    fresh.path.write_text(SHOWN)
    (fresh.folder / "stop").touch()  # left by an earlier run
    process = fresh.start()
    until(lambda: process.poll() is not None or (fresh.folder / "status.json").exists(), "a status")
    assert told(fresh)[0] == "running"
    process.communicate(timeout=experiment.CYCLE_LIMIT_S)
    assert not (fresh.folder / "stop").exists()
    assert told(fresh) == ("complete", "done", "")
    assert not processes_of(fresh)


def test_neither_status_nor_figures_where_they_are_switched_off(finished, tmp_path):
    made = copy(finished[0].work, tmp_path)
    made.path.write_text(TEXT)
    (made.folder / "status.json").unlink()
    shutil.rmtree(made.folder / "figures")
    done = made.run()
    assert done.returncode == 0 and "Figures" not in done.stdout
    assert not (made.folder / "status.json").exists() and not (made.folder / "figures").exists()


def test_the_same_experiment_is_not_run_twice_at_once(fresh):
    first = fresh.start()
    try:
        limit = time.monotonic() + experiment.CYCLE_LIMIT_S
        while not (fresh.folder / TIMES[0] / "log").exists() and time.monotonic() < limit:
            time.sleep(0.01)
        second = fresh.run(before="export LOCK_WAIT=0")
        assert second.returncode == 1
        assert "another run of this experiment is at work" in second.stderr
    finally:
        kill(first)


def test_a_changed_setting_is_refused_when_resuming(fresh, finished):
    made = copy(finished[0].work, fresh.work / "changed")
    made.path.write_text(made.path.read_text().replace("alpha = 0.1", "alpha = 0.6"))
    done = made.run()
    assert done.returncode == 1
    assert "[relaxation] alpha: this experiment was begun with 0.1, the file now says 0.6" in done.stderr


def test_a_typo_is_told_before_anything_is_made_and_its_correction_is_taken(fresh, finished):
    shutil.rmtree(fresh.folder)
    right = fresh.path.read_text()
    fresh.path.write_text(right.replace('"rtpp"', '"RTPP"'))
    for script in ("prepare.sh", "cycle.sh"):
        done = fresh.run(script)
        assert done.returncode == 1
        assert "[relaxation] method: expected one of none, rtpp, rtps" in done.stderr and "'RTPP'" in done.stderr
        assert not fresh.folder.exists()
    fresh.path.write_text(right)
    done = fresh.run("prepare.sh")
    assert done.returncode == 0, done.stderr
    resumes_to_the_same(fresh, finished)


def test_a_setting_with_which_a_stage_failed_may_be_corrected(fresh, finished):
    """It has made nothing yet; observations are there, and do not depend on it."""
    right = fresh.path.read_text()
    fresh.path.write_text(right + "[analysis]\nleast_spread = 0.99\n")
    done = fresh.run()
    assert done.returncode == 1 and "collapsed from" in done.stderr
    assert (fresh.folder / TIMES[0] / "observations.nc").exists()
    fresh.path.write_text(right)
    resumes_to_the_same(fresh, finished)


def never_finished(path: Path) -> None:
    """What a writer leaves that is killed before its last words: it opens without an error."""
    import netCDF4

    with netCDF4.Dataset(path, "a") as dataset:
        dataset.delncattr("complete")


def flip_a_bit(path: Path) -> None:
    """In the middle of the temperature field."""
    import netCDF4

    with netCDF4.Dataset(path) as dataset:
        values = dataset["temperature"][:].tobytes()
    whole = bytearray(path.read_bytes())
    place = whole.find(values)
    assert place > 0
    whole[place + len(values) // 2] ^= 1
    path.write_bytes(bytes(whole))


DAMAGES = {truncate: "remove it and make it again", never_finished: "was never finished by its writer",
           flip_a_bit: "is damaged"}


def test_what_befalls_the_first_ensemble_is_told_and_made_again_to_the_same_bits(fresh, finished):
    for damage, words in DAMAGES.items():
        damage(member(fresh))
        done = fresh.run()
        assert done.returncode != 0
        assert f"{member(fresh)}: " in done.stderr
        assert words in done.stderr
        assert not (fresh.folder / TIMES[0] / "departures.nc").exists()
        assert fresh.program("verify", "status", str(fresh.path)).returncode == 0
        state, stage, reason = told(fresh)
        assert (state, stage) == ("STALLED", "failed") and words in reason

        member(fresh).unlink()
        done = fresh.run()
        assert done.returncode == 1
        assert "no complete ensemble of 8 members to begin with; run: run/prepare.sh" in done.stderr
        assert fresh.program("model_server", "initial", str(fresh.path)).returncode == 0
    resumes_to_the_same(fresh, finished)


@pytest.mark.parametrize(("kind", "at"), [("background", TIMES[1]), ("analysis", TIMES[1])])
def test_a_member_lost_in_the_middle_is_made_again(fresh, finished, kind, at):
    made = copy(finished[0].work, fresh.work / "lost")
    member(made, kind=kind, at=at).unlink()
    resumes_to_the_same(made, finished)


def test_a_member_on_another_grid_is_refused(fresh):
    from contracts.grid import Grid
    from contracts.state import StateSpace, write

    settings = fresh.settings
    other = StateSpace(Grid.regular(9, 16), settings.state.space(settings.grid.grid()).channels)
    write(member(fresh), experiment.smooth_state(other, 1, times.parse(TIMES[0])), member=3)
    done = fresh.run()
    assert done.returncode != 0
    assert f"{member(fresh)}: expected the 8 x 16 grid" in done.stderr


def test_what_befalls_the_first_analysis_is_told_and_leaves_nothing_half_written(fresh, finished):
    for befalls in (full_disk, no_words, killed_rank):
        befalls(fresh)
        nothing_half_written(fresh)
        assert not list((fresh.folder / TIMES[0]).glob("analysis/m*.nc"))
    resumes_to_the_same(fresh, finished)


def full_disk(made: Experiment) -> None:
    size = member(made).stat().st_size
    done = made.run(before=f"ulimit -f {max(1, size // 2048)}")  # blocks of 1 KiB: half of a member file
    assert done.returncode != 0
    assert "check the space left on the disk" in done.stderr


def no_words(made: Experiment) -> None:
    """What a program writes to a full disk is lost, and its room may be there again when it has ended."""
    launcher = made.work / "mpiexec"
    launcher.write_text("#!/usr/bin/env bash\nexit 3\n")
    launcher.chmod(0o755)
    done = made.run(before=f"export MPIEXEC={launcher}")
    assert done.returncode == 3
    sentence = rf"{TIMES[0]}: step analysis failed after [0-9.]+ s with status 3; it left no words, .* \([0-9.]+.? free"
    assert re.search(sentence, done.stderr)


def killed_rank(made: Experiment) -> None:
    process = made.start()
    until(lambda: len(processes_of(made, "letkf_mpi.analysis")) == RANKS, "two ranks")
    os.kill(processes_of(made, "letkf_mpi.analysis")[-1], signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode != 0


PREPBUFR = """source = "prepbufr"
files = ["$WORK/prepbufr"]
"""


def test_missing_and_corrupt_prepbufr_stop_research_and_not_realtime(fresh):
    text = fresh.path.read_text().replace('source = "synthetic"\n', PREPBUFR)
    fresh.path.write_text(text)
    prepbufr = fresh.work / "prepbufr"
    for content in (None, b"this is no BUFR file", b"BUFR\x00\x00\x30\x03" + bytes(40)):
        if content is not None:
            prepbufr.write_bytes(content)
        done = fresh.run()
        assert done.returncode != 0
        assert str(prepbufr) in done.stderr
        assert not (fresh.folder / TIMES[0] / "observations.nc").exists()

    fresh.path.write_text(text.replace("research", "realtime"))
    done = fresh.run()
    assert done.returncode == 0, done.stdout + done.stderr
    files = data(fresh.folder)
    unchanged = (files[f"{TIMES[0]}/{kind}/m0001.nc"]["temperature"] for kind in ("background", "analysis"))
    np.testing.assert_array_equal(*unchanged)
