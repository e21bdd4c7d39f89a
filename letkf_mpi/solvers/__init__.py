"""Solvers of one local problem; a new one is a file beside `letkf` and a name in `[analysis.solver]`."""

from letkf_mpi.solvers.base import LocalProblem, Weights
from letkf_mpi.solvers.letkf import Letkf

__all__ = ["Letkf", "LocalProblem", "Weights"]
