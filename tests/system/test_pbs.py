"""PBS is not in Debian: a stand-in for its commands gives a job the environment of one node; all that runs inside is
real."""

import os
import re
import shutil
import subprocess

import pytest

from tests.system.experiment import CHECKOUT, CYCLE_LIMIT_S, Experiment, data, processes_of, same

QSTAT = """#!/bin/sh
echo "Job Id: $2"
echo "    Resource_List.select = 1:ncpus=2:mpiprocs=2"
echo "    Resource_List.walltime = $(cat "$PBS_STUB/walltime")"
"""
QSUB = """#!/bin/sh
printf '%s\\n' "$@" >"$PBS_STUB/submitted"
echo 8.server
"""


@pytest.fixture
def pbs(tmp_path):
    """A folder with `qstat` and `qsub` first on the path, the node file, and what was submitted."""
    folder = tmp_path / "pbs"
    folder.mkdir()
    for name, text in (("qstat", QSTAT), ("qsub", QSUB)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    (folder / "nodes").write_text("localhost\nlocalhost\n")
    return folder


def job(pbs, made: Experiment, walltime: str, **variables: str) -> subprocess.CompletedProcess:
    """Run the script as PBS does: a copy of it, in the folder that it was submitted from."""
    (pbs / "walltime").write_text(walltime)
    script = pbs / "7.server.SC"
    script.write_bytes((CHECKOUT / "run" / "qsub.sh").read_bytes())
    environment = {name: value for name, value in made.environment.items() if name != "RANKS"}
    environment |= {"PBS_STUB": str(pbs), "PBS_JOBID": "7.server", "PBS_NODEFILE": str(pbs / "nodes"),
                    "PBS_O_WORKDIR": str(CHECKOUT), "EXPERIMENT": str(made.path),
                    "PATH": f"{pbs}:{os.environ['PATH']}"}
    return subprocess.run(["bash", script], env=environment | variables, cwd=pbs, capture_output=True, text=True,
                          timeout=CYCLE_LIMIT_S)


def test_a_job_ends_with_the_bits_of_an_uninterrupted_run(pbs, fresh, finished):
    done = job(pbs, fresh, "96:00:00")
    assert done.returncode == 0, done.stdout + done.stderr
    same(data(fresh.folder), data(finished[0].folder))
    assert not (pbs / "submitted").exists()


def test_before_its_time_is_over_a_job_stops_and_submits_its_successor(pbs, fresh, finished):
    done = job(pbs, fresh, "00:03:01")  # three minutes are kept for the end
    assert done.returncode == 143, done.stdout + done.stderr
    assert not processes_of(fresh)
    words = (pbs / "submitted").read_text().splitlines()
    assert words[:3] == ["-W", "depend=afterany:7.server", "-v"] and words[4:] == ["run/qsub.sh"]
    handed = dict(word.split("=", 1) for word in words[3].split(","))
    assert handed.pop("LETKF_SAMPLES", None) == os.environ.get("LETKF_SAMPLES")
    assert handed == {name: fresh.environment[name] for name in ("WORK", "PYTHON")} | {"EXPERIMENT": str(fresh.path)}
    assert job(pbs, fresh, "96:00:00").returncode == 0
    same(data(fresh.folder), data(finished[0].folder))


def test_a_job_without_time_to_work_is_refused_and_has_no_successor(pbs, fresh):
    done = job(pbs, fresh, "00:03:00")
    assert done.returncode == 1 and "walltime is 180 s; ask for more" in done.stderr
    assert not (pbs / "submitted").exists()


def test_a_job_that_fails_has_no_successor(pbs, fresh):
    fresh.path.write_text(fresh.path.read_text().replace("alpha = 0.1", "alfa = 0.1"))
    done = job(pbs, fresh, "96:00:00")
    assert done.returncode == 1
    assert "alfa" in done.stderr
    assert not (pbs / "submitted").exists()


@pytest.fixture
def checkout(tmp_path):
    """Another checkout, whose scripts tell how they were called; `prepare.sh` takes as long as the file `long` says."""
    folder = tmp_path / "checkout" / "run"
    folder.mkdir(parents=True)
    shutil.copy(CHECKOUT / "run" / "batch.sh", folder)
    for name in ("prepare.sh", "cycle.sh"):
        (folder / name).write_text('#!/bin/sh\necho "${0##*/} $*" >>calls\n')
        (folder / name).chmod(0o755)
    with (folder / "prepare.sh").open("a") as script:
        script.write("sleep $(cat long)\n")
    (folder.parent / "long").write_text("0")
    return folder.parent


def test_what_it_begins_with_is_prepared_when_asked(pbs, fresh, checkout):
    done = job(pbs, fresh, "96:00:00", CHECKOUT=str(checkout), PREPARE="--prepare")
    assert done.returncode == 0, done.stderr
    expected = [f"prepare.sh {fresh.path}", f"cycle.sh {fresh.path} --services"]
    assert (checkout / "calls").read_text().splitlines() == expected


def test_a_preparation_that_takes_too_long_is_broken_off_and_goes_on_in_the_successor(pbs, fresh, checkout):
    (checkout / "long").write_text("1000")
    done = job(pbs, fresh, "00:03:01", CHECKOUT=str(checkout), PREPARE="--prepare")
    assert done.returncode == 143, done.stderr
    assert (checkout / "calls").read_text().splitlines() == [f"prepare.sh {fresh.path}"]
    assert "PREPARE=--prepare" in (pbs / "submitted").read_text()


@pytest.mark.parametrize("script", ["sbatch.sh", "qsub.sh"])
def test_run_by_hand_a_batch_script_explains_itself(script):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "PBS_"))}
    done = subprocess.run([CHECKOUT / "run" / script], env=kept, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert f"run/{script}" in done.stdout


@pytest.mark.parametrize(("script", "mark"), [("sbatch.sh", "#SBATCH --"), ("qsub.sh", "#PBS -")])
def test_what_is_asked_for_stands_before_the_first_command(script, mark):
    """Slurm and PBS stop reading there."""
    lines = (CHECKOUT / "run" / script).read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if line and not line.startswith("#"))
    asked = [number for number, line in enumerate(lines) if line.startswith(mark)]
    assert asked and max(asked) < first
    assert all(re.fullmatch(r"#(SBATCH|PBS) -\S+( \S+)?", lines[number]) for number in asked)


def test_all_scripts_of_the_corridor_are_bash():
    for script in sorted((CHECKOUT / "run").rglob("*.sh")):
        done = subprocess.run(["bash", "-n", script], capture_output=True, text=True, timeout=30)
        assert done.returncode == 0 and not done.stderr, done.stderr
