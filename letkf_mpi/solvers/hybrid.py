"""A hybrid of ensemble and static background covariance (Kotsuki & Bishop 2022, MWR 150, 283).

m static perturbations X_s, of a climate or of forecast errors long past, stand beside the k of the day
(Kretschmer et al. 2015, Tellus A 67, 26495):

    P = (1 − α) β X Xᵀ/(k−1) + α X_s X_sᵀ/(m−1) = Z Zᵀ,     Z = [√((1−α)β/(k−1)) X,  √(α/(m−1)) X_s]

    C = (HZ)ᵀ (R⁻¹ρ) HZ = V Γ Vᵀ
    x̄ᵃ = x̄ + Z V (I + Γ)⁻¹ Vᵀ (HZ)ᵀ (R⁻¹ρ) d
    Xᵃ = √β X − Z V f(Γ) Vᵀ (HZ)ᵀ (R⁻¹ρ) √β Y,     f(Γ) = [1 − (1 + Γ)^(−½)] Γ⁻¹

Only the k members are analysed: they are updated with the modified gain of P that gives the square root filter its
covariance (Bishop, Whitaker & Lei 2017, MWR 145, 4575).  α = 0 is the LETKF, and so is any α where the static
perturbations are those of the ensemble.
"""

from typing import Annotated

import msgspec
import numpy as np

from letkf_mpi.solvers.base import LocalProblem, Solver, Weights


class Hybrid(Solver, frozen=True, tag_field="method", tag="hybrid"):
    """[analysis.solver] method = "hybrid": α is `share`; the static perturbations are those of [analysis.static]."""

    share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.2

    needs_static = True
    has_signal = True

    def solve(self, problem: LocalProblem) -> Weights:
        """Weights (k + m,) and (k + m, k) of one local problem, whose `static` (p, m) are observed perturbations."""
        assert problem.static is not None
        k, m, root = problem.k, problem.static.shape[1], np.sqrt(problem.inflation)
        unchanged = np.vstack([root * np.eye(k), np.zeros((m, k))])
        if problem.p == 0:
            return Weights(np.zeros(k + m), unchanged)
        scale = np.concatenate([np.full(k, root * np.sqrt((1.0 - self.share) / (k - 1))),
                                np.full(m, np.sqrt(self.share / (m - 1)))])
        HZ = scale * np.hstack([problem.Y, problem.static])  # (p, k + m)
        tapered = problem.rinv[:, None] * HZ
        gamma, V = np.linalg.eigh(tapered.T @ HZ)
        gamma = np.maximum(gamma, 0.0)  # rounding
        mean = V @ ((V.T @ (tapered.T @ problem.d)) / (1.0 + gamma))
        contraction = V @ (_modified(gamma)[:, None] * (V.T @ (tapered.T @ (root * problem.Y))))
        signal = (gamma / (1.0 + gamma)).sum()
        return Weights(scale * mean, unchanged - scale[:, None] * contraction, float(signal))


def _modified(gamma: np.ndarray) -> np.ndarray:
    """f(Γ), written without cancellation where Γ is small: [1 − (1 + Γ)^(−½)] Γ⁻¹ = 1 / (1 + Γ + √(1 + Γ))."""
    return 1.0 / (1.0 + gamma + np.sqrt(1.0 + gamma))
