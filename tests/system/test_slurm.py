"""A whole experiment in one Slurm job, on real daemons: it ends with the bits of an undisturbed run, whatever the queue
does to it."""

from pathlib import Path

import pytest

from tests.system import slurm
from tests.system.experiment import CHECKOUT, Experiment, bring, data, nothing_half_written, processes_of, same, until

TIMES = ["1989010100", "1989010106"]
JOB_LIMIT_S = 180
ONE_PART = ("--ntasks=2",)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    if reason := slurm.reason_to_skip():
        pytest.skip(reason)
    with slurm.running(tmp_path_factory.mktemp("slurm")) as made:
        yield made
    assert not slurm.leftovers(made)


def submit(cluster, made: Experiment, *options: str) -> int:
    """Hand over run/sbatch.sh as a user does, from the checkout; the number of the job."""
    environment = {name: value for name, value in made.environment.items() if name not in ("RANKS", "LOCK_WAIT")}
    words = ["sbatch", "--parsable", f"--output={made.work}/job.out", *options, f"{CHECKOUT}/run/sbatch.sh", made.path]
    return int(cluster.command(*words, env=environment | cluster.environment | {"WORK": str(made.work)}, cwd=CHECKOUT))


def words_of(made: Experiment) -> str:
    return (made.work / "job.out").read_text()


def complete_and_the_same(made: Experiment, finished) -> None:
    same(data(made.folder), data(finished[0].folder))
    assert not processes_of(made)


def test_a_job_ends_with_the_bits_of_an_uninterrupted_run(cluster, fresh, finished):
    job = submit(cluster, fresh, *ONE_PART)
    assert cluster.until_ended(job, JOB_LIMIT_S) == "COMPLETED", words_of(fresh)
    assert "cycle 2 of 2" in words_of(fresh)
    complete_and_the_same(fresh, finished)


HELD_BACK = """
import os, runpy, sys, time
from pathlib import Path
folder = Path(os.environ["WORK"]) / "tiny"
if "SLURM_RESTART_COUNT" not in os.environ:
    while not (folder / "1989010100" / "observations.nc").exists():
        time.sleep(0.05)
    sys.argv = ["analysis", sys.argv[1], "1989010100"]
    runpy.run_module("letkf_mpi.analysis", run_name="__main__")
    while not (folder / "stop").exists():
        time.sleep(0.05)
else:
    runpy.run_module("letkf_mpi.analysis", run_name="__main__")
"""


def nodes_of(made: Experiment, module: str) -> list[str]:
    """The node of each process of a program, as its job step was told."""
    found = []
    for process in processes_of(made, module):
        variables = Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
        found += [word.partition(b"=")[2].decode() for word in variables if word.startswith(b"SLURMD_NODENAME=")]
    return found


def test_at_its_time_limit_a_job_of_two_parts_goes_back_into_the_queue_and_on(cluster, fresh, finished):
    """A limit of two minutes; the analysis sleeps after the first time until Slurm says that time is nearly over, which
    comes no earlier than a minute after the start: enough for a cycle, on a busy machine too."""
    bring(fresh, "held_back", HELD_BACK)
    limit = ("--time=2", "--signal=B:USR1@60")
    job = submit(cluster, fresh, "--partition=cpu", "--ntasks=2", *limit, f"--export=ALL,PYTHONPATH={fresh.work}", ":",
                 "--partition=gpu", "--ntasks=1", "--time=2")
    until(lambda: len(processes_of(fresh)) >= 3 and (fresh.folder / TIMES[0] / "departures.nc").exists(), "a cycle")
    assert nodes_of(fresh, "held_back") == ["cpu1", "cpu1"]
    assert nodes_of(fresh, "model_server") == ["gpu1"]
    until(lambda: cluster.told(job, "Restarts") == "1", "the time limit", JOB_LIMIT_S)
    nothing_half_written(fresh)
    assert not (fresh.folder / TIMES[1] / "departures.nc").exists()
    assert cluster.until_ended(job, JOB_LIMIT_S) == "COMPLETED", words_of(fresh)
    assert "goes back into the queue" in words_of(fresh)
    complete_and_the_same(fresh, finished)


def test_a_cancelled_job_stays_away_and_goes_on_when_submitted_again(cluster, fresh, finished):
    job = submit(cluster, fresh, *ONE_PART)
    until(lambda: (fresh.folder / TIMES[0] / "observations.nc").exists(), "the first observations")
    cluster.command("scancel", str(job))
    assert cluster.until_ended(job, JOB_LIMIT_S) == "CANCELLED"
    nothing_half_written(fresh)
    job = submit(cluster, fresh, *ONE_PART)
    assert cluster.until_ended(job, JOB_LIMIT_S) == "COMPLETED", words_of(fresh)
    complete_and_the_same(fresh, finished)


def test_a_job_that_fails_ends_with_its_status(cluster, fresh):
    (fresh.work / "truth" / f"{TIMES[0]}.nc").write_bytes(b"no truth")
    fresh.path.write_text(fresh.path.read_text() + "restarts = 0\n")
    job = submit(cluster, fresh, *ONE_PART)
    assert cluster.until_ended(job, JOB_LIMIT_S) == "FAILED"
    assert "is no readable NetCDF file" in words_of(fresh)
    assert not processes_of(fresh)
