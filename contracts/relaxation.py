"""Relaxation of the analysis perturbations towards the background's, uninflated ones.

    RTPP   Xᵃ <- α Xᵇ + (1 − α) Xᵃ                       (Zhang, Snyder & Sun 2004, MWR 132, 1238)
    RTPS   Xᵃ <- Xᵃ (1 − α + α σ_b/σ_a)  where σ_a > 0    (Whitaker & Hamill 2012, MWR 140, 3078)

σ is the standard deviation over members (k − 1).  α may exceed 1.  Perturbations are (member, …) and have zero mean.
"""

import numpy as np


def rtpp(Xb: np.ndarray, Xa: np.ndarray, alpha: float | np.ndarray) -> np.ndarray:
    """Relaxation to prior perturbations; `alpha` one number or of the shape of a member."""
    return alpha * Xb + (1.0 - alpha) * Xa


def rtps(Xb: np.ndarray, Xa: np.ndarray, alpha: float | np.ndarray) -> np.ndarray:
    """Relaxation to prior spread; `alpha` one number or of the shape of a member."""
    prior, posterior = spread(Xb), spread(Xa)
    ratio = np.divide(prior, posterior, out=np.ones_like(prior), where=posterior > 0)
    return Xa * (1.0 - alpha + alpha * ratio)


def spread(X: np.ndarray) -> np.ndarray:
    """Standard deviation over members of perturbations of zero mean, (member, …) -> (…)."""
    return np.sqrt((X * X).sum(axis=0) / (X.shape[0] - 1))
