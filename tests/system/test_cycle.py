"""The corridor with real processes: it works, it survives being killed, it says what is wrong."""

import os
import random
import re
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from contracts import times
from tests.system import experiment
from tests.system.experiment import (
    CHECKOUT,
    CYCLES,
    MEMBERS,
    RANKS,
    TIMES,
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


@pytest.mark.parametrize("seed", range(2))
def test_killed_at_random_moments_it_ends_with_the_same_bits(fresh, finished, seed):
    moments = random.Random(seed)
    for _ in range(3):
        process = fresh.start()
        time.sleep(moments.uniform(0.2, 4.0))
        kill(process)
        nothing_half_written(fresh)
    resumes_to_the_same(fresh, finished)


@pytest.mark.parametrize("stage", ["observations", "analysis", "forecast", "verify"])
def test_killed_within_each_stage_it_ends_with_the_same_bits(fresh, finished, stage):
    words = fresh.folder / TIMES[1] / "log" / f"{stage}.out"  # stands there while the step is at work
    process = fresh.start()
    limit = time.monotonic() + experiment.CYCLE_LIMIT_S
    while not words.exists() and time.monotonic() < limit and process.poll() is None:
        time.sleep(0.01)
    assert words.exists(), f"{stage} of {TIMES[1]} never began"
    time.sleep(random.Random(stage).uniform(0.0, 0.6))
    kill(process)
    nothing_half_written(fresh)
    resumes_to_the_same(fresh, finished)


def test_beside_the_run_its_status_is_told_unless_switched_off(fresh, finished):
    (fresh.folder / "stop").touch()  # left by an earlier run
    process = fresh.start()
    until(lambda: process.poll() is not None or (fresh.folder / "status.json").exists(), "a status")
    assert told(fresh)[0] == "running"
    process.communicate(timeout=experiment.CYCLE_LIMIT_S)
    assert not (fresh.folder / "stop").exists()
    assert told(fresh) == ("complete", "done", "")
    assert not processes_of(fresh)

    made = copy(finished[0].work, fresh.work / "silent")
    (made.folder / "status.json").unlink()
    made.path.write_text(made.path.read_text() + "[run]\nstatus = false\n")
    assert made.run().returncode == 0
    assert not (made.folder / "status.json").exists()


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


def test_an_unknown_setting_stops_at_the_first_step(fresh):
    fresh.path.write_text(fresh.path.read_text().replace("alpha = 0.1", "alfa = 0.5"))
    done = fresh.run()
    assert done.returncode != 0
    assert "alfa" in done.stderr
    assert not (fresh.folder / TIMES[0] / "analysis").exists()


def test_without_a_first_ensemble_it_says_how_to_make_one(fresh, finished):
    member(fresh).unlink()
    done = fresh.run()
    assert done.returncode == 1
    assert "no complete ensemble of 8 members to begin with; run: run/prepare.sh" in done.stderr
    assert fresh.program("model_server", "initial", str(fresh.path)).returncode == 0
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


@pytest.mark.parametrize(("damage", "words"), [(truncate, "remove it and make it again"),
                                              (never_finished, "was never finished by its writer"),
                                              (flip_a_bit, "is damaged")])
def test_a_damaged_member_is_named_and_made_again(fresh, finished, damage, words):
    damage(member(fresh))
    done = fresh.run()
    assert done.returncode != 0
    assert f"{member(fresh)}: " in done.stderr
    assert words in done.stderr
    assert not (fresh.folder / TIMES[0] / "departures.nc").exists()
    state, stage, reason = told(fresh)
    assert (state, stage) == ("STALLED", "failed") and words in reason
    member(fresh).unlink()
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


def test_a_full_disk_is_told_and_leaves_nothing_half_written(fresh, finished):
    size = member(fresh).stat().st_size
    before = f"ulimit -f {max(1, size // 2048)}"  # blocks of 1 KiB: half of a member file
    done = fresh.run(before=before)
    assert done.returncode != 0
    assert "check the space left on the disk" in done.stderr
    nothing_half_written(fresh)
    assert not list((fresh.folder / TIMES[0]).glob("analysis/m*.nc"))
    resumes_to_the_same(fresh, finished)


def test_a_step_that_left_no_words_is_told_with_the_room_on_the_disk(fresh, finished):
    """What a program writes to a full disk is lost, and its room may be there again when it has ended."""
    launcher = fresh.work / "mpiexec"
    launcher.write_text("#!/usr/bin/env bash\nexit 3\n")
    launcher.chmod(0o755)
    done = fresh.run(before=f"export MPIEXEC={launcher}")
    assert done.returncode == 3
    sentence = rf"{TIMES[0]}: step analysis failed after [0-9.]+ s with status 3; it left no words, .* \([0-9.]+.? free"
    assert re.search(sentence, done.stderr)
    resumes_to_the_same(fresh, finished)


PREPBUFR = """source = "prepbufr"
files = ["$WORK/prepbufr"]
"""


@pytest.mark.parametrize("content", [None, b"this is no BUFR file", b"BUFR\x00\x00\x30\x03" + bytes(40)])
def test_missing_and_corrupt_prepbufr_stop_research_and_not_realtime(fresh, content):
    text = fresh.path.read_text().replace('source = "synthetic"\n', PREPBUFR)
    fresh.path.write_text(text)
    prepbufr = fresh.work / "prepbufr"
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


def test_a_killed_rank_ends_the_cycle(fresh, finished):
    process = fresh.start()
    until(lambda: len(processes_of(fresh, "letkf_mpi.analysis")) == RANKS, "two ranks")
    os.kill(processes_of(fresh, "letkf_mpi.analysis")[-1], signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode != 0
    nothing_half_written(fresh)
    resumes_to_the_same(fresh, finished)


@pytest.mark.parametrize("script", ["cycle.sh", "early.sh", "prepare.sh", "demo.sh", "sweep.sh", "stage.sh", "cylc.sh"])
def test_every_script_explains_itself(script):
    done = subprocess.run([CHECKOUT / "run" / script, "--help"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0
    assert f"run/{script}" in done.stdout
