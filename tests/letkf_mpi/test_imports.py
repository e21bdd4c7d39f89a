"""The MPI program starts light: no learning framework, no data-frame, and MPI only where it belongs."""

import subprocess
import sys

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
    loaded = modules_after("import letkf_mpi.update, letkf_mpi.files, letkf_mpi.summary, letkf_mpi.obsoperator")
    assert "mpi4py" not in loaded
