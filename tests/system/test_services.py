"""The programs as services: the bits of one process per step, whatever dies; nothing outlives the driver."""

import os
import random
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.system.experiment import (
    CYCLES,
    RANKS,
    SHOWN,
    Experiment,
    bring,
    copy,
    data,
    nothing_half_written,
    processes_of,
    resumes_to_the_same,
    same,
    told,
    until,
)

SERVICES = "--services"
TIMES = ["1989010100", "1989010106"]
GONE_S = 30  # within which all services have ended after their driver


def gone(made: Experiment) -> None:
    until(lambda: not processes_of(made), "the end of all services", GONE_S)


def all_at_work(made: Experiment) -> bool:
    """Those whose work lasts: the others may have ended before the last of these has begun."""
    return len(processes_of(made, "letkf_mpi.analysis")) == RANKS and len(processes_of(made, "model_server")) == 1


@pytest.fixture
def running(fresh):
    """A run with services, all of them at work; killed in the end, whatever became of the test."""
    process = fresh.start(after=SERVICES)
    until(lambda: process.poll() is not None or all_at_work(fresh), "all services")
    yield process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    gone(fresh)


def ended(process: subprocess.Popen) -> tuple[str, str]:
    return process.communicate(timeout=180)


def test_services_end_with_the_bits_of_one_process_per_step(fresh, finished):
    fresh.path.write_text(SHOWN)
    done = fresh.run(after=SERVICES)
    assert done.returncode == 0, done.stdout + done.stderr
    same(data(fresh.folder), data(finished[0].folder))
    line = r"cycle \d of 2 in \d+\.\d+ s: observations \d+\.\d\d, analysis \d+\.\d\d, forecast .*, verify \d+\.\d\d"
    assert len(re.findall(line, done.stdout)) == CYCLES, done.stdout
    first = re.search(r"cycle 1 of 2 .* observations (\d+\.\d\d), analysis (\d+\.\d\d)", done.stdout)
    assert first and all(float(seconds) > 0 for seconds in first.groups()), done.stdout
    assert "temperature_500" in done.stdout
    assert not processes_of(fresh)
    assert not (fresh.folder / "stop").exists()
    assert told(fresh) == ("complete", "done", "")
    again = fresh.run(after=SERVICES)
    assert again.returncode == 0
    assert f"{CYCLES} cycles complete already" in again.stdout


def test_the_driver_killed_five_times_resumes_to_the_same_bits(fresh, finished):
    moments = random.Random(1)
    for _ in range(5):
        process = fresh.start(after=SERVICES)
        time.sleep(moments.uniform(0.3, 4.0))
        os.kill(process.pid, signal.SIGKILL)  # the driver alone: that the services end is the point
        process.communicate()
        gone(fresh)
    nothing_half_written(fresh)
    resumes_to_the_same(fresh, finished, after=SERVICES)


def test_scores_wait_for_cores_that_the_next_forecast_needs(fresh, running):
    def niceness(module: str) -> list[int]:
        return [os.getpriority(os.PRIO_PROCESS, process) for process in processes_of(fresh, module)]

    (forecast,) = niceness("model_server")
    until(lambda: niceness("verify") == [min(19, forecast + 5)], "a lower priority of the scores", GONE_S)


def test_services_that_died_are_started_again(fresh, running, finished):
    for module in ("letkf_mpi.analysis", "model_server"):
        os.kill(processes_of(fresh, module)[-1], signal.SIGKILL)
    out, err = ended(running)
    assert running.returncode == 0, out + err
    assert out.count("started again in 1 s, 1 of at most 3 times") == 2
    same(data(fresh.folder), data(finished[0].folder))


def test_a_service_that_dies_again_and_again_ends_the_run(fresh):
    fresh.path.write_text(SHOWN + "restarts = 1\n")
    (fresh.work / "truth" / f"{TIMES[1]}.nc").write_bytes(b"no truth")
    done = fresh.run(after=SERVICES)
    assert done.returncode == 1
    assert done.stdout.count("started again") >= 1
    assert "is no readable NetCDF file" in done.stderr
    assert not processes_of(fresh)
    state, stage, reason = told(fresh)
    assert (state, stage) == ("STALLED", "failed") and "is no readable NetCDF file" in reason

    again = fresh.run(after=SERVICES)
    assert again.returncode == 1
    words = (fresh.folder / "log" / "observations.out").read_text().splitlines()
    assert sum(line.startswith("# begun 2") for line in words) == 2  # those of the first run are kept


DIES_ONCE_A_TIME = """
import os, runpy, sys, time
from pathlib import Path
folder, times = Path(os.environ["WORK"]) / "tiny", ["1989010100", "1989010106"]
for before, now in zip([None, *times], times):
    died = folder / f"died.{now}"
    if not died.exists():
        while before and not (folder / before / "scores.nc").exists():
            time.sleep(0.05)
        time.sleep(1)  # until the end of the cycle was seen
        died.touch()
        sys.exit("dead")
    if not (folder / now / "departures.nc").exists():
        while not all((folder / now / name).exists() for name in ("observations.nc", "background/ensspread.nc")):
            time.sleep(0.05)
        sys.argv = ["analysis", sys.argv[1], now]
        runpy.run_module("letkf_mpi.analysis", run_name="__main__")
"""


def test_deaths_are_counted_within_a_cycle(fresh):
    """A service that dies now and then does not end a run of months."""
    bring(fresh, "dies", DIES_ONCE_A_TIME)
    fresh.path.write_text(fresh.path.read_text() + "restarts = 1\n")
    done = fresh.run(before=f'export RANKS=1 PYTHONPATH="{fresh.work}"', after=SERVICES)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("started again in 1 s, 1 of at most 1 times") == 2


def test_a_product_that_is_removed_when_its_service_has_ended_is_made_again(fresh, finished):
    last = fresh.folder / "1989010106" / "observations.nc"
    process = fresh.start(after=SERVICES)
    until(lambda: process.poll() is not None or last.exists(), "the last observations")
    last.unlink()
    out, err = ended(process)
    assert process.returncode == 0, out + err
    words = "service observations has ended without an error and its product of 1989010106 is not there; started again"
    assert words in out
    same(data(fresh.folder), data(finished[0].folder))


HOLDS_THE_SECOND = """
import os, runpy, sys, time
from pathlib import Path
folder = Path(os.environ["WORK"]) / "tiny"
for now in ["1989010100", "1989010106"]:
    while not (folder / now / "observations.nc").exists() or now == "1989010106" and not (folder / "go").exists():
        time.sleep(0.05)
    while len(list((folder / now / "background").glob("*.nc"))) < 10:
        time.sleep(0.05)
    sys.argv = ["analysis", sys.argv[1], now]
    runpy.run_module("letkf_mpi.analysis", run_name="__main__")
"""


def waits_again(told: str) -> bool:
    """Whether the forecast that was started again has passed over what is complete."""
    return "waiting for the analysis of 1989010106" in told.partition("1 forecasts to make")[2]


def test_a_background_that_is_removed_when_its_service_was_started_again_and_its_cycle_counted_is_made_again(
        fresh, finished):
    """Nobody alive made it: the forecast passed over what was complete when it was started again."""
    bring(fresh, "holds", HOLDS_THE_SECOND)
    process = fresh.start(before=f'export RANKS=1 PYTHONPATH="{fresh.work}"', after=SERVICES)
    background, told_by = fresh.folder / TIMES[1] / "background", fresh.folder / "log" / "forecast.out"
    until(lambda: process.poll() is not None or (background / "ensspread.nc").exists(), "the second background")
    until(lambda: process.poll() is not None or (fresh.folder / TIMES[0] / "scores.nc").exists(), "the first cycle")
    os.kill(processes_of(fresh, "model_server")[-1], signal.SIGKILL)
    until(lambda: process.poll() is not None or waits_again(told_by.read_text()), "the forecast again")
    (background / "m0003.nc").unlink()
    (fresh.folder / "go").touch()
    out, err = ended(process)
    assert process.returncode == 0, out + err
    assert out.count("service forecast ended with status") == 2
    assert "what was made last is gone while waiting for the analysis" in told_by.read_text()
    (fresh.folder / "go").unlink()
    same(data(fresh.folder), data(finished[0].folder))


def test_a_run_whose_first_ensemble_is_removed_says_how_to_make_it(fresh):
    (fresh.work / "truth").rename(fresh.work / "later")  # no observations, no analysis
    process = fresh.start(after=SERVICES)
    until(lambda: process.poll() is not None or processes_of(fresh, "letkf_mpi.analysis"), "the analysis")
    (fresh.folder / "1989010100" / "background" / "m0003.nc").unlink()
    _, err = ended(process)
    assert process.returncode == 1
    assert "no complete ensemble of 8 members to begin with; run: run/prepare.sh" in err


def test_without_setpriv_it_says_what_that_means(fresh, finished, tmp_path):
    made, folder = copy(finished[0].work, tmp_path / "whole"), tmp_path / "bin"
    folder.mkdir()
    for place in ("/bin", "/usr/bin"):
        for program in Path(place).iterdir():
            if program.name != "setpriv" and not (folder / program.name).is_symlink():
                (folder / program.name).symlink_to(program)
    done = made.run(before=f'PATH="{folder}"', after=SERVICES)
    assert done.returncode == 0, done.stderr
    assert "there is no setpriv (util-linux)" in done.stdout
    assert "no setpriv" not in made.run(after=SERVICES).stdout


def test_the_stop_file_ends_it_and_it_goes_on(fresh, running, finished):
    (fresh.folder / "stop").touch()
    out, err = ended(running)
    assert running.returncode == 130, out + err
    assert "stopped by" in out
    assert not processes_of(fresh)
    resumes_to_the_same(fresh, finished)  # the rest with one process per step


def test_sigterm_ends_it_and_all_services(fresh, running, finished):
    running.send_signal(signal.SIGTERM)
    ended(running)
    assert running.returncode == 143
    assert not processes_of(fresh)
    nothing_half_written(fresh)
    resumes_to_the_same(fresh, finished, after=SERVICES)
