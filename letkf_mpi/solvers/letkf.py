"""The local ensemble transform Kalman filter (Hunt, Kostelich & Szunyogh 2007, Physica D 230, 112).

    A = (k−1)/β · I + Yᵀ (R⁻¹ρ) Y
    w̄ = A⁻¹ Yᵀ (R⁻¹ρ) d
    W = [(k−1) A⁻¹]^½        symmetric, so that perturbations keep zero mean

Without a local observation A = (k−1)/β · I: w̄ = 0 and W = √β I.  Published code exists that sets every element of
W to √β there, which collapses all members onto their mean; `noobs_transform = "allones"` reproduces it, as an
ablation only.  This is the plain NumPy form in double precision that defines what faster forms must give;
`lanes` is the compiled one.
"""

from typing import Literal

import numpy as np

from letkf_mpi.solvers.base import LocalProblem, Solver, Weights


class Letkf(Solver, frozen=True, tag_field="method", tag="letkf"):
    """[analysis.solver] method = "letkf"."""

    noobs_transform: Literal["identity", "allones"] = "identity"
    kernel: Literal["compiled", "reference"] = "compiled"  # the reference is NumPy, point by point
    precision: Literal["float32", "float64"] = "float32"  # of the compiled kernel

    has_signal = True

    def solve(self, problem: LocalProblem) -> Weights:
        """Weights of one local problem."""
        if problem.p == 0:
            return self._without_observations(problem)
        k = problem.k
        tapered = problem.rinv[:, None] * problem.Y  # (p, k)
        A = tapered.T @ problem.Y
        A.flat[:: k + 1] += (k - 1) / problem.inflation
        eigenvalues, V = np.linalg.eigh(A)
        mean = V @ ((V.T @ (tapered.T @ problem.d)) / eigenvalues)
        signal = (1.0 - (k - 1) / (problem.inflation * eigenvalues)).sum()
        return Weights(mean, (V * np.sqrt((k - 1) / eigenvalues)) @ V.T, float(signal))

    def _without_observations(self, problem: LocalProblem) -> Weights:
        k, root = problem.k, np.sqrt(problem.inflation)
        identity = self.noobs_transform == "identity"
        return Weights(np.zeros(k), root * np.eye(k) if identity else np.full((k, k), root))
