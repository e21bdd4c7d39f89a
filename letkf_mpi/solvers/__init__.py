"""Solvers of one local problem; a new one is a file beside `letkf` and a name in `[analysis.solver]`."""

from letkf_mpi.solvers.base import LocalProblem, Weights
from letkf_mpi.solvers.hybrid import Hybrid
from letkf_mpi.solvers.letkf import Letkf
from letkf_mpi.solvers.particle import ParticleFilter
from letkf_mpi.solvers.perturbed import PerturbedObservations

__all__ = ["Hybrid", "Letkf", "LocalProblem", "ParticleFilter", "PerturbedObservations", "Weights"]
