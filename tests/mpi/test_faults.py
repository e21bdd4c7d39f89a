"""Whatever goes wrong: one clear sentence, non-zero exit, nothing hangs, no half-written file under its name."""

import os
import shutil
import signal
import subprocess
import time

import netCDF4
import numpy as np
import pytest

from contracts import program, state
from contracts.grid import Grid
from contracts.netcdf import open_to_read
from contracts.state import StateSpace
from letkf_mpi.kernel import lanes
from tests import builders
from tests.builders import TIME
from tests.letkf_mpi import case
from tests.letkf_mpi.case import NOW
from tests.mpi.launcher import alone, mpirun, start

PROGRAM = ("-m", "letkf_mpi.analysis")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """An experiment with its analysis; each test takes a copy of the inputs and compares with the outputs."""
    made = case.make(tmp_path_factory.mktemp("finished"), members=4, nobs=80)
    job = alone(*PROGRAM, made.toml, NOW)
    assert job.returncode == 0, job.stderr
    return made, case.contents(made.files)


@pytest.fixture
def fresh(tmp_path):
    """The same experiment before its analysis."""
    return case.make(tmp_path, members=4, nobs=80)


def whole_files(made) -> bool:
    """Whether every NetCDF file under a final name opens and is complete."""
    for path in made.files.folder.rglob("[!.]*.nc"):
        with netCDF4.Dataset(path) as dataset:
            contract = dataset.contract
        with open_to_read(path, contract):
            pass
    return True


def refused(job: subprocess.CompletedProcess, *words: str) -> None:
    """Exit status 1, and one sentence with these words, told once."""
    assert job.returncode == 1, job.stderr
    errors = [line for line in job.stderr.splitlines() if " ERROR " in line]
    assert len(errors) == 1, job.stderr
    for word in words:
        assert word in errors[0]
    assert "Traceback" not in job.stderr


@pytest.mark.parametrize("fault", ["killed in a tile", "killed while writing"])
def test_a_killed_rank_ends_the_job_and_running_again_gives_the_same_bits(finished, fresh, fault):
    job = mpirun(3, "-m", "tests.mpi.faulty", fault, 1, fresh.toml, NOW, timeout=60)
    assert job.returncode != 0
    assert not fresh.files.departures.exists()
    assert whole_files(fresh)
    again = mpirun(3, *PROGRAM, fresh.toml, NOW)
    assert again.returncode == 0, again.stderr
    assert case.contents(fresh.files) == finished[1]


def test_of_a_file_that_a_team_did_not_end_nothing_appears(finished, fresh):
    """A full disk is told once, and leaves nothing; after a kill the same command gives the same bits."""
    job = mpirun(14, "-m", "tests.mpi.faulty", "a full disk in a team", 6, fresh.toml, NOW, timeout=90)
    refused(job, "could not be written", "No space left on device")
    assert not [path for path in fresh.files.analysis.folder.iterdir() if path.suffix == ".part"]
    job = mpirun(14, "-m", "tests.mpi.faulty", "killed in a team", 7, fresh.toml, NOW, timeout=90)
    assert job.returncode != 0 and whole_files(fresh) and not fresh.files.departures.exists()
    assert mpirun(3, *PROGRAM, fresh.toml, NOW).returncode == 0
    assert case.contents(fresh.files) == finished[1]


def test_a_rank_that_gets_no_memory_ends_all_with_one_sentence(fresh):
    job = mpirun(3, "-m", "tests.mpi.faulty", "no memory in a tile", 1, fresh.toml, NOW, timeout=60)
    refused(job, "rank 1 of 3: needs more memory than this process may take (Unable to allocate 8.00 PiB")
    assert not fresh.files.departures.exists()


@pytest.mark.parametrize("rank", [0, 2])
def test_an_exception_on_one_rank_ends_all(fresh, rank):
    job = mpirun(3, "-m", "tests.mpi.faulty", "exception in a tile", rank, fresh.toml, NOW, timeout=60)
    assert job.returncode != 0
    assert f"rank {rank} of 3" in job.stderr and "ZeroDivisionError: made to fail in a tile" in job.stderr
    assert not fresh.files.analysis.folder.exists() and not fresh.files.departures.exists()


@pytest.mark.parametrize(("rank", "fault"), [
    (0, "interrupted in a tile"), (2, "interrupted in a tile"), (2, "interrupted while the launcher sleeps"),
])
def test_ctrl_c_that_reaches_one_rank_alone_ends_all_and_is_told(fresh, rank, fault):
    job = mpirun(3, "-m", "tests.mpi.faulty", fault, rank, fresh.toml, NOW, timeout=60)
    assert job.returncode == program.INTERRUPTED
    assert f"rank {rank} of 3: interrupted; run the same command again" in job.stderr and "Traceback" not in job.stderr
    assert not fresh.files.departures.exists()


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_ends_the_job_and_running_again_gives_the_same_bits(finished, fresh, times):
    """The terminal gives the signal to mpiexec and all ranks at once."""
    job = start(3, "-m", "tests.mpi.faulty", "slow in a tile", 1, fresh.toml, NOW)
    log = fresh.files.log("analysis")
    while not log.exists() or "memory: about" not in log.read_text():
        assert job.poll() is None
        time.sleep(0.02)
    time.sleep(0.5)
    for _ in range(times):
        os.killpg(job.pid, signal.SIGINT)
        time.sleep(0.2)
    job.communicate(timeout=60)
    assert job.returncode != 0 and not fresh.files.departures.exists() and whole_files(fresh)
    assert mpirun(3, *PROGRAM, fresh.toml, NOW).returncode == 0
    assert case.contents(fresh.files) == finished[1]


MIXED = ("import os; from letkf_mpi import analysis; from letkf_mpi.ranks import parallel; world = parallel.World(); "
         "os.environ['LETKF_INSTRUCTIONS'] = '{}' if world.rank == 2 else 'baseline'; "
         "parallel.guarded(analysis.main, analysis.PROGRAM)")


@pytest.mark.skipif(len(lanes.instructions()) < 2, reason="this machine has one set of instructions")
def test_ranks_that_would_solve_with_other_instructions_are_refused_at_the_start(fresh):
    fastest = lanes.instructions()[0]
    job = mpirun(3, "-c", MIXED.format(fastest), fresh.toml, NOW, timeout=60)
    refused(job, f"{fastest} on 1 rank(s)", "baseline on 2 rank(s)", "set LETKF_INSTRUCTIONS to one that all have")
    job = mpirun(3, "-c", MIXED.format("altivec"), fresh.toml, NOW, timeout=60)
    refused(job, "LETKF_INSTRUCTIONS: expected one of", "got 'altivec'")
    assert not fresh.files.log("analysis").exists()


def test_a_fault_of_one_rank_alone_is_told_in_its_sentence(fresh):
    job = mpirun(3, "-m", "tests.mpi.faulty", "refusal in a tile", 2, fresh.toml, NOW, timeout=60)
    refused(job, "rank 2 of 3: one rank alone found a fault that you can mend")


def remove(path, space):
    path.unlink()


def truncate(path, space):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def leave_half_written(path, space):
    """As a writer leaves it that dies before the end: a good file without its mark."""
    with netCDF4.Dataset(path, "a") as dataset:
        dataset.delncattr("complete")


def write_on_another_grid(path, space):
    other = StateSpace(Grid.regular(4, 8), space.channels)
    state.write(path, builders.random_state(other), 2)


def write_another_time(path, space):
    state.write(path, builders.random_state(space, time=TIME.replace(hour=12)), 2)


def write_nan(path, space):
    with netCDF4.Dataset(path, "a") as dataset:
        dataset["temperature"][0, 1, 2, 3] = np.nan


@pytest.mark.parametrize(("spoil", "words"), [
    (remove, ["no such file"]),
    (truncate, ["no readable NetCDF file"]),
    (leave_half_written, ["never finished by its writer"]),
    (write_on_another_grid, ["expected the 6 x 12 grid", "got 4 x 8"]),
    (write_another_time, ["expected the state of 1989010106", "got 1989010112"]),
    (write_nan, ["temperature_850 is not finite"]),
])
def test_a_bad_member_file_is_named(fresh, spoil, words):
    spoil(fresh.files.background.member(2), fresh.space)
    refused(mpirun(3, *PROGRAM, fresh.toml, NOW, timeout=60), "m0002.nc", *words)
    assert not fresh.files.analysis.folder.exists()


def test_missing_observations_stop_research(fresh):
    fresh.files.observations.unlink()
    refused(mpirun(2, *PROGRAM, fresh.toml, NOW, timeout=60), "observations.nc", "no such file", "realtime")


def test_damaged_observations_stop_research_and_not_realtime(tmp_path):
    made = case.make(tmp_path, mode="realtime")
    truncate(made.files.observations, made.space)
    job = alone(*PROGRAM, made.toml, NOW)
    assert job.returncode == 0 and "goes on without observations" in job.stderr
    shutil.rmtree(made.files.analysis.folder)
    made.files.departures.unlink()
    made.toml.write_text(made.toml.read_text().replace("realtime", "research"))
    refused(alone(*PROGRAM, made.toml, NOW), "observations.nc", "no readable NetCDF file")


def test_a_missing_inflation_field_stops_research(tmp_path):
    made = case.make(tmp_path, more='[inflation]\nmethod = "adaptive"\n')
    made.toml.write_text(made.toml.read_text().replace("start = 1989-01-01T06", "start = 1989-01-01T00"))
    refused(alone(*PROGRAM, made.toml, NOW), "1989010100/inflation.nc", "no such file")


def test_an_ensemble_without_spread_stops(fresh):
    for number in range(1, 5):
        state.write(fresh.files.background.member(number), builders.random_state(fresh.space, seed=1), number)
    refused(mpirun(2, *PROGRAM, fresh.toml, NOW, timeout=60), "the background ensemble has no spread")


def test_the_ablation_that_collapses_the_ensemble_stops(tmp_path):
    made = case.make(tmp_path, nobs=1, more='[analysis.solver]\nmethod = "letkf"\nnoobs_transform = "allones"\n'
                     '[relaxation]\nmethod = "none"\n[localization]\nhorizontal_km = 1\n')
    refused(mpirun(2, *PROGRAM, made.toml, NOW, timeout=60), "the spread of", "collapsed")


def test_a_state_out_of_its_valid_range_stops(fresh):
    hot = builders.random_state(fresh.space, seed=9).data.copy()
    hot[fresh.space.index("temperature")] = 700.0
    state.write(fresh.files.background.member(1), state.State(fresh.space, hot, TIME), 1)
    refused(mpirun(2, *PROGRAM, fresh.toml, NOW, timeout=60), "temperature_500", "expected 120 to 360 K", "diverged")
    assert not fresh.files.analysis.folder.exists()


def test_two_processes_that_do_not_find_one_another_are_refused(fresh):
    refused(alone(*PROGRAM, fresh.toml, NOW, PMI_SIZE="2"), "PMI_SIZE=2", "MPI sees 1 process")


def test_one_process_where_the_corridor_asked_for_two_is_refused(fresh):
    refused(alone(*PROGRAM, fresh.toml, NOW, LETKF_RANKS="2"), "asked its launcher for 2 processes", "MPI sees 1")
    assert mpirun(2, *PROGRAM, fresh.toml, NOW, LETKF_RANKS="2").returncode == 0


def test_a_disk_limit_leaves_nothing_half_written(finished, fresh):
    """RLIMIT_FSIZE below the size of a member file, above that of the log."""
    limit = fresh.files.background.member(1).stat().st_size // 2
    code = ("import resource; from letkf_mpi import analysis; from letkf_mpi.ranks import parallel; "
            f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit})); "
            "parallel.guarded(analysis.main, analysis.PROGRAM)")
    refused(mpirun(2, "-c", code, fresh.toml, NOW, timeout=60), "m000", "could not be written", "space left")
    assert not fresh.files.departures.exists() and whole_files(fresh)
    assert mpirun(2, *PROGRAM, fresh.toml, NOW).returncode == 0
    assert case.contents(fresh.files) == finished[1]


def test_help_has_an_example_and_needs_no_launcher():
    job = alone(*PROGRAM, "--help")
    assert job.returncode == 0 and "example:\n  mpirun -n 4 python -m letkf_mpi.analysis" in job.stdout
