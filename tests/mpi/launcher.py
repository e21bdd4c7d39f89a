"""Start real MPI jobs from tests, with the mpiexec that belongs to this Python, never longer than `timeout`."""

import os
import subprocess
import sys
from pathlib import Path

from tests.letkf_mpi.case import NOW

CHECKOUT = Path(__file__).resolve().parents[2]
MPIEXEC = Path(sys.executable).parent / "mpiexec"
NEXT = "1989010112"


def mpirun(ranks: int, *arguments: object, timeout: float = 120.0, **environment: str) -> subprocess.CompletedProcess:
    """Run `python *arguments` on `ranks` processes; output is captured as text."""
    return _run([str(MPIEXEC), "-n", str(ranks), sys.executable, *map(str, arguments)], timeout, environment)


def alone(*arguments: object, timeout: float = 120.0, **environment: str) -> subprocess.CompletedProcess:
    """Run `python *arguments` without a launcher."""
    return _run([sys.executable, *map(str, arguments)], timeout, environment)


def start(ranks: int, *arguments: object) -> subprocess.Popen:
    """Start such a job in a session of its own and let it run; what it says goes to its `stderr`."""
    command = [str(MPIEXEC), "-n", str(ranks), sys.executable, *map(str, arguments)]
    return subprocess.Popen(command, env=_environment({}), cwd=CHECKOUT, stderr=subprocess.PIPE, text=True,
                            start_new_session=True)


def analyse(made, ranks=1, time=(NOW,)):
    program = ("-m", "letkf_mpi.analysis", made.toml, *time)
    job = alone(*program) if ranks == 1 else mpirun(ranks, *program)
    assert job.returncode == 0, job.stderr
    return job


def _run(command: list[str], timeout: float, environment: dict[str, str]) -> subprocess.CompletedProcess:
    return subprocess.run(command, env=_environment(environment), cwd=CHECKOUT, timeout=timeout,
                          capture_output=True, text=True, check=False)


def _environment(more: dict[str, str]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PMI_", "OMPI_", "SLURM_"))}
    settings = dict(MPIR_CVAR_CH4_NETMOD="ofi", OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", PYTHONPATH=str(CHECKOUT))
    return inherited | settings | more
