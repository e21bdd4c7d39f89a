"""The MPI program starts light: no learning framework, no data-frame, and MPI only where it belongs."""

import os
import subprocess
import sys

import pytest

from tests.mpi.launcher import CHECKOUT

HEAVY = ("torch", "jax", "xarray", "pandas", "eccodes", "matplotlib")


def modules_after(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*sorted(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_the_program_never_imports_what_it_does_not_need():
    loaded = modules_after("import letkf_mpi.analysis")
    assert not loaded & set(HEAVY)
    assert "mpi4py" in loaded


def test_everything_but_the_program_works_without_mpi():
    loaded = modules_after("import letkf_mpi.local.update, letkf_mpi.files, letkf_mpi.summary, obsoperator")
    assert "mpi4py" not in loaded


@pytest.mark.parametrize("imported", ["letkf_mpi.solvers", "neural_da.draws"])
def test_an_analysis_sums_with_one_thread_whatever_the_environment_says(imported):
    """Sums that BLAS shares among threads depend on their number; OpenBLAS starts its threads when it is loaded."""
    count = f"import {imported}, numpy, os; numpy.ones((500, 500)) @ numpy.ones((500, 500)); " \
            "print(len(os.listdir('/proc/self/task')))"
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "4", "OMP_NUM_THREADS": "4"}
    done = subprocess.run([sys.executable, "-c", count], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "1", done.stderr
