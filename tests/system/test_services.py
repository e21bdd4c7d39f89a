"""The programs as services: the bits of one process per step, whatever dies; nothing outlives the driver."""

import os
import random
import re
import signal
import subprocess
import time

import pytest

from tests.system.experiment import (
    CYCLES,
    RANKS,
    Experiment,
    data,
    nothing_half_written,
    processes_of,
    resumes_to_the_same,
    same,
    until,
)

SERVICES = "--services"
TIMES = ["1989010100", "1989010106"]
PROGRAMS = 3 + RANKS
GONE_S = 30  # within which all services have ended after their driver


def gone(made: Experiment) -> None:
    until(lambda: not processes_of(made), "the end of all services", GONE_S)


@pytest.fixture
def running(fresh):
    """A run with services, all of them at work; killed in the end, whatever became of the test."""
    process = fresh.start(after=SERVICES)
    until(lambda: process.poll() is not None or len(processes_of(fresh)) == PROGRAMS, "all services")
    yield process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    gone(fresh)


def ended(process: subprocess.Popen) -> tuple[str, str]:
    return process.communicate(timeout=180)


def test_services_end_with_the_bits_of_one_process_per_step(fresh, finished):
    done = fresh.run(after=SERVICES)
    assert done.returncode == 0, done.stdout + done.stderr
    same(data(fresh.folder), data(finished[0].folder))
    line = r"cycle \d of 2 in \d+\.\d+ s: observations \d+\.\d\d, analysis \d+\.\d\d, forecast .*, verify \d+\.\d\d"
    assert len(re.findall(line, done.stdout)) == CYCLES, done.stdout
    assert "temperature_500" in done.stdout
    assert not processes_of(fresh)
    assert not (fresh.folder / "stop").exists()
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


@pytest.mark.parametrize("module", ["letkf_mpi.analysis", "model_server"])
def test_a_service_that_died_is_started_again(fresh, running, finished, module):
    os.kill(processes_of(fresh, module)[-1], signal.SIGKILL)
    out, err = ended(running)
    assert running.returncode == 0, out + err
    assert "started again, 1 of at most 3 times" in out
    same(data(fresh.folder), data(finished[0].folder))


def test_a_service_that_dies_again_and_again_ends_the_run(fresh):
    fresh.path.write_text(fresh.path.read_text() + "[run]\nrestarts = 1\n")
    (fresh.work / "truth" / f"{TIMES[1]}.nc").write_bytes(b"no truth")
    done = fresh.run(after=SERVICES)
    assert done.returncode == 1
    assert done.stdout.count("started again") >= 1
    assert "is no readable NetCDF file" in done.stderr
    assert not processes_of(fresh)


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
