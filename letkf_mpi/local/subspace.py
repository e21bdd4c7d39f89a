"""Ensembles far larger than the observations of a tile, analysed as small ones of the same covariances.

The p observations around a tile see of k members no more than p directions: with an orthonormal basis Q (k, p) of the
rows of Y, A = I + β/(k−1) Yᵀ (R⁻¹ρ) Y is I across them, and W = √β I there.  A smaller ensemble of n = p + 1 members

    Y' = c Y Q Eᵀ,    X' = c X Q Eᵀ,    c = √((n−1)/(k−1))

with an orthonormal E (n, p) whose columns sum to zero has the same covariances of what is observed with everything, so
the same A/(k−1) between observations and the same increment X' w̄' = X w̄.  Its perturbations go back by E and Q:

    X W = √β (X − X Q Qᵀ) + X' W' E Qᵀ / c

A transform costs k³ and becomes n³; to go there and back costs k p for each channel.  It is the analysis in observation
space (p < k: Hunt, Kostelich & Szunyogh 2007, Physica D 230, 112, sect. 2.3) by the kernel that is there.
"""

from dataclasses import dataclass

import numpy as np

LEAST_MEMBERS = 160  # of fewer a transform is cheap, and going there and back is most of the time
LARGER = 1.15  # k / n from which on it pays


def size(members: int, rows: np.ndarray) -> np.ndarray:
    """Of the ensemble that a tile is analysed with, by how many rows are observed around it (tile,): n where that pays,
    else all members."""
    pays = (rows > 0) & (members >= LEAST_MEMBERS) & (members >= LARGER * (rows + 1))
    return np.where(pays, rows + 1, members)


@dataclass(frozen=True)
class Subspace:
    """`Q` (k, p) orthonormal, each column of zero sum."""

    Q: np.ndarray

    @classmethod
    def of(cls, Y: np.ndarray) -> "Subspace":
        """Of observed perturbations (p, k), rows of zero mean, p < k."""
        ones = np.ones((1, Y.shape[1]))
        return cls(np.linalg.qr(np.concatenate([ones, Y]).T)[0][:, 1:])  # orthogonal to ones, whatever Y's rank

    @property
    def scale(self) -> float:
        """c"""
        k, p = self.Q.shape
        return float(np.sqrt(p / (k - 1)))

    def smaller(self, perturbations: np.ndarray) -> np.ndarray:
        """(…, n) of the smaller ensemble from (…, k)."""
        return self.scale * _reflected(_widened(perturbations @ self.Q))

    def larger(self, perturbations: np.ndarray) -> np.ndarray:
        """(…, k) from (…, n): what of the ensemble lies in the subspace."""
        return (_reflected(perturbations)[..., :-1] / self.scale) @ self.Q.T

    def across(self, perturbations: np.ndarray) -> np.ndarray:
        """(…, k): what no observation sees of (…, k)."""
        return perturbations - (perturbations @ self.Q) @ self.Q.T


def _widened(part: np.ndarray) -> np.ndarray:
    """With a last coordinate of zero."""
    return np.concatenate([part, np.zeros((*part.shape[:-1], 1))], axis=-1)


def _reflected(part: np.ndarray) -> np.ndarray:
    """(…, n) under Householder's reflection that takes the last coordinate to the direction of equal members, so that
    its other columns, which are E, sum to zero; it is its own inverse."""
    n = part.shape[-1]
    v = np.full(n, -1.0 / np.sqrt(n))
    v[-1] += 1.0
    length = v @ v
    return part if length == 0 else part - (part @ v)[..., None] * (2.0 / length * v)
