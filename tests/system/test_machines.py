"""Machine files: which words start the programs. The launchers here are stand-ins that tell how they were called."""

import os
import subprocess
import sys
from datetime import timedelta

import pytest

from tests import builders
from tests.system.experiment import CHECKOUT, START

SHOW = 'source "$1"; load_experiment "$2"; "${LAUNCH_ANALYSIS[@]}" analysis; "${LAUNCH_FORECAST[@]}" forecast'


@pytest.fixture
def launchers(tmp_path):
    """A folder with a `srun` and an `mpiexec` that print their words."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("srun", "mpiexec", "forecast", "analysis"):
        (folder / name).write_text(f'#!/bin/sh\necho "{name} $*"\n')
        (folder / name).chmod(0o755)
    return folder


def words(launchers, tmp_path, more="", **environment):
    path = tmp_path / "x.toml"
    path.write_text(builders.experiment("x", START, START + timedelta(hours=6)) + more)
    batch = ("SLURM_", "PBS_", "PMI", "RANKS")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(batch)}
    kept |= {"PATH": f"{launchers}:{kept['PATH']}", "PYTHON": sys.executable, "WORK": str(tmp_path)}
    command = ["bash", "-euc", SHOW, "cycle.sh", CHECKOUT / "run" / "lib.sh", path]
    return subprocess.run(command, env=kept | environment, capture_output=True, text=True, timeout=60)


def test_slurm_starts_the_analysis_on_its_ranks_and_the_forecast_once(launchers, tmp_path):
    done = words(launchers, tmp_path, MACHINE="slurm", RANKS="32", SLURM_JOB_ID="7", SLURM_CPUS_ON_NODE="64")
    assert done.stdout.splitlines() == [
        "srun --mpi=pmi2 --ntasks=32 --cpus-per-task=1 --kill-on-bad-exit=1 --overlap analysis",
        "srun --ntasks=1 --cpus-per-task=64 --overlap forecast",
    ], done.stderr


def test_in_a_job_of_two_parts_the_forecast_has_the_second(launchers, tmp_path):
    done = words(launchers, tmp_path, MACHINE="slurm", RANKS="128", SLURM_JOB_ID="7", SLURM_CPUS_ON_NODE="64",
                 SLURM_HET_SIZE="2", SLURM_JOB_CPUS_PER_NODE_HET_GROUP_1="16(x2),8")
    assert done.stdout.splitlines() == [
        "srun --het-group=0 --mpi=pmi2 --ntasks=128 --cpus-per-task=1 --kill-on-bad-exit=1 --overlap analysis",
        "srun --het-group=1 --ntasks=1 --cpus-per-task=16 --overlap forecast",
    ], done.stderr


def test_pbs_starts_the_ranks_with_mpiexec_and_the_forecast_on_the_first_node(launchers, tmp_path):
    done = words(launchers, tmp_path, MACHINE="pbs", RANKS="32", PBS_NODEFILE="/nodes", MPIEXEC="mpiexec")
    assert done.stdout.splitlines() == ["mpiexec -n 32 analysis", "forecast "], done.stderr


IN_ONE_PART = {"SLURM_JOB_ID": "7", "SLURM_CPUS_ON_NODE": "64"}
IN_TWO_PARTS = {"SLURM_JOB_ID": "7", "SLURM_CPUS_ON_NODE": "64", "SLURM_HET_SIZE": "2",
                "SLURM_JOB_CPUS_PER_NODE_HET_GROUP_0": "64(x2)", "SLURM_JOB_CPUS_PER_NODE_HET_GROUP_1": "16"}


@pytest.mark.parametrize(("machine", "variables", "expected"), [
    ("slurm", IN_ONE_PART, "srun --ntasks=1 --cpus-per-task=64 --overlap analysis"),
    ("slurm", IN_TWO_PARTS, "srun --het-group=0 --ntasks=1 --cpus-per-task=64 --overlap analysis"),
    ("pbs", {"PBS_NODEFILE": "/nodes", "MPIEXEC": "mpiexec"}, "analysis "),
    ("local", {"MPIEXEC": "mpiexec"}, "analysis "),
])
def test_an_analysis_that_is_no_mpi_program_is_started_once(launchers, tmp_path, machine, variables, expected):
    builders.lay_package(tmp_path, "once", 'PROGRAM = Program("letkf_mpi.config:Settings", makes="analysis")')
    done = words(launchers, tmp_path, '[run]\nanalysis = "once"\n', MACHINE=machine, RANKS="32",
                 PYTHONPATH=str(tmp_path), **variables)
    assert done.stdout.splitlines()[0] == expected, done.stderr


def test_slurm_gives_each_rank_a_processor_for_each_of_its_threads(launchers, tmp_path):
    done = words(launchers, tmp_path, "[analysis]\nthreads = 4\n", MACHINE="slurm", RANKS="8", SLURM_JOB_ID="7")
    assert done.stdout.startswith("srun --mpi=pmi2 --ntasks=8 --cpus-per-task=4 "), done.stderr


def test_a_machine_file_without_its_function_is_refused(launchers, tmp_path):
    machine = tmp_path / "mine.sh"
    machine.write_text("LAUNCH_ANALYSIS=(mpiexec)\n")
    done = words(launchers, tmp_path, MACHINE=str(machine))
    assert done.returncode == 1 and f"{machine}: defines no function launch; run/README.md says" in done.stderr


def test_pbs_without_a_job_is_refused(launchers, tmp_path):
    done = words(launchers, tmp_path, MACHINE="pbs")
    assert done.returncode == 1 and "there is no job; submit run/qsub.sh" in done.stderr


def test_slurm_without_an_allocation_is_refused(launchers, tmp_path):
    done = words(launchers, tmp_path, MACHINE="slurm")
    assert done.returncode == 1 and "there is no allocation; submit run/sbatch.sh" in done.stderr


def test_another_launcher_is_used_when_it_is_named(launchers, tmp_path):
    done = words(launchers, tmp_path, MACHINE="local", RANKS="3", MPIEXEC=str(launchers / "mpiexec"))
    assert done.stdout.splitlines() == ["mpiexec -n 3 analysis", "forecast "]


def test_an_unknown_machine_is_refused_with_the_known_ones(launchers, tmp_path):
    done = words(launchers, tmp_path, MACHINE="cray")
    assert done.returncode == 1 and "local.sh" in done.stderr and "slurm.sh" in done.stderr
