"""A hybrid of the LETKF and the ensemble Kalman filter with perturbed observations (Tsuyuki 2024, JMSJ 102, 507).

The LETKF contracts the background perturbations in every direction alike, so that an ensemble that is not Gaussian
stays so; perturbed observations (Burgers, van Leeuwen & Evensen 1998, MWR 126, 1719) make it Gaussian again, at the
price of sampling noise.  With Â = I/β + Yᵀ (R⁻¹ρ) Y / (k−1), so that Â⁻¹ is the analysis covariance of the weights:

    perturbed observations   W = Â⁻¹/√β + G E,   G = Â⁻¹ Yᵀ (R⁻¹ρ) / (k−1),   E = ε √(R/ρ),   ε of mean 0 over members
                             E[G E Eᵀ Gᵀ] / (k−1) = (Â⁻¹ − Â⁻²/β) / (k−1)
    LETKF                    W = Â^(−½)

A straight average of the two would lose spread, because the noise is independent of the rest.  With the share γ of the
noise the part without noise is therefore the root of what the noise leaves of the analysis covariance:

    W = [(1 − γ²) Â⁻¹ + γ² Â⁻²/β]^½ + γ G E

which is the LETKF at γ = 0, perturbed observations at γ = 1, and has the covariance Â⁻¹ in expectation at every γ.
The mean is the LETKF's.  ε belongs to the observation, so that it is the same wherever the observation is seen.
"""

from typing import Annotated

import msgspec
import numpy as np

from letkf_mpi.solvers.base import LocalProblem, Solver, Weights


class PerturbedObservations(Solver, frozen=True, tag_field="method", tag="perturbed_observations"):
    """[analysis.solver] method = "perturbed_observations": γ is `share`."""

    share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5

    needs_noise = True
    has_signal = True

    def solve(self, problem: LocalProblem) -> Weights:
        """Weights of one local problem, whose `noise` (p, k) are standard normal: ε before its mean is taken out."""
        k, beta = problem.k, problem.inflation
        if problem.p == 0:
            return Weights(np.zeros(k), np.sqrt(beta) * np.eye(k))
        assert problem.noise is not None
        tapered = problem.rinv[:, None] * problem.Y / (k - 1)  # (p, k)
        A = tapered.T @ problem.Y
        A.flat[:: k + 1] += 1.0 / beta
        eigenvalues, V = np.linalg.eigh(A)
        covariance = (V / eigenvalues) @ V.T  # Â⁻¹
        root = np.sqrt((1.0 - self.share**2) / eigenvalues + self.share**2 / (beta * eigenvalues**2))
        E = (problem.noise - problem.noise.mean(axis=1, keepdims=True)) / np.sqrt(problem.rinv)[:, None]
        perturbations = (V * root) @ V.T + self.share * (covariance @ (tapered.T @ E))
        signal = (1.0 - 1.0 / (beta * eigenvalues)).sum()
        return Weights(covariance @ (tapered.T @ problem.d), perturbations, float(signal))
