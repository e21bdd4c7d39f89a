"""The analysis as a service: the same bits as one process for each time, through kills and stops, asleep while idle."""

import os
import signal
import time as clock
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from contracts import times
from tests.builders import TIME
from tests.letkf_mpi import case
from tests.mpi.launcher import alone, mpirun, start

PROGRAM = ("-m", "letkf_mpi.analysis")
ADAPTIVE = '[inflation]\nmethod = "adaptive"\n[relaxation]\nmethod = "rtps"\nalpha = 0.8\n'
ALL_TIMES = [TIME + hours * timedelta(hours=1) for hours in (0, 6, 12)]


def at(made, time):
    return made.settings.experiment.folder.at(time)


def all_contents(made):
    return {time: case.contents(at(made, time)) for time in ALL_TIMES}


@pytest.fixture(scope="module")
def one_by_one(tmp_path_factory):
    """What one process for each time gives."""
    made = case.make(tmp_path_factory.mktemp("one_by_one"), more=ADAPTIVE)
    for number, time in enumerate(ALL_TIMES):
        case.add_inputs(made, time, seed=10 * number)
        job = alone(*PROGRAM, made.toml, times.name(time))
        assert job.returncode == 0, job.stderr
    return all_contents(made)


@pytest.fixture
def made(tmp_path):
    """The same experiment with the inputs of its first time."""
    return case.make(tmp_path, more=ADAPTIVE)


@contextmanager
def serving(made, ranks=3):
    """The service, ended at the latest with the block."""
    job = start(ranks, *PROGRAM, made.toml, "--follow")
    try:
        yield job
    finally:
        job.kill()
        job.communicate()


def wait_for(path: Path, job, seconds=60.0):
    end = clock.monotonic() + seconds
    while not path.exists():
        assert job.poll() is None, job.communicate()[1]
        assert clock.monotonic() < end, f"{path} did not appear"
        clock.sleep(0.02)


def ended(job) -> tuple[int, str]:
    """Exit status and what it said."""
    said = job.communicate(timeout=60)[1]
    return job.returncode, said


def ranks_of(made) -> list[int]:
    """Process numbers of the ranks, without their launcher's."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if str(made.toml).encode() in words and b"-n" not in words and b"python" in words[0]:
            found.append(int(entry.name))
    return sorted(found)


def cpu_seconds(process: int) -> float:
    user, system = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def test_the_same_bits_as_one_process_for_each_time_though_a_rank_is_killed(one_by_one, made):
    """Each background appears only after the analysis before, as in a cycle; the inflation learned goes on."""
    with serving(made) as job:
        wait_for(made.files.departures, job)
        os.kill(ranks_of(made)[1], signal.SIGKILL)
        assert ended(job)[0] != 0
    case.add_inputs(made, ALL_TIMES[1], seed=10)
    with serving(made, ranks=2) as job:
        wait_for(at(made, ALL_TIMES[1]).departures, job)
        case.add_inputs(made, ALL_TIMES[2], seed=20)
        status, said = ended(job)
    assert status == 0, said
    assert all_contents(made) == one_by_one
    for time in ALL_TIMES:
        assert f"analysis of {times.name(time)}" in at(made, time).log("analysis").read_text()
    assert "analysis of 1989010118" not in at(made, ALL_TIMES[1]).log("analysis").read_text()


def stop_file(made, job):
    made.settings.experiment.folder.stop.touch()


def terminate(made, job):
    job.terminate()


def interrupt(made, job):
    """As Ctrl-C in a terminal does, to mpiexec and all ranks."""
    os.killpg(job.pid, signal.SIGINT)


@pytest.mark.parametrize("ask", [stop_file, terminate, interrupt])
def test_it_sleeps_while_it_waits_and_ends_when_asked(made, ask):
    with serving(made) as job:
        wait_for(made.files.departures, job)
        clock.sleep(1.0)
        before = {process: cpu_seconds(process) for process in ranks_of(made)}
        clock.sleep(3.0)
        used = [cpu_seconds(process) - seconds for process, seconds in before.items()]
        assert len(used) == 3 and max(used) <= 0.15, used  # a rank that waits busily takes what the computer has
        ask(made, job)
        status, said = ended(job)
    assert status == 0 and "stopped by" in said
    assert not at(made, ALL_TIMES[1]).folder.exists()


def test_a_changed_experiment_is_refused_with_what_changed(made):
    frozen = made.settings.experiment.folder.settings
    frozen.write_text(made.toml.read_text().replace("alpha = 0.8", "alpha = 0.9"))
    job = mpirun(2, *PROGRAM, made.toml, "--follow")
    assert job.returncode == 1
    assert job.stderr.count("[relaxation] alpha: this experiment was begun with 0.9, the file now says 0.8") == 1


def test_follow_takes_no_time():
    job = alone(*PROGRAM, "some.toml", "1989010106", "--follow")
    assert job.returncode == 2 and "name none" in job.stderr
